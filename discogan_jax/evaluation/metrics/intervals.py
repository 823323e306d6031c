"""95% confidence intervals, for other images of the same kind."""

import math

import numpy as np
from jaxtyping import Num
from scipy.special import stdtrit

Interval = tuple[float, float]

_TAIL = (1 - 0.95) / 2


def student(count: int) -> float:
    """Returns the standard errors on either side of a mean of so many values that hold 95%.

    They are those of Student's t distribution with `count - 1` degrees of freedom: 12.7 for two
    values, 2.36 for eight, near 1.96 for many.
    """
    return float(stdtrit(count - 1, 1 - _TAIL))


def of_mean(values: Num[np.ndarray, "N"]) -> Interval | None:
    """Computes the interval of the mean of values; None if there is one value or none is finite."""
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    reach = student(len(values)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - reach, float(values.mean()) + reach


def of_share(share: float, count: int) -> Interval:
    """Computes Wilson's interval of a share (1927, JASA 22), which is not empty at 0 and 1 either.

    Args:
      share: the part of the images that something holds for.
      count: the number of images.
    """
    z2 = float(stdtrit(np.inf, 1 - _TAIL)) ** 2 / count
    middle = share + z2 / 2
    reach = math.sqrt(z2 * (share * (1 - share) + z2 / 4))
    return max(0.0, (middle - reach) / (1 + z2)), min(1.0, (middle + reach) / (1 + z2))
