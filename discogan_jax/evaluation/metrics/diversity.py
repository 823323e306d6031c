"""Diversity of outputs: whether they still differ from each other as their inputs do."""

import numpy as np
from jaxtyping import Float

from discogan_jax.evaluation.metrics.pairwise import squared_distances


def diversity_ratio(
    outputs: Float[np.ndarray, "N ..."], inputs: Float[np.ndarray, "M ..."]
) -> float:
    """Divides the mean distance between two outputs by the mean distance between two inputs.

    The distance is Euclidean, per value, so that images of different sizes can be compared. Domains
    differ by nature: a healthy translation comes near the ratio of real images of the target domain
    to the inputs, which need not be 1. Noise makes outputs differ, too: compare it with
    `distinct_neighbours`.

    Args:
      outputs: images in any range, or features.
      inputs: what they were made from, in the same range.

    Returns:
      0 (all outputs are equal) or more; NaN where the inputs do not differ either.

    Raises:
      ValueError: if there are fewer than two of either.
    """
    of_outputs, of_inputs = _mean_distance(outputs), _mean_distance(inputs)
    return of_outputs / of_inputs if of_inputs > 0 else float("nan")


def distinct_neighbours(
    outputs: Float[np.ndarray, "N ..."], real: Float[np.ndarray, "M ..."]
) -> float:
    """Counts the real images that are nearest to some output, as a share of the possible number.

    The possible number is the smaller of N and M. A generator that makes a few kinds of image
    comes near few real ones. The share is far from 1 for real images too, since some are the
    nearest of many: report it beside `baselines.between_halves` of the real ones.

    Args:
      outputs: translated images in [0, 1], or features.
      real: images of the target domain, or their features.

    Returns:
      Above 0, at most 1; 1 if every output has a nearest image of its own.

    Raises:
      ValueError: if a set is empty.
    """
    if not len(outputs) or not len(real):
        raise ValueError(
            f"There are no neighbours of {len(outputs)} outputs in {len(real)} images."
        )
    tables = squared_distances(_flat(outputs), _flat(real))
    nearest = np.concatenate([table.argmin(1) for _, table in tables])
    return len(np.unique(nearest)) / min(len(outputs), len(real))


def _flat(x: np.ndarray) -> Float[np.ndarray, "N D"]:
    return x.reshape(len(x), -1)


def _mean_distance(x: np.ndarray) -> float:
    """Averages the root mean squared difference per value over all pairs."""
    count = len(x)
    if count < 2:
        raise ValueError(f"{count} image(s) have no distance from each other; give at least two.")
    flat = _flat(x)
    # Relative to one of the rows, so that the distance of equal rows is exactly 0.
    flat = flat - flat[0].astype(np.float64)
    total = sum(float(np.sqrt(table).sum()) for _, table in squared_distances(flat, flat))
    return total / (count * (count - 1) * np.sqrt(flat.shape[1]))
