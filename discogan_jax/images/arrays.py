"""Arrays of pictures: between bytes and numbers in [0, 1], and through functions of batches."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8


def to_uint8(x: Float[Any, "..."]) -> UInt8[np.ndarray, "..."]:
    """Converts [0, 1] to 0..255: clipped, then rounded to the nearest.

    Args:
      x: floating-point values of any shape; a NumPy or a JAX array.

    Raises:
      ValueError: a value is NaN or infinite, which would make a diverged network's picture look
        valid, or `x` is not floating point (bytes need no conversion).
    """
    array: Shaped[np.ndarray, ...] = np.asarray(x)
    if array.dtype.kind in "biuc":
        raise ValueError(f"to_uint8 takes floating point in [0, 1], not {array.dtype}.")
    array = array.astype(np.float32)  # bfloat16 has no NumPy arithmetic worth using
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise ValueError(f"The picture has {bad} values of {array.size} that are NaN or infinite.")
    return np.rint(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)


def to_unit(x: UInt8[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Converts 0..255 to [0, 1], as `steps.unit` does on the device."""
    return np.asarray(x).astype(np.float32) / 255


def in_unit(x: Shaped[np.ndarray, "..."]) -> bool:
    """Whether numbers are in [0, 1], or beyond by what a network or a filter may add.

    It is false for bytes as numbers, for [-1, 1] and for what is not finite.
    """
    array = np.asarray(x, np.float32)
    return bool(array.min(initial=0.5) >= -0.5 and array.max(initial=0.5) <= 1.5)


def in_batches(
    f: Callable[[Any], Any], images: Shaped[np.ndarray, "N ..."], batch_size: int
) -> Shaped[np.ndarray, "N ..."]:
    """Applies a function of batches to any number of images.

    Args:
      f: the function; the last batch is filled up, so that it sees one shape and compiles once.
      images: arrays on a leading axis.
      batch_size: images at a time.
    """
    results = []
    for start in range(0, len(images), batch_size):
        batch = np.asarray(images[start : start + batch_size])
        filled = np.resize(batch, (batch_size, *batch.shape[1:]))
        results.append(np.asarray(f(filled))[: len(batch)])
    return np.concatenate(results)
