"""Times several implementations ("sides") of the same case ("work") alternately in one process.

Machines are noisy, and noise comes in bursts. Therefore each round runs every implementation once,
and the next round starts with a different one, so that only times from the same minutes are
compared.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TURN = 0.1  # minimum seconds of a run: shorter calls are repeated
LEAST_ROUNDS = 3

Clock = Callable[[], float]
Seconds = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Implementation:
    """One implementation of a case.

    Attributes:
      name: the implementation's name.
      call: starts the work; may return before it has finished.
      wait: receives the result of `call` and returns once the work has finished.
      times: how many times one call does the work.
    """

    name: str
    call: Callable[[], Any]
    wait: Callable[[Any], Any] = lambda result: result
    times: int = 1


@dataclass(frozen=True)
class Case:
    """A case to be timed, with its implementations.

    Attributes:
      name: the case's name.
      sides: its implementations; the first is the reference of the ratios.
      flops: floating-point operations that the case needs, or None.
      notes: additional entries of the report.
    """

    name: str
    sides: Sequence[Implementation]
    flops: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


def _turn(side: Implementation, repeats: int, clock: Clock) -> float:
    """Times an implementation and returns the seconds per execution of the case."""
    begun = clock()
    for _ in range(repeats):
        result = side.call()
    side.wait(result)
    return (clock() - begun) / (repeats * side.times)


def measure(works: Sequence[Case], deadline: float, clock: Clock = time.perf_counter) -> Seconds:
    """Times all implementations of all cases, round by round.

    Args:
      works: compiled cases; their implementations are called once before the timing, to estimate
        how long they take.
      deadline: time on the clock by which the last round should end; the first three always run.
      clock: returns seconds.

    Returns:
      Seconds by case and implementation, one number per round.
    """
    repeats: dict[tuple[str, str], int] = {}
    seconds: Seconds = {w.name: {s.name: [] for s in w.sides} for w in works}
    for work in works:
        for side in work.sides:
            once = _turn(side, 1, clock) * side.times
            repeats[work.name, side.name] = max(1, math.ceil(TURN / once)) if once > 0 else 1
    done = 0
    while True:
        begun = clock()
        for work in works:
            first = done % len(work.sides)
            for side in (*work.sides[first:], *work.sides[:first]):
                took = _turn(side, repeats[work.name, side.name], clock)
                seconds[work.name][side.name].append(took)
        done += 1
        now = clock()
        if done >= LEAST_ROUNDS and now + (now - begun) > deadline:
            return seconds


def ratio(side: Sequence[float], reference: Sequence[float]) -> tuple[float, float, float]:
    """Computes the ratio of an implementation's time to the reference's, with its range.

    Args:
      side: seconds of the implementation, one number per round.
      reference: seconds of the reference in the same rounds.

    Returns:
      The ratio of the medians, and the smallest and the largest ratio of a round. The range of
      three rounds contains the true median with a probability of 75%.
    """
    rounds = [x / y for x, y in zip(side, reference, strict=True)]
    return float(np.median(side) / np.median(reference)), min(rounds), max(rounds)


def summarize(works: Sequence[Case], seconds: Seconds) -> dict[str, Any]:
    """Computes median, quartiles, ratio and speed of every implementation, by case.

    Args:
      works: the argument of `measure`.
      seconds: its result.
    """
    found: dict[str, Any] = {}
    for work in works:
        reference = work.sides[0].name
        rows = {}
        for side, times in seconds[work.name].items():
            low, median, high = (float(q) for q in np.quantile(times, (0.25, 0.5, 0.75)))
            ratio_, ratio_low, ratio_high = ratio(times, seconds[work.name][reference])
            rows[side] = {
                "median": median,
                "quartiles": [low, high],
                "n": len(times),
                "ratio": ratio_,
                "ratio_range": [ratio_low, ratio_high],
                "gflops_per_second": work.flops and work.flops / median / 1e9,
                "seconds": times,
            }
        found[work.name] = {"reference": reference, "flops": work.flops, **work.notes}
        found[work.name]["sides"] = rows
    return found
