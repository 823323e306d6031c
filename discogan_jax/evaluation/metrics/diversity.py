"""Do outputs still differ from each other as their inputs do?"""

import numpy as np
from jaxtyping import Float

from discogan_jax.evaluation.metrics.pairwise import squared_distances


def diversity(outputs: Float[np.ndarray, "N ..."], inputs: Float[np.ndarray, "M ..."]) -> float:
    """Mean distance between two outputs over mean distance between two inputs.

    The distance is Euclidean, per value, so that images of different sizes compare. 0 if all
    outputs are equal. Domains differ by nature: a healthy translation comes near
    `diversity(real images of the target domain, inputs)`, which need not be 1. Noise makes
    outputs differ as well: read it beside `distinct_neighbours`.

    Args:
      outputs: images in any range, or features.
      inputs: what they were made from, in the same range.

    Returns:
      0 or more; not a number where inputs do not differ either.

    Raises:
      ValueError: if there are fewer than two of either.
    """
    of_outputs, of_inputs = _mean_distance(outputs), _mean_distance(inputs)
    return of_outputs / of_inputs if of_inputs > 0 else float("nan")


def distinct_neighbours(
    outputs: Float[np.ndarray, "N ..."], real: Float[np.ndarray, "M ..."]
) -> float:
    """The share of different ones among the nearest real images of all outputs.

    The number of real images that are nearest to some output, over the number that there could be
    (the smaller of N and M). A generator that makes a few kinds of image meets few real ones. It
    is far from 1 for real images too, since some are everybody's neighbour: report it beside
    `between_halves` (in `realism`) of the real ones.

    Args:
      outputs: translated images in [0, 1], or features.
      real: images of the target domain, or their features.

    Returns:
      Above 0, at most 1; 1 if every output has a nearest image of its own.

    Raises:
      ValueError: if a set is empty.
    """
    if not len(outputs) or not len(real):
        raise ValueError(f"There are no neighbours: {len(outputs)} outputs, {len(real)} images.")
    tables = squared_distances(_flat(outputs), _flat(real))
    nearest = np.concatenate([table.argmin(1) for _, table in tables])
    return len(np.unique(nearest)) / min(len(outputs), len(real))


def _flat(x: np.ndarray) -> Float[np.ndarray, "N D"]:
    return x.reshape(len(x), -1)


def _mean_distance(x: np.ndarray) -> float:
    """Root mean square per value of the difference of two, averaged over all pairs."""
    count = len(x)
    if count < 2:
        raise ValueError(f"{count} image(s) have no distance from each other; give at least two.")
    flat = _flat(x)
    # Equal rows must be exactly 0 apart, which they are from a row of their own.
    flat = flat - flat[0].astype(np.float64)
    total = sum(float(np.sqrt(table).sum()) for _, table in squared_distances(flat, flat))
    return total / (count * (count - 1) * np.sqrt(flat.shape[1]))


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
