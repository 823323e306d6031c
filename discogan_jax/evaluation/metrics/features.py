"""Distance and overlap of two sets of feature vectors.

The features may be pixels, activations of a small classifier, or Inception's. Only values for
Inception features may be called FID and KID: the names stand for the features, too.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from discogan_jax.evaluation.metrics import intervals
from discogan_jax.evaluation.metrics.pairwise import rounding, squared_distances

LEAST_IN_KERNEL = 4  # for the error of the kernel distance


class Estimate(NamedTuple):
    """An estimate with its 95% confidence interval.

    Attributes:
      value: the estimate.
      low: lower end of the interval.
      high: upper end of the interval.
    """

    value: float
    low: float
    high: float


def kernel_distance(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]) -> Estimate:
    """Estimates the squared maximum mean discrepancy with the kernel (x·y/D + 1)³, without bias.

    Bińkowski et al. 2018 (arXiv 1801.01401), who call it KID for Inception features, average it
    over subsets to save memory; this takes all pairs. Values of sets of different size may be
    compared. The discrepancy is never below 0, but for equal distributions its estimate is, about
    half the time.

    The interval is that of Student's t for the smaller set, from 0 on. The variance is that of a
    U-statistic of two samples (Hoeffding 1948). Its first-order part, 4·Var(a)/N + 4·Var(b)/M,
    is that of a sample's mean kernel with its own set less that with the other one. The variance
    of such means over the samples contains the second-order part, twice; this is estimated from
    the centred kernels, without bias (Székely & Rizzo 2014), and taken off once. The result may
    not be less than the second-order part, which makes it a little too large near 0.

    It needs 8·(N² + M² + N·M) bytes of memory: pass a part of very large sets.

    Args:
      x: features of one set.
      y: features of the other.

    Returns:
      The estimate.

    Raises:
      ValueError: if a set has fewer than 4 samples.
    """
    fewest = min(len(x), len(y))
    if fewest < LEAST_IN_KERNEL:
        raise ValueError(
            f"{len(x)} and {len(y)} samples are too few; give at least {LEAST_IN_KERNEL}."
        )
    x, y = x.astype(np.float64), y.astype(np.float64)
    xx, yy, xy = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    # What is between the sets, and what is within each of them.
    to_y, to_x = xy.mean(1), xy.mean(0)
    centred = xy - to_y[:, None] - to_x + xy.mean()
    between = float(np.square(centred).sum()) / ((len(x) - 1) * (len(y) - 1))
    parts = _within(xx, to_y), _within(yy, to_x), (-2 * xy.mean(), 0, 4 * between / xy.size)
    value, total, second = map(float, map(sum, zip(*parts, strict=True)))
    reach = intervals.student(fewest) * math.sqrt(max(total - second, second))
    # What is below 0 is wrong by as much at least.
    return Estimate(value, max(value - reach, 0.0), max(value + reach, -value))


def frechet_distance(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"], seed: int = 0
) -> Estimate:
    """Measures the squared Fréchet (Wasserstein-2) distance of Gaussians fitted to two sets.

    `|μx - μy|² + tr(Σx + Σy - 2·(Σx·Σy)^½)` (Dowson & Landau 1982), called FID for Inception
    features (Heusel et al. 2017, arXiv 1706.08500). It is biased upwards, the more the fewer the
    samples (Chong & Forsyth 2020, arXiv 1911.07023): compare only values of sets of equal size.

    The trace is the sum of singular values of a product of the two sets' factors (Σ = AᵀA, from a
    QR decomposition), so no root of a nearly singular matrix is taken, and sets of fewer samples
    than features are no special case.

    The interval shows how far the value would move with other samples of the same number; it is
    centred on the value, because resamples have an upward bias of their own. It is too wide, not
    too narrow, near 0 and for fewer samples than features. It takes a hundred times as long as the
    value.

    Args:
      x: features of one set.
      y: features of the other.
      seed: of the bootstrap.

    Returns:
      The estimate, 0 or more.

    Raises:
      ValueError: if a set has fewer than 2 samples.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"{len(x)} and {len(y)} samples have no covariance; give at least two.")
    x, y = x.astype(np.float64), y.astype(np.float64)
    value = _frechet(x, y, np.ones(len(x), np.int64), np.ones(len(y), np.int64))
    random = np.random.default_rng(seed)
    counts = zip(*(_resamples(random, len(z), 100) for z in (x, y)), strict=True)
    draws = np.array([_frechet(x, y, *pair) for pair in counts])
    low, high = _interval(value, draws)
    return Estimate(value, max(low, 0.0), high)


