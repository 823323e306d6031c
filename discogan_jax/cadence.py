"""Decides when it is time: to log, to print, to sample, to save."""

from collections.abc import Iterable


def due(step: int, period: int) -> bool:
    """Whether something that is done every `period` steps is done after `step` finished steps.

    Args:
      step: finished steps, from 0; everything periodic is due at 0.
      period: steps between two times; 0 means never.
    """
    return period > 0 and step % period == 0


def steps_until_due(step: int, stop: int, periods: Iterable[int]) -> int:
    """How many steps may run in one go before anything is due again.

    Args:
      step: finished steps.
      stop: the last step, at least ``step + 1``; the end is always due.
      periods: as in `due`.

    Returns:
      At least 1.
    """
    return min([stop - step, *(p - step % p for p in periods if p > 0)])
