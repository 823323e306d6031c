"""Runs a benchmark and reports the results as a printed table and a JSON file."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness, machine
from discogan_jax.evaluation.table import aligned
from discogan_jax.files import write_json

RESULTS = Path(__file__).parent / "results"


def table(works: Mapping[str, Any]) -> str:
    """Formats the result of `harness.summarize` as text.

    Args:
      works: the result; its first case is the matrix product, whose best rate is 100%.

    Returns:
      A line per case, followed by its implementations; ratios are relative to the reference's time.
    """
    matrix = next(iter(works.values()))["sides"].values()
    full = max(r["gflops_per_second"] for r in matrix)
    head = ("", "ms", "quartiles", "n", "GFLOP/s", "of matrix", "ratio", "range")
    cells: list[tuple[str, ...]] = [head]
    for name, work in works.items():
        cells.append((_title(name, work),))
        for side, r in work["sides"].items():
            speed = r["gflops_per_second"]
            cells.append(
                (
                    f"  {side}",
                    f"{1e3 * r['median']:,.2f}",
                    "{:,.2f}–{:,.2f}".format(*(1e3 * q for q in r["quartiles"])),
                    str(r["n"]),
                    f"{speed:,.1f}" if speed else "",
                    f"{speed / full:.0%}" if speed else "",
                    f"{r['ratio']:.3f}",
                    "reference"
                    if side == work["reference"]
                    else "{:.3f}–{:.3f}".format(*r["ratio_range"]),
                )
            )
    return aligned(cells, right=range(1, len(head)))


def _title(name: str, work: Mapping[str, Any]) -> str:
    counts = {"by hand": work["flops"], **work.get("xla_flops", {})}
    return f"{name}: GFLOP " + ", ".join(f"{n / 1e9:,.2f} {who}" for who, n in counts.items() if n)


class Clocked:
    """Records the duration of a block and the load of the machine before and after it.

    Attributes:
      deadline: time on ``time.perf_counter``; infinite without a budget.
      facts: entries of the report.
    """

    def __init__(self, budget: float | None, settings: Mapping[str, Any]):
        self._begun, self._load = time.perf_counter(), machine.load()
        self.deadline = self._begun + (math.inf if budget is None else budget)
        given = {} if budget is None else {"budget": budget}
        self.facts: dict[str, Any] = {"settings": {**settings, **given}}

    def __enter__(self) -> "Clocked":
        return self

    def __exit__(self, *_: object) -> None:
        self.facts["settings"]["took"] = time.perf_counter() - self._begun
        self.facts["load"] = {"start": self._load, "end": machine.load()}


def keep(
    name: str, facts: Mapping[str, Any], found: Mapping[str, Any], text: str
) -> dict[str, Any]:
    """Prints the results and writes ``results/NAME-MACHINE.json``.

    Args:
      name: the benchmark's name.
      facts: how it was measured: ``settings`` and, where they are known, ``load`` and the seconds
        that it ``took`` among the settings, as `Clocked` has them.
      found: results for the file.
      text: the same results as text.

    Returns:
      The content of the file.
    """
    about = machine.describe()
    report = {"benchmark": name, "machine": about, **facts, **found}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{machine.slug()}.json"
    write_json(path, report)
    for key, value in about.items():
        print(f"{key}: {value}")
    if "load" in report:
        start, end = report["load"].values()
        print(f"load over a minute: {start:.2f} at the start, {end:.2f} at the end")
    if "took" in report["settings"]:
        took, budget = report["settings"]["took"], report["settings"].get("budget")
        print(f"took {took:.0f}{'' if budget is None else f' of {budget:.0f}'} seconds")
    print(f"\n{text}")
    print(path, flush=True)
    return report


def run(
    name: str,
    works: Callable[[], tuple[Sequence[harness.Case], Mapping[str, str]]],
    budget: float,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Measures, prints a table and writes ``results/NAME-MACHINE.json``.

    Args:
      name: the benchmark's name.
      works: compiles and returns the cases, and the reasons why implementations are missing. The
        machine's matrix rate is measured in the same rounds.
      budget: seconds, including compilation.
      settings: the benchmark's settings, for the file.

    Returns:
      The content of the file.
    """
    with Clocked(budget, settings) as clocked:
        made, skipped = works()
        made = [machine.matrix_work(), *made]
        seconds = harness.measure(made, clocked.deadline)
    found = harness.summarize(made, seconds)
    lines = [table(found), *(f"skipped: {side}: {why}" for side, why in skipped.items())]
    return keep(name, clocked.facts, {"skipped": dict(skipped), "works": found}, "\n".join(lines))
