"""What a measure gives for two halves of the real images, or for pairs that do not belong together.

No distance between sets means much alone, because its value for two draws of the *same* images is
not 0 and falls with their number. Report it beside `between_halves` of the real images, and at
the same number of images: translations of the first half against the second half of the real ones.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

Result = TypeVar("Result")


def halves(count: int) -> tuple[Int[np.ndarray, "half"], Int[np.ndarray, "half"]]:
    """Splits indices into two random halves of equal size; of an odd number, one is left out.

    Raises:
      ValueError: if there are fewer than two.
    """
    if count < 2:
        raise ValueError(f"{count} image(s) cannot be halved; give at least two.")
    order = np.random.default_rng(0).permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 : count // 2 * 2])


def between_halves(
    measure: Callable[[Any, Any], Result], real: Float[np.ndarray, "N ..."]
) -> Result:
    """Measures two random halves of the real images: the value that translations should reach.

    Args:
      measure: a function of two arrays, such as `sliced_wasserstein.distances`.
      real: images or features.

    Returns:
      What the measure returns.
    """
    first, second = halves(len(real))
    return measure(real[first], real[second])


def derangement(count: int, seed: int = 0) -> Int[np.ndarray, "count"]:
    """Draws a random permutation that leaves nothing in its place.

    It is one cycle through all elements, which takes a single draw; a derangement that is uniform
    among all would need several.

    Args:
      count: length, at least 2.
      seed: of the permutation.

    Returns:
      The permutation.

    Raises:
      ValueError: if there are fewer than two things to swap.
    """
    if count < 2:
        raise ValueError(f"There is no other pairing of {count} image(s); give at least two.")
    order = np.random.default_rng(seed).permutation(count)
    result = np.empty(count, np.int64)
    result[order] = np.roll(order, 1)
    return result
