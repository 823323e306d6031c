"""What of an attribute an image shares with its translation: hue, lightness, angle.

An attribute is one number per image. Where either number of a pair is not a number (an image
without foreground has no hue), the pair is left out. Angles are in degrees. Each measure is
reported beside what a random pairing gives: a translation that ignores its input gives the same.
"""

from collections.abc import Callable
from itertools import permutations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_NOTHING = 1e-9  # variances of numbers up to 1 below it are rounding
_TINY = 1e-300


class Kept(NamedTuple):
    """A measure of pairs beside its value for pairs drawn at random.

    Attributes:
      value: for the pairs as given.
      random: mean over random pairings.
      spread: standard deviation over random pairings.
      pairs: how many were measured.
    """

    value: float
    random: float
    spread: float
    pairs: int


class AngleMap(NamedTuple):
    """The rotation, or reflection and rotation, that comes nearest to a map of angles.

    Attributes:
      mirrored: whether output angles run against input angles.
      offset: degrees; output ≈ offset + input, or offset - input if mirrored.
      correlation: circular, of the map so mirrored: 1 if it is exact, near 0 if there is none.
      rmse: root mean square of what remains, degrees.
    """

    mirrored: bool
    offset: float
    correlation: float
    rmse: float


def against_random(
    measure: Callable[[np.ndarray, np.ndarray], float],
    x: Float[np.ndarray, "N"],
    y: Float[np.ndarray, "N"],
    *,
    pairings: int = 200,
    seed: int = 0,
) -> Kept:
    """Applies a measure to pairs, and to the same values paired at random.

    Args:
      measure: of two equally long arrays; a function below, or one with its options filled in.
      x: an attribute of the inputs.
      y: of the outputs, in the same order.
      pairings: how many random ones.
      seed: of the pairings.

    Returns:
      The value beside that of chance; not a number where fewer than two pairs can be measured.
    """
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if len(x) < 2:
        return Kept(float("nan"), float("nan"), float("nan"), len(x))
    random = np.random.default_rng(seed)
    chance = [measure(x, random.permutation(y)) for _ in range(pairings)]
    return Kept(measure(x, y), float(np.mean(chance)), float(np.std(chance)), len(x))


def hue_error(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """Mean difference of angles the short way round: 0 to 180 degrees, 90 for unrelated hues."""
    return float(np.abs(_wrapped(y - x)).mean())


def correlation(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """Pearson's correlation, -1 to 1; 0 where either side is constant, since nothing is kept."""
    # Relative to the values: a constant's rounding errors correlate with anything.
    x, y = (z / max(float(np.abs(z).max()), _TINY) for z in (x, y))
    return _ratio(x - x.mean(), y - y.mean())


def labels_kept(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """The share of labels that are as the best one-to-one renaming has them; 0 to 1.

    Every renaming is tried: for a handful of different labels.

    Args:
      x: labels, as numbers.
      y: their partners, of the same labels.

    Returns:
      1 if one label always becomes the same other one. The share of the commonest label, or more,
      comes out by chance alone.
    """
    labels = np.union1d(x, y)
    counts = ((x == labels[:, None])[:, None] & (y == labels[:, None])).sum(-1)
    rows = range(len(labels))
    return max(float(counts[rows, to].sum()) for to in map(list, permutations(rows))) / len(x)


def circular_correlation(
    x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"], *, even: bool = True
) -> float:
    """Correlation of angles, whatever offset is between them.

    Jammalamadaka & SenGupta 2001 ("Topics in Circular Statistics", section 8.2): the correlation
    of sin(x - a) and sin(y - b). Their a and b are the mean directions. Angles that are spread
    evenly (hues are) have none: it is drawn by chance for x and y, and the correlation of all but
    equal angles may come out as anything. Then, as they advise, a and b are those of the strongest
    association: a - b the mean direction of x - y, a + b that of x + y. Where mean directions are
    sound, both forms agree.

    Args:
      x: angles in degrees.
      y: their partners.
      even: angles may be evenly spread; False takes the mean directions.

    Returns:
      -1 to 1: 1 if y is x plus an angle, -1 if it is an angle minus x, near 0 if they are
      unrelated; 0 where either side is constant.
    """
    x, y = np.radians(x), np.radians(y)
    if even:
        difference, total = _direction(x - y), _direction(x + y)
        a, b = (total + difference) / 2, (total - difference) / 2
    else:
        a, b = _direction(x), _direction(y)
    return _ratio(np.sin(x - a), np.sin(y - b))


def angle_map(
    x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"], *, period: float = 360.0
) -> AngleMap:
    """Fits a rotation, mirrored or not, to a map of angles.

    Kim et al. 2017 (arXiv 1703.05192, section 4.2) count an angle as kept when output and input
    correspond one to one, be it mirrored or turned by a constant. Of both directions the one with
    the smaller error is taken.

    Args:
      x: angles of the inputs in degrees.
      y: angles of the outputs.
      period: degrees after which an angle repeats; 180 for things without front and back.

    Returns:
      The map.
    """
    turn = 360 / period
    fits = []
    for sign in (1, -1):
        difference = turn * (y - sign * x)
        offset = np.degrees(_direction(np.radians(difference)))
        rest = _wrapped(difference - offset) / turn
        fits.append((float(np.sqrt(np.square(rest).mean())), float(offset / turn % period), sign))
    rmse, offset, sign = min(fits)
    return AngleMap(sign < 0, offset, sign * circular_correlation(turn * x, turn * y), rmse)


def angles_kept(
    x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"], *, period: float = 360.0, seed: int = 0
) -> dict[str, Kept]:
    """Says whether a map of angles is one rotation, mirrored or not, whichever it is.

    Args:
      x: angles of the inputs in degrees.
      y: angles of the outputs.
      period: as in `angle_map`.
      seed: of the random pairings, whose best direction is taken as well.

    Returns:
      'correlation' and 'rmse' (degrees) of `angle_map`, each beside chance.
    """

    def fit(a: np.ndarray, b: np.ndarray) -> AngleMap:
        return angle_map(a, b, period=period)

    return {
        "correlation": against_random(lambda a, b: fit(a, b).correlation, x, y, seed=seed),
        "rmse": against_random(lambda a, b: fit(a, b).rmse, x, y, seed=seed),
    }


def _direction(angles: Float[np.ndarray, "N"]) -> float:
    """The mean direction of angles, all in radians."""
    return float(np.angle(np.exp(1j * angles).mean()))


def _wrapped(degrees: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """The same angles in [-180, 180)."""
    return (degrees + 180) % 360 - 180


def _ratio(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """The mean product over the root of mean squares; 0 where one is 0 but for rounding."""
    squares_x, squares_y = np.square(x).mean(), np.square(y).mean()
    if min(squares_x, squares_y) < _NOTHING:
        return 0.0
    return float((x * y).mean() / np.sqrt(squares_x * squares_y))
