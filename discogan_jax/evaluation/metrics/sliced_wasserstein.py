"""Sliced Wasserstein distance of a set of images from real ones: patches at every scale."""

import numpy as np
from jaxtyping import Float, Float32

_PATCH = 7
_SMALLEST = 16
_FAINT = 1e-3  # a quarter of a step of 8-bit images: less is rounding, not texture
_IMAGES, _DIRECTIONS = 64, 32  # at a time


def distances(
    x: Float[np.ndarray, "N H W C"],
    y: Float[np.ndarray, "M H W C"],
    *,
    patches: int = 128,
    directions: int = 512,
    seed: int = 0,
) -> dict[str, float]:
    """Measures the sliced Wasserstein distance between patches of two sets of images, per scale.

    Karras et al. 2018 (arXiv 1710.10196, section 5): at each level of the Laplacian pyramid
    (Burt & Adelson 1983, filter 1-4-6-4-1) 7×7 patches are taken at random places, normalised per
    channel, and projected on random directions; the value is the mean over directions of the
    Wasserstein-1 distance of the projections. Published tables show it times 1000. Fine levels
    measure texture and sharpness, the coarsest one shape and colour.

    In the paper each set is normalised by its own mean and standard deviation, which hides a
    difference in overall brightness, tint or contrast. Here both are normalised by those of the
    two sets together, so that such a difference counts.

    Image i of either set is sampled at the same places, so the distance of equal sets is exactly
    0. It needs about 110 KB of memory for every image of either set.

    Args:
      x: images in [0, 1], at least 7×7.
      y: as many other images of the same size.
      patches: number of those taken from each image at each level.
      directions: number of those that patches are projected on.
      seed: of places and directions.

    Returns:
      A value of 0 or more for each level, by its height in pixels ('64', '32', '16'), and 'mean'
      over them. Levels go on as long as sides can be halved and are not below 16 pixels.

    Raises:
      ValueError: if images are smaller than a patch, or the sets are empty or of unequal size.
    """
    height, width = x.shape[1:3]
    if min(height, width) < _PATCH or not len(x) or len(x) != len(y):
        raise ValueError(
            f"Patches are {_PATCH}×{_PATCH}; the sets are {len(x)} and {len(y)} images of "
            f"{height}×{width} pixels."
        )
    values: dict[str, float] = {}
    # Per level: sample patches, normalise both sets together, compare projections.
    last = _levels(height, width) - 1
    for level in range(last + 1):
        ours, theirs = (_descriptors(z, level, level == last, patches, seed) for z in (x, y))
        _normalise(ours, theirs)
        distance = _sliced(ours, theirs, directions, np.random.default_rng([seed, level, 1]))
        values[str(height >> level)] = distance
    return {**values, "mean": float(np.mean(list(values.values())))}


def _levels(height: int, width: int) -> int:
    levels = 1
    while not (height % 2 or width % 2) and min(height, width) // 2 >= _SMALLEST:
        height, width, levels = height // 2, width // 2, levels + 1
    return levels


def _descriptors(
    images: Float[np.ndarray, "N H W C"], level: int, last: bool, patches: int, seed: int
) -> Float32[np.ndarray, "NP C D"]:
    """Cuts patches out of one level of the pyramid, and flattens them."""
    count, height, width, channels = images.shape
    places = np.random.default_rng([seed, level])  # the same places for both sets
    top, left = (
        places.integers(0, (side >> level) - _PATCH + 1, (count, patches))
        for side in (height, width)
    )
    result = np.empty((count, patches, channels, _PATCH, _PATCH), np.float32)
    for start in range(0, count, _IMAGES):
        part = slice(start, start + _IMAGES)
        detail = _detail(images[part].astype(np.float32), level, last)
        windows = np.lib.stride_tricks.sliding_window_view(detail, (_PATCH, _PATCH), axis=(1, 2))
        result[part] = windows[np.arange(len(detail))[:, None], top[part], left[part]]
    return result.reshape(count * patches, channels, _PATCH**2)


def _detail(x: Float32[np.ndarray, "n H W C"], level: int, last: bool) -> np.ndarray:
    """Computes a level of the Laplacian pyramid: what a smaller image cannot show.

    The last level is the small image itself.
    """
    for _ in range(level):
        x = _resample(x, *(_blur(side)[::2] for side in x.shape[1:3]))
    if last:
        return x
    rows, columns = (_blur(side) for side in x.shape[1:3])
    smaller = _resample(x, rows[::2], columns[::2])
    # Up-sampling puts zeros between pixels, filters again, and doubles along each axis.
    return x - _resample(smaller, 2 * rows[:, ::2], 2 * columns[:, ::2])


def _resample(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.einsum("hi,wj,nijc->nhwc", rows, columns, x, optimize=True)


def _blur(side: int) -> Float32[np.ndarray, "side side"]:
    """Writes the 1-4-6-4-1 filter along one axis as a matrix, mirrored at the ends."""
    mirrored = np.pad(np.eye(side, dtype=np.float32), ((2, 2), (0, 0)), "reflect")
    weights = np.array([1, 4, 6, 4, 1], np.float32) / 16
    return sum(weight * mirrored[i : i + side] for i, weight in enumerate(weights))


def _normalise(x: Float32[np.ndarray, "N C D"], y: Float32[np.ndarray, "N C D"]) -> None:
    """Gives every channel of both sets together mean 0 and standard deviation 1.

    In place, because the sets are large.
    """
    # The moments of the union follow from those of both sets, which are equally large.
    means = [z.mean((0, 2), dtype=np.float64, keepdims=True) for z in (x, y)]
    variances = [z.var((0, 2), dtype=np.float64, keepdims=True) for z in (x, y)]
    mean = (means[0] + means[1]) / 2
    variance = (variances[0] + variances[1]) / 2 + (means[0] - means[1]) ** 2 / 4
    for z in (x, y):
        np.subtract(z, mean, out=z)
        np.divide(z, np.maximum(np.sqrt(variance), _FAINT), out=z)


def _sliced(
    x: Float32[np.ndarray, "N C D"],
    y: Float32[np.ndarray, "N C D"],
    directions: int,
    random: np.random.Generator,
) -> float:
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    along = random.standard_normal((directions, x.shape[1]))
    along = (along / np.linalg.norm(along, axis=1, keepdims=True)).astype(np.float32)
    total = 0.0
    for start in range(0, directions, _DIRECTIONS):
        some = along[start : start + _DIRECTIONS]
        # Between equally many samples, the Wasserstein-1 distance compares them in order.
        differences = np.abs(np.sort(some @ x.T) - np.sort(some @ y.T))
        total += float(differences.mean(1, dtype=np.float64).sum())
    return total / directions
