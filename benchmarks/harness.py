"""Times several ways ("sides") of doing the same work, in turns, in one process.

Machines are noisy, and noise comes in spells. So each round gives every side one turn, and the next
round begins with another side; what is compared is what ran within the same minutes.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TURN = 0.1  # seconds that a turn lasts at least: shorter calls are repeated
LEAST_ROUNDS = 3
RESAMPLES = 2000

Clock = Callable[[], float]
Seconds = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Side:
    """One way of doing some work.

    Attributes:
      name: of the side.
      call: begins the work, and may return before it has ended.
      wait: takes what `call` returned and returns once the work has ended.
      times: how often one call does the work.
    """

    name: str
    call: Callable[[], Any]
    wait: Callable[[Any], Any] = lambda result: result
    times: int = 1


@dataclass(frozen=True)
class Work:
    """What is done, and by whom.

    Attributes:
      name: of the work.
      sides: the ways of doing it; the first is the reference of the ratios.
      flops: floating-point operations that the work needs, or None.
      notes: goes into the report as it is.
    """

    name: str
    sides: Sequence[Side]
    flops: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


def _turn(side: Side, repeats: int, clock: Clock) -> float:
    """Seconds that the work takes a side once."""
    begun = clock()
    for _ in range(repeats):
        result = side.call()
    side.wait(result)
    return (clock() - begun) / (repeats * side.times)


def measure(works: Sequence[Work], deadline: float, clock: Clock = time.perf_counter) -> Seconds:
    """Times all sides of all works, round by round.

    Args:
      works: compiled; their sides are called once before the timing, to see how long that takes.
      deadline: on the clock; no round begins that would not end by then, but for the first three.
      clock: returns seconds.

    Returns:
      Seconds by work and side, one number a round.
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
    """How many times as long as the reference a side takes.

    Args:
      side: seconds, one number a round.
      reference: the same of the reference, in the same rounds.

    Returns:
      The ratio of the medians, and the ends of its 95% interval over rounds drawn with
      replacement, the same ones for both.
    """
    x, y = np.asarray(side), np.asarray(reference)
    drawn = np.random.default_rng(0).integers(len(x), size=(RESAMPLES, len(x)))
    ratios = np.median(x[drawn], axis=1) / np.median(y[drawn], axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(np.median(x) / np.median(y)), float(low), float(high)


def summarize(works: Sequence[Work], seconds: Seconds) -> dict[str, Any]:
    """Median, quartiles, ratio and speed of every side, by work.

    Args:
      works: what `measure` was given.
      seconds: what it returned.
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
                "ratio_interval": [ratio_low, ratio_high],
                "gflops_per_second": work.flops and work.flops / median / 1e9,
                "seconds": times,
            }
        found[work.name] = {"reference": reference, "flops": work.flops, **work.notes}
        found[work.name]["sides"] = rows
    return found