def _within(
    kernel: Float[np.ndarray, "N N"], other: Float[np.ndarray, "N"]
) -> tuple[float, float, float]:
    """Measures the pairs of a set, without those of a sample with itself, which it overwrites.

    Args:
      kernel: kernel of all pairs.
      other: mean kernel of each sample with the other set.

    Returns:
      The mean kernel; the variance of a U-statistic as the samples' means show it; of that, the
      second-order part of this set.
    """
    n = len(kernel)
    np.fill_diagonal(kernel, 0)
    own = kernel.sum(1) / (n - 1)
    total = 4 * (own - other).var(ddof=1) / n
    # Centre the kernel, as if the diagonal was not there.
    rows = kernel.sum(1) / (n - 2)
    kernel += kernel.sum() / ((n - 1) * (n - 2)) - rows - rows[:, None]
    np.fill_diagonal(kernel, 0)
    second = 2 * np.square(kernel).sum() / (n * (n - 3) * n * (n - 1))
    return float(own.mean()), float(total), float(second)


def _frechet(
    x: Float[np.ndarray, "N D"],
    y: Float[np.ndarray, "M D"],
    x_counts: Int[np.ndarray, "N"],
    y_counts: Int[np.ndarray, "M"],
) -> float:
    means: list[np.ndarray] = []
    factors: list[np.ndarray] = []
    # Factor both covariances: Σ = AᵀA.
    for z, counts in ((x, x_counts), (y, y_counts)):
        there = counts > 0
        rows, times = z[there], counts[there][:, None]
        means.append((times * rows).sum(0) / counts.sum())
        factor = np.sqrt(times / (counts.sum() - 1)) * (rows - means[-1])
        # R of QR has the same RᵀR, and no more rows than there are features.
        tall = factor.shape[0] > factor.shape[1]
        factors.append(np.asarray(np.linalg.qr(factor, mode="r")) if tall else factor)
    # tr((Σx·Σy)^½) is the sum of the singular values of A·Bᵀ.
    a, b = factors
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    spread = np.square(a).sum() + np.square(b).sum() - 2 * overlap
    return max(0.0, float(np.square(means[0] - means[1]).sum() + spread))


def _resamples(
    random: np.random.Generator, count: int, draws: int
) -> Int[np.ndarray, "draws count"]:
    """Draws with replacement, as many as there are, and counts each sample in each resample."""
    return random.multinomial(count, np.full(count, 1 / count), draws)


def _interval(value: float, draws: Float[np.ndarray, "draws"]) -> tuple[float, float]:
    """Takes the middle 95% of the draws, moved so that their mean is the value."""
    tail = (1 - 0.95) / 2
    low, high = np.quantile(draws - draws.mean() + value, [tail, 1 - tail])
    return float(low), float(high)


class DensityCoverage(NamedTuple):
    """Overlap of two sets.

    Attributes:
      density: how densely fakes lie where reals are, about 1 if both are alike.
      coverage: share of reals with a fake nearby.
    """

    density: float
    coverage: float


def density_coverage(
    real: Float[np.ndarray, "N D"], fake: Float[np.ndarray, "M D"], k: int = 5
) -> DensityCoverage:
    """Measures density and coverage.

    Naeem et al. 2020 (arXiv 2002.09797): density is the number of balls around reals (to the
    k-th nearest other real) that a fake lies in, averaged and divided by k; it may exceed 1.
    Coverage is the share of reals whose ball holds any fake. Outlying fakes inflate neither.

    Args:
      real: features of real images.
      fake: features of generated ones.
      k: number of the neighbour.

    Returns:
      Both. For two draws of the same N images, density is near 1 and coverage near 1 - 0.5^k.

    Raises:
      ValueError: if there are not more than k real samples.
    """
    if not 1 <= k < len(real):
        raise ValueError(f"A set of {len(real)} has no neighbour number {k}; give more samples.")
    # The squared distance of each real sample to its k-th nearest other: of all, it is itself the
    # nearest. A fake on the border of a ball is inside: rounding must not decide.
    tables = squared_distances(real, real)
    reach = np.concatenate([np.partition(table, k)[:, k] for _, table in tables])
    reach += rounding(real, fake)
    inside = covered = 0
    for rows, distances in squared_distances(real, fake):
        hits = distances <= reach[rows, None]
        inside += int(hits.sum())
        covered += int(hits.any(1).sum())
    return DensityCoverage(inside / (k * len(fake)), covered / len(real))
