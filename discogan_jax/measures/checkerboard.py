"""Did up-sampling leave its grid?"""

import numpy as np
from jaxtyping import Float

_PERIOD = 4


def grid_energy(images: Float[np.ndarray, "N H W C"]) -> float:
    """The share of the images' energy in patterns that repeat every two or every four pixels.

    What the last two up-sampling layers, of stride 2, print on every image if their kernels overlap
    unevenly (Odena et al. 2016, "Deconvolution and checkerboard artifacts") lies at multiples of a
    quarter of the sampling frequency along both axes: fifteen lines of the discrete Fourier
    transform, the constant left out. Photographs have little there; it is the excess over theirs
    that is seen. Energy is squared deviation from each image's and channel's mean.

    Args:
      images: in any range; height and width are multiples of 4.

    Returns:
      0 to 1; 15 / (H·W - 1) for white noise; not a number for images of one colour.

    Raises:
      ValueError: the size is no multiple of 4.
    """
    _, H, W, _ = images.shape
    if H % _PERIOD or W % _PERIOD:
        raise ValueError(f"height and width must be multiples of {_PERIOD}, not {H}×{W}")
    x = images.astype(np.float64)
    x -= x.mean((1, 2), keepdims=True)
    # What repeats every four pixels is what is left when all squares of 4×4 are averaged.
    squares = x.reshape(len(x), H // _PERIOD, _PERIOD, W // _PERIOD, _PERIOD, -1).mean((1, 3))
    total = np.square(x).mean()
    return float(np.square(squares).mean() / total) if total > 0 else float("nan")
