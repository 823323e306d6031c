"""Measures properties of whole processes: each run of an implementation is a separate process.

A benchmark of this kind is a module that, called with ``--turn SIDE`` and its other arguments,
does the work once and prints a JSON object of numbers as its last line. Implementations ("sides")
run alternately, as in `harness`.
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
STARTED = "BENCHMARK_TURN_STARTED"  # environment variable with the start time of the run's process


def take(module: str, side: str, arguments: Sequence[str]) -> Numbers:
    """Runs one implementation in a process of its own.

    Args:
      module: module name of the benchmark.
      side: name of the implementation.
      arguments: further arguments of the module.

    Returns:
      The numbers of the last line that the process printed.

    Raises:
      RuntimeError: if the process failed; the message has its error output.
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
    """Returns the seconds since the process of this run was started."""
    return time.time() - float(os.environ[STARTED])


def measure(
    sides: Sequence[str],
    turn: Callable[[str], Numbers],
    deadline: float,
    least_rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[Numbers]]:
    """Runs the implementations alternately; each round starts with a different one.

    Args:
      sides: names of the implementations.
      turn: runs an implementation and returns its numbers.
      deadline: time on the clock by which the last round should end.
      least_rounds: number of rounds that run in any case.
      clock: returns seconds.

    Returns:
      The numbers by implementation, one object per round.
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
    """Computes median, range and ratio to the first implementation, of each number."""
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
      name: the benchmark's name.
      sides: names of the implementations; the first is the reference of the ratios.
      turn: runs an implementation and returns its numbers.
      budget: seconds.
      settings: the benchmark's settings, for the file.
      least_rounds: number of rounds that run regardless of the budget.

    Returns:
      The content of the file.
    """
    with report.Clocked(budget, settings) as clocked:
        found = measure(sides, turn, clocked.deadline, least_rounds)
    rows = summarize(found)
    return report.keep(name, clocked.facts, {"sides": rows, "turns": found}, table(rows))
