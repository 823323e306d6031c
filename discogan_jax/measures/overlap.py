"""Do two sets of feature vectors lie in the same places? By balls around neighbours.

Both measures need features in which near means alike. Report them beside `between_halves` of the
real set (in `realism`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from discogan_jax.measures.pairwise import rounding, squared_distances


class PrecisionRecall(NamedTuple):
    """Shares of samples, 0 to 1: fakes that are near reals, reals that are near fakes."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """How thickly fakes lie where reals are (about 1 if alike), share of reals with a fake near."""

    density: float
    coverage: float


def precision_recall(
    real: Float[np.ndarray, "N D"], fake: Float[np.ndarray, "M D"], k: int = 3
) -> PrecisionRecall:
    """Improved precision and recall.

    Kynkäänniemi et al. 2019 (arXiv 1904.06991): a set covers the balls around its samples that
    reach to their k-th nearest neighbours. Precision is the share of fakes that reals cover,
    recall the share of reals that fakes cover. Outliers inflate both.

    Args:
      real: features of real images.
      fake: features of generated ones.
      k: which neighbour.

    Returns:
      Both shares. For two draws of the same images they are below 1: see `between_halves`.

    Raises:
      ValueError: if a set has not more than k samples.
    """
    slack = rounding(real, fake)
    real_reach, fake_reach = _reach(real, k) + slack, _reach(fake, k) + slack
    near_real = np.zeros(len(fake), bool)
    near_fake = np.zeros(len(real), bool)
    for rows, distances in squared_distances(real, fake):
        near_real |= (distances <= real_reach[rows, None]).any(0)
        near_fake[rows] = (distances <= fake_reach).any(1)
    return PrecisionRecall(float(near_real.mean()), float(near_fake.mean()))


def density_coverage(
    real: Float[np.ndarray, "N D"], fake: Float[np.ndarray, "M D"], k: int = 5
) -> DensityCoverage:
    """Density and coverage.

    Naeem et al. 2020 (arXiv 2002.09797): density is the number of balls around reals (to the
    k-th nearest other real) that a fake lies in, averaged and over k; it may pass 1. Coverage is
    the share of reals whose ball holds any fake. Outlying fakes inflate neither.

    Args:
      real: features of real images.
      fake: features of generated ones.
      k: which neighbour.

    Returns:
      Both. For two draws of the same N images, density is near 1 and coverage near 1 - 0.5^k.

    Raises:
      ValueError: if there are not more than k real samples.
    """
    slack = rounding(real, fake)
    reach = _reach(real, k) + slack
    inside = covered = 0
    for rows, distances in squared_distances(real, fake):
        hits = distances <= reach[rows, None]
        inside += int(hits.sum())
        covered += int(hits.any(1).sum())
    return DensityCoverage(inside / (k * len(fake)), covered / len(real))


def _reach(x: Float[np.ndarray, "N D"], k: int) -> Float[np.ndarray, "N"]:
    """Squared distance of each sample to its k-th nearest other."""
    if not 1 <= k < len(x):
        raise ValueError(f"A set of {len(x)} has no neighbour number {k}; give more samples.")
    # Number k, counted from 0: the nearest of all is the sample itself.
    return np.concatenate([np.partition(table, k)[:, k] for _, table in squared_distances(x, x)])
