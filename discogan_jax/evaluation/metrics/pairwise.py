"""Distances of all pairs of vectors, computed a block of rows at a time."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

_ROWS = 256


def squared_distances(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]
) -> Iterator[tuple[slice, Float[np.ndarray, "rows M"]]]:
    """Computes the squared Euclidean distance of every x from every y.

    Args:
      x: vectors.
      y: other vectors, or the same.

    Yields:
      A slice of rows of x and their distances from all of y: 0 or more, exact to `rounding(x, y)`.
    """
    # |x - y|² = |x|² + |y|² - 2x·y loses digits far from the origin: move it to the mean.
    origin = y.mean(0, dtype=np.float64)
    y = y - origin
    lengths = np.square(y).sum(1)
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        block = x[rows] - origin
        table = np.square(block).sum(1)[:, None] + lengths - 2 * block @ y.T
        yield rows, np.maximum(table, 0)


def rounding(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]) -> float:
    """Bounds the error of `squared_distances`: vectors nearer than that may be equal."""
    spread = max(float(np.square(z - z.mean(0, dtype=np.float64)).sum(1).max()) for z in (x, y))
    apart = np.square(x.mean(0, dtype=np.float64) - y.mean(0, dtype=np.float64)).sum()
    return 1e-12 * (spread + float(apart))
