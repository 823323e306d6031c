"""Differences of images from those that they should equal: reconstructions, true pairs.

The functions give one number per image, so that means have an interval.
"""

import numpy as np
from jaxtyping import Float

_WINDOW, _SIGMA = 11, 1.5  # Wang et al. 2004, section III-B
_CHUNK = 64  # images at a time: SSIM needs ten times the memory of its input


def ssim(
    x: Float[np.ndarray, "N H W C"], y: Float[np.ndarray, "N H W C"]
) -> Float[np.ndarray, "N"]:
    """Computes the structural similarity of each image to its partner.

    Wang et al. 2004 ("Image quality assessment: from error visibility to structural similarity",
    IEEE TIP 13(4)): Gaussian window of 11×11 and standard deviation 1.5, K1 = 0.01, K2 = 0.03, of
    every channel by itself, averaged over the positions where the window fits and over channels.

    Args:
      x: images in [0, 1], at least 11×11.
      y: their partners in [0, 1].

    Returns:
      -1 to 1; 1 where an image equals its partner.

    Raises:
      ValueError: if the images are smaller than the window.
    """
    count, height, width = x.shape[:3]
    if min(height, width) < _WINDOW:
        raise ValueError(f"SSIM's window is {_WINDOW}×{_WINDOW}; images are {height}×{width}.")
    rows, columns = _window(height), _window(width)

    def local_mean(a: np.ndarray) -> np.ndarray:
        return np.einsum("hi,wj,nijc->nhwc", rows, columns, a, optimize=True)

    c1, c2 = 0.01**2, 0.03**2
    values = np.empty(count)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        a, b = x[part].astype(np.float64), y[part].astype(np.float64)
        # Local means, variances (their sum) and covariance.
        mean_a, mean_b = local_mean(a), local_mean(b)
        both = mean_a * mean_b
        squares = mean_a**2 + mean_b**2
        covariance = local_mean(a * b) - both
        variances = local_mean(a**2 + b**2) - squares
        # Luminance times contrast and structure.
        similarity = (2 * both + c1) * (2 * covariance + c2)
        similarity /= (squares + c1) * (variances + c2)
        values[part] = similarity.mean((1, 2, 3))
    return values


def paired(
    x: Float[np.ndarray, "N H W C"], y: Float[np.ndarray, "N H W C"]
) -> dict[str, Float[np.ndarray, "N"]]:
    """Compares each image with its partner.

    Args:
      x: images in [0, 1].
      y: their partners in [0, 1].

    Returns:
      One value per image: 'l1' and 'mse', the mean absolute and squared difference; 'psnr', the
      peak signal-to-noise ratio in decibels, infinite where an image equals its partner; 'ssim'.
    """
    difference = x - y
    mse = np.square(difference).mean((1, 2, 3), dtype=np.float64)
    with np.errstate(divide="ignore"):
        psnr = -10 * np.log10(mse)
    l1 = np.abs(difference).mean((1, 2, 3), dtype=np.float64)
    return {"l1": l1, "mse": mse, "psnr": psnr, "ssim": ssim(x, y)}


def _window(side: int) -> Float[np.ndarray, "positions side"]:
    """Writes the Gaussian window along one axis as a matrix: a row for each place that fits."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    weights /= weights.sum()
    places = side - _WINDOW + 1
    return np.stack([np.pad(weights, (place, places - 1 - place)) for place in range(places)])
