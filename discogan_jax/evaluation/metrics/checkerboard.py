"""Energy of the grid that up-sampling layers of stride 2 leave in images."""

import numpy as np
from jaxtyping import Float

_PERIOD = 4


def grid_energy(images: Float[np.ndarray, "N H W C"], real: Float[np.ndarray, "M H W C"]) -> float:
    """Divides the energy in patterns that repeat every two or four pixels by that of real images.

    If the kernels of the last two up-sampling layers, of stride 2, overlap unevenly, they leave a
    grid on every image (Odena et al. 2016, "Deconvolution and checkerboard artifacts"). It lies at
    multiples of a quarter of the sampling frequency along both axes: fifteen lines of the discrete
    Fourier transform, without the constant. At each line the mean power of the images is divided by
    that of the real ones, which is small at fine lines of photographs; the value is the mean of
    these ratios. Blur brings it below 1 where there is no grid.

    Args:
      images: in any range; height and width are multiples of 4.
      real: what they should look like, in the same range and size.

    Returns:
      0 or more, about 1 for other real images; infinite or NaN where the real ones have no energy
      at all at one of the lines.

    Raises:
      ValueError: the size is no multiple of 4.
    """
    ours, theirs = map(_lines, (images, real))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float((ours / theirs).mean())


def _lines(images: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, "15"]:
    N, H, W, C = images.shape
    if H % _PERIOD or W % _PERIOD:
        raise ValueError(f"height and width must be multiples of {_PERIOD}, not {H}×{W}")
    # Averaging the squares of 4×4 leaves only what repeats every four pixels.
    shape = (N, H // _PERIOD, _PERIOD, W // _PERIOD, _PERIOD, C)
    squares = images.astype(np.float64).reshape(shape).mean((1, 3))
    power = np.square(np.abs(np.fft.fft2(squares, axes=(1, 2)))).mean((0, 3))
    return power.ravel()[1:]
