"""How well an attribute of an image is kept by its translation: hue, lightness, angle, label.

An attribute is one number per image. Pairs of which a number is NaN (an image without foreground
has no hue) are left out. Angles are in degrees. Each measure is reported beside its mean over
random pairings, which a translation that ignores its input reaches, too.
"""

from collections.abc import Callable
from itertools import permutations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

_NOTHING = 1e-9  # of numbers up to 1: variances below it are rounding errors
_TINY = 1e-300
_PAIRINGS = 200


class Agreement(NamedTuple):
    """A measure of pairs beside its value for random pairs.

    Attributes:
      value: value for the pairs as given.
      random: mean over random pairings.
    """

    value: float
    random: float


def against_random(
    measure: Callable[[np.ndarray, np.ndarray], float],
    x: Num[np.ndarray, "N"],
    y: Num[np.ndarray, "N"],
    seed: int = 0,
) -> Agreement:
    """Applies a measure to pairs, and to the same values paired at random.

    Args:
      measure: a function of two arrays of equal length.
      x: an attribute of the inputs.
      y: the same attribute of the outputs, in the same order.
      seed: of the random pairings.

    Returns:
      The value beside that of chance; NaN where fewer than two pairs can be measured.
    """
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if len(x) < 2:
        return Agreement(float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    chance = [measure(x, random.permutation(y)) for _ in range(_PAIRINGS)]
    return Agreement(measure(x, y), float(np.mean(chance)))


def hue_error(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """Averages the difference of angles the short way round: 0 to 180, 90 for unrelated hues."""
    return float(np.abs(_wrapped(y - x)).mean())


def correlation(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """Computes Pearson's correlation, -1 to 1; 0 where either side is constant."""
    # Relative to the values, because a constant's rounding errors correlate with anything.
    x, y = (z / max(float(np.abs(z).max()), _TINY) for z in (x, y))
    return _ratio(x - x.mean(), y - y.mean())


def label_agreement(x: Num[np.ndarray, "N"], y: Num[np.ndarray, "N"]) -> float:
    """Finds the share of labels that agree under the best one-to-one renaming; 0 to 1.

    It tries every renaming, so it is for a handful of labels.

    Args:
      x: labels, as numbers.
      y: labels of their partners, of the same kind.

    Returns:
      1 if one label always becomes the same other one. Chance reaches the share of the commonest
      label, or more.
    """
    # Count pairs of labels, then sum the counts along every renaming.
    labels = np.union1d(x, y)
    counts = ((x == labels[:, None])[:, None] & (y == labels[:, None])).sum(-1)
    rows = range(len(labels))
    return max(float(counts[rows, to].sum()) for to in map(list, permutations(rows))) / len(x)


def circular_correlation(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """Computes the correlation of angles, whatever the offset between them.

    Jammalamadaka & SenGupta 2001 ("Topics in Circular Statistics", section 8.2): the correlation
    of sin(x - a) and sin(y - b). Their a and b are the mean directions, which evenly spread angles
    (hues are) do not have: the sampled ones are random, and the correlation of all but equal angles
    may be anything. Then they advise, and this does, to take a and b of the strongest association:
    a - b is the mean direction of x - y, a + b that of x + y. Where angles have a mean direction,
    both forms agree.

    Args:
      x: angles in degrees.
      y: angles of their partners.

    Returns:
      -1 to 1: 1 if y is x plus an angle, -1 if it is an angle minus x, near 0 if they are
      unrelated; 0 where either side is constant.
    """
    x, y = np.radians(x), np.radians(y)
    difference, total = _direction(x - y), _direction(x + y)
    a, b = (total + difference) / 2, (total - difference) / 2
    return _ratio(np.sin(x - a), np.sin(y - b))


def map_error(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """Fits a rotation, mirrored or not, to a map of angles; measures what it leaves unexplained.

    Kim et al. 2017 (arXiv 1703.05192, section 4.2) count an angle as kept when output and input
    correspond one to one, be it mirrored or rotated by a constant. Of both directions the one with
    the smaller error is taken.

    Args:
      x: angles of the inputs in degrees.
      y: angles of the outputs.

    Returns:
      The root mean squared error of the fit in degrees.
    """
    return _fit(x, y)[0]


def map_correlation(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """Computes the circular correlation of angles, of mirrored ones if that fits better.

    Args:
      x: angles of the inputs in degrees.
      y: angles of the outputs.

    Returns:
      1 if the fit of `map_error` is exact, near 0 if the angles are unrelated.
    """
    return _fit(x, y)[1] * circular_correlation(x, y)


def _fit(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> tuple[float, int]:
    """Returns the error of the better direction, and its sign: -1 if that is mirrored."""
    # Output ≈ offset + sign · input: the offset is the mean direction of what remains.
    fits = []
    for sign in (1, -1):
        difference = y - sign * x
        rest = _wrapped(difference - np.degrees(_direction(np.radians(difference))))
        fits.append((float(np.sqrt(np.square(rest).mean())), sign))
    return min(fits)


def _direction(angles: Float[np.ndarray, "N"]) -> float:
    """Averages the directions of angles; all in radians."""
    return float(np.angle(np.exp(1j * angles).mean()))


def _wrapped(degrees: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """Wraps angles to [-180, 180)."""
    return (degrees + 180) % 360 - 180


def _ratio(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """Divides the mean product by the root mean squares; 0 where one is 0 but for rounding."""
    squares_x, squares_y = np.square(x).mean(), np.square(y).mean()
    if min(squares_x, squares_y) < _NOTHING:
        return 0.0
    return float((x * y).mean() / np.sqrt(squares_x * squares_y))
