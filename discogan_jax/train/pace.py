"""Measures how fast a run trains, and how long the rest of it takes at that pace."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

_REMEMBERED = 0.99  # what a step weighs in the mean, relative to the one after it


class Pace:
    """The mean duration of the last hundred steps or so, and that of what interrupts them.

    The first step, in which the program may still be compiled, does not count.
    """

    def __init__(
        self, clock: Callable[[], float], last_step: int, periods: Mapping[str, int]
    ) -> None:
        """Starts without any measurement.

        Args:
          clock: returns seconds.
          last_step: number of the last step.
          periods: number of steps between two interruptions of a kind; one more is at the last
            step. 0 for the last step alone.
        """
        self._clock, self._last_step, self._periods = clock, last_step, periods
        self._step: int | None = None
        self._time = self._steps = self._seconds = 0.0
        self._took: dict[str, float] = {}

    @property
    def started(self) -> bool:
        """Whether the first step has ended."""
        return self._step is not None

    @property
    def seconds(self) -> float:
        """How long steps were measured for; recent ones weigh most."""
        return self._seconds if self._steps else 0.0

    @property
    def speed(self) -> float | None:
        """Steps a second; None before the second step has ended."""
        return self._steps / max(self._seconds, 1e-9) if self._steps else None

    def reached(self, step: int) -> None:
        """Notes that a step has ended just now."""
        now = self._clock()
        if self._step is not None:
            weight = _REMEMBERED ** (step - self._step)
            self._steps = weight * self._steps + step - self._step
            self._seconds = weight * self._seconds + now - self._time
        self._step, self._time = step, now

    @contextmanager
    def interrupted(self, kind: str) -> Iterator[None]:
        """Measures an interruption; the least that one of a kind took is what others will take.

        The first one of a kind may include the compilation of its program.
        """
        began = self._clock()
        yield
        self._took[kind] = min(self._took.get(kind, math.inf), self._clock() - began)

    def resume(self) -> None:
        """Starts to measure steps again: the time since the last one was not theirs."""
        self._time = self._clock()

    def left(self, step: int) -> float | None:
        """Returns the seconds from a step to the end; None before the second step has ended.

        Args:
          step: the step, which need not be the last one that has ended.
        """
        if not self._steps:
            return None
        seconds = (self._last_step - step) * self._seconds / self._steps
        for kind, took in self._took.items():
            period = self._periods[kind] or self._last_step
            seconds += (math.ceil(self._last_step / period) - step // period) * took
        return seconds
