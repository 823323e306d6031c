"""Runs a benchmark and reports it: a table to read, a file to keep."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness, machine
from discogan_jax.runs import write_json

RESULTS = Path(__file__).parent / "results"


def table(works: Mapping[str, Any]) -> str:
    """What `harness.summarize` found, as text.

    Args:
      works: it; the first is the matrix product whose best rate the others' are a share of.

    Returns:
      Lines: a work, its sides, the next work; the ratio is time by the reference's time.
    """
    matrix = next(iter(works.values()))["sides"].values()
    full = max(r["gflops_per_second"] for r in matrix)
    head = ("", "ms", "quartiles", "n", "GFLOP/s", "of matrix", "ratio", "95%")
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
                    else "{:.3f}–{:.3f}".format(*r["ratio_interval"]),
                )
            )
    columns = list(zip(*(row for row in cells if len(row) > 1), strict=True))
    first, *widths = (max(map(len, column)) for column in columns)
    return "\n".join(
        "  ".join(
            [row[0].ljust(first), *(c.rjust(w) for c, w in zip(row[1:], widths, strict=False))]
        )
        for row in cells
    )


def _title(name: str, work: Mapping[str, Any]) -> str:
    counts = {"by hand": work["flops"], **work.get("xla_flops", {})}
    return f"{name}: GFLOP " + ", ".join(f"{n / 1e9:,.2f} {who}" for who, n in counts.items() if n)


def run(
    name: str,
    works: Sequence[harness.Work],
    begun: float,
    load: float,
    budget: float,
    settings: Mapping[str, Any],
    skipped: Mapping[str, str],
) -> dict[str, Any]:
    """Measures, prints a table and writes ``results/NAME-MACHINE.json``.

    Args:
      name: of the benchmark.
      works: what to measure; the machine's matrix rate is measured in the same rounds.
      begun: when the benchmark began, on ``time.perf_counter``; the budget counts from there.
      load: the machine's load average at that time.
      budget: seconds, compilation included.
      settings: of the benchmark, for the file.
      skipped: reasons by side that is not there.

    Returns:
      What was written.
    """
    works = [machine.matrix_work(), *works]
    seconds = harness.measure(works, begun + budget)
    report = {
        "benchmark": name,
        "machine": machine.describe(),
        "load": {"start": load, "end": machine.load()},
        "settings": {**settings, "budget": budget, "took": time.perf_counter() - begun},
        "skipped": dict(skipped),
        "works": harness.summarize(works, seconds),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{machine.slug()}.json"
    write_json(path, report)
    for key, value in report["machine"].items():
        print(f"{key}: {value}")
    start, end = report["load"].values()
    print(f"load average over a minute: {start:.2f} at the start, {end:.2f} at the end")
    print(f"took {report['settings']['took']:.0f} of {budget:.0f} seconds\n")
    print(table(report["works"]))
    for side, reason in skipped.items():
        print(f"skipped: {side}: {reason}")
    print(path)
    return report
