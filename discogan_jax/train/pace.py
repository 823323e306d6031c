"""Measures how fast a run trains, and how long the rest of it takes at that pace."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

_REMEMBERED = 0.99  # what a step weighs in the mean, relative to the one after it


class Pace:
    """A stopwatch of steps that stands still while something interrupts them.

    The mean is that of the last hundred steps or so. The first step, in which the program may still
    be compiled, is not in it.

    Attributes:
      seconds: how long the steps of the mean took; recent ones weigh most.
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
        self._interrupted = 0.0
        self._took: dict[str, float] = {}
        # The last step that has ended, and when; the mean.
        self._step: int | None = None
        self._time = self._steps = self.seconds = 0.0
        # Since the beginning of a lap.
        self._lap = (0, 0.0)
        self._waited = 0.0

    def _now(self) -> float:
        return self._clock() - self._interrupted

    @property
    def speed(self) -> float | None:
        """Steps a second; None before the second step has ended."""
        return self._steps / max(self.seconds, 1e-9) if self._steps else None

    def reached(self, step: int) -> None:
        """Notes that a step has ended just now."""
        now = self._now()
        if self._step is not None:
            weight = _REMEMBERED ** (step - self._step)
            self._steps = weight * self._steps + step - self._step
            self.seconds = weight * self.seconds + now - self._time
        self._step, self._time = step, now

    def lap(self, step: int) -> dict[str, float]:
        """Begins a lap after a step.

        Returns:
          Of the lap before: ``steps_per_second``, and ``data_wait_fraction`` of the time.
        """
        (start, began), self._lap = self._lap, (step, self._now())
        seconds, waited = max(self._lap[1] - began, 1e-9), self._waited
        self._waited = 0.0
        speed = (step - start) / seconds
        return {"steps_per_second": speed, "data_wait_fraction": waited / seconds}

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Measures how long a step waits for its batches."""
        began = self._clock()
        yield
        self._waited += self._clock() - began

    @contextmanager
    def interrupted(self, kind: str = "") -> Iterator[None]:
        """Measures an interruption; the least that one of a kind took is what others will take.

        The first one of a kind may include the compilation of its program.

        Args:
          kind: one of the periods; "" for what will not happen again.
        """
        began = self._clock()
        yield
        took = self._clock() - began
        self._interrupted += took
        if kind:
            self._took[kind] = min(self._took.get(kind, took), took)

    def left(self, step: int) -> float | None:
        """Returns the seconds from a step to the end; None before the second step has ended.

        Args:
          step: the step, which need not be the last one that has ended.
        """
        if not self._steps:
            return None
        seconds = (self._last_step - step) * self.seconds / self._steps
        for kind, took in self._took.items():
            period = self._periods[kind] or self._last_step
            seconds += (math.ceil(self._last_step / period) - step // period) * took
        return seconds
