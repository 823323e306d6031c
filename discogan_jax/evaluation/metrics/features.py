"""Distance and overlap of two sets of feature vectors.

The features may be pixels, activations of a small classifier, or Inception's. Only values for
Inception features may be called FID and KID: the names stand for the features, too.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from discogan_jax.evaluation.metrics.pairwise import rounding, squared_distances


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


def kernel_distance(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"], seed: int = 0
) -> Estimate:
    """Estimates the squared maximum mean discrepancy with the kernel (x·y/D + 1)³, without bias.

    Bińkowski et al. 2018 (arXiv 1801.01401), who call it KID for Inception features: the mean of
    the unbiased estimate over random subsets, here of half of the smaller set, at most 1000. For
    equal distributions it is below 0 about half the time; values of sets of different size may be
    compared.

    The interval is a bootstrap over samples in which no sample is paired with itself (repeats would
    add a bias); near a distance of 0 it is too wide rather than too narrow.

    It needs 8·(N² + M² + N·M) bytes of memory: pass a part of very large sets.

    Args:
      x: features of one set.
      y: features of the other.
      seed: of subsets and bootstrap.

    Returns:
      The estimate.

    Raises:
      ValueError: if a set has fewer than 4 samples.
    """
    size = min(1000, len(x) // 2, len(y) // 2)
    if size < 2:
        raise ValueError(
            f"Subsets of {size} from {len(x)} and {len(y)} samples are too small; give at least 4."
        )
    x, y = x.astype(np.float64), y.astype(np.float64)
    kernels = [(a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    random = np.random.default_rng(seed)
    # The value is the mean over subsets, whose number hardly matters.
    subsets = (_subsets(random, len(z), size, 100) for z in (x, y))
    value = float(_discrepancy(*kernels, *subsets).mean())
    # The interval is that of resamples of all samples.
    resamples = (_resamples(random, len(z), 1000).astype(np.float64) for z in (x, y))
    return Estimate(value, *_interval(value, _discrepancy(*kernels, *resamples)))


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


def _discrepancy(
    xx: Float[np.ndarray, "N N"],
    yy: Float[np.ndarray, "M M"],
    xy: Float[np.ndarray, "N M"],
    x_counts: Float[np.ndarray, "draws N"],
    y_counts: Float[np.ndarray, "draws M"],
) -> Float[np.ndarray, "draws"]:
    """Computes the unbiased estimate from kernels, each sample weighted by its count."""

    # Sum over all pairs of draws, without those of a sample with itself.
    def within(kernel: np.ndarray, counts: np.ndarray) -> np.ndarray:
        squares = counts**2
        pairs = counts.sum(1) ** 2 - squares.sum(1)
        return ((counts @ kernel * counts).sum(1) - squares @ np.diag(kernel)) / pairs

    across = (x_counts @ xy * y_counts).sum(1) / (x_counts.sum(1) * y_counts.sum(1))
    return within(xx, x_counts) + within(yy, y_counts) - 2 * across


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


def _subsets(
    random: np.random.Generator, count: int, size: int, draws: int
) -> Float[np.ndarray, "draws count"]:
    """Draws without replacement: 1 for samples in the subset, 0 for the others."""
    ranks = random.permuted(np.tile(np.arange(count), (draws, 1)), axis=1)
    return (ranks < size).astype(np.float64)


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
