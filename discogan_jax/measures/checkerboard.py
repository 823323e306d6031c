"""Did up-sampling leave its grid?"""

import numpy as np
from jaxtyping import Float

_PERIOD = 4


def grid_energy(images: Float[np.ndarray, "N H W C"], real: Float[np.ndarray, "M H W C"]) -> float:
    """Energy in patterns that repeat every two or four pixels, over that of real images.

    What the last two up-sampling layers, of stride 2, print on every image if their kernels overlap
    unevenly (Odena et al. 2016, "Deconvolution and checkerboard artifacts") lies at multiples of a
    quarter of the sampling frequency along both axes: fifteen lines of the discrete Fourier
    transform, the constant left out. At each the mean power of the images is divided by that of the
    real ones, of which photographs have little at the fine ones; the value is the mean of these
    ratios. Blur brings it below 1, where no grid is.

    Args:
      images: in any range; height and width are multiples of 4.
      real: what they should look like, in the same range and size.

    Returns:
      0 or more, about 1 for other real images; infinite or not a number where real ones have no
      energy at all at one of the lines.

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
    # What repeats every four pixels is all that is left when the squares of 4×4 are averaged.
    shape = (N, H // _PERIOD, _PERIOD, W // _PERIOD, _PERIOD, C)
    squares = images.astype(np.float64).reshape(shape).mean((1, 3))
    power = np.square(np.abs(np.fft.fft2(squares, axes=(1, 2)))).mean((0, 3))
    return power.ravel()[1:]
