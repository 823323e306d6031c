"""Measures what only a whole process shows: each turn of a side is a process of its own.

A benchmark of this kind is a module that, called with ``--turn SIDE`` and its other arguments, does
the work once and prints a JSON object of numbers as its last line. Sides take turns as in
`harness`.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import report
from discogan_jax.evaluation.table import aligned

Numbers = dict[str, float]
STARTED = "BENCHMARK_TURN_STARTED"  # in the environment: when the turn's process was started


def take(module: str, side: str, arguments: Sequence[str]) -> Numbers:
    """Runs one turn.

    Args:
      module: of the benchmark.
      side: what the process is to do.
      arguments: its other ones.

    Returns:
      What it printed last.

    Raises:
      RuntimeError: it failed; with what it wrote.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, "--turn", side, *arguments],
        env=os.environ | {STARTED: repr(time.time())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} --turn {side} failed:\n{done.stderr[-4000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def since_start() -> float:
    """Seconds since the process of this turn was started."""
    return time.time() - float(os.environ[STARTED])


def measure(
    sides: Sequence[str],
    turn: Callable[[str], Numbers],
    deadline: float,
    least_rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[Numbers]]:
    """Lets the sides take turns; each round begins with another one.

    Args:
      sides: names.
      turn: runs one.
      deadline: on the clock; no round begins that would not end by then, but for the first ones.
      least_rounds: how many these are.
      clock: returns seconds.

    Returns:
      Numbers by side, one object a round.
    """
    found: dict[str, list[Numbers]] = {side: [] for side in sides}
    done = 0
    while True:
        begun = clock()
        first = done % len(sides)
        for side in (*sides[first:], *sides[:first]):
            found[side].append(turn(side))
        done += 1
        now = clock()
        if done >= least_rounds and now + (now - begun) > deadline:
            return found


def summarize(found: Mapping[str, list[Numbers]]) -> dict[str, Any]:
    """Per side and number the median, the extremes and the ratio to the first side."""
    first = next(iter(found))
    rows: dict[str, Any] = {}
    for side, turns in found.items():
        rows[side] = {}
        for name in turns[0]:
            values = [t[name] for t in turns]
            median = float(np.median(values))
            reference = float(np.median([t[name] for t in found[first] if name in t] or [np.nan]))
            rows[side][name] = {
                "median": median,
                "range": [min(values), max(values)],
                "n": len(values),
                "ratio": median / reference if reference else None,
            }
    return rows


def table(rows: Mapping[str, Any]) -> str:
    """What `summarize` found, as text: a number a line."""
    cells: list[list[str]] = []
    for side, numbers in rows.items():
        cells.append([side])
        for name, r in numbers.items():
            spread = "{:,.4g}–{:,.4g}".format(*r["range"])
            ratio = "" if r["ratio"] is None or np.isnan(r["ratio"]) else f"{r['ratio']:.3f}"
            cells.append([f"  {name}", f"{r['median']:,.4g}", spread, f"n={r['n']}", ratio])
    return aligned(cells, right={1, 2})


def run(
    name: str,
    sides: Sequence[str],
    turn: Callable[[str], Numbers],
    *,
    budget: float,
    settings: Mapping[str, Any],
    least_rounds: int = 3,
) -> dict[str, Any]:
    """Measures, prints a table and writes ``results/NAME-MACHINE.json``.

    Args:
      name: of the benchmark.
      sides: names; the first is the reference of the ratios.
      turn: runs one.
      budget: seconds.
      settings: of the benchmark, for the file.
      least_rounds: so many, whatever the budget.

    Returns:
      What was written.
    """
    with report.Clocked(budget, settings) as clocked:
        found = measure(sides, turn, clocked.deadline, least_rounds)
    rows = summarize(found)
    return report.keep(name, clocked, {"sides": rows, "turns": found}, table(rows))
