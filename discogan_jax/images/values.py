"""The values of deep pictures, more than 8 bits, as 0 to 255 and back.

How deep a picture is does not follow from the picture: 12 bits are stored in 16, and one of a set
may be darker than the others. So all of a set share a range.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from discogan_jax.images.picture import Picture

Range = tuple[float, float]

DEPTHS = (8, 10, 12, 14, 16)
"""Bits of the unsigned integers that cameras and scanners make."""


def needed_range(low: float, high: float, *, unsigned: bool) -> Range:
    """Chooses the values that become 0 and 255.

    Args:
      low: least value of all pictures of a set.
      high: greatest value of all pictures of a set.
      unsigned: whether all of them hold unsigned integers: the range is that of the least depth of
        `DEPTHS` that holds `high`. Otherwise it is from `low` to `high`.
    """
    if unsigned:
        return 0.0, float(2 ** next(bits for bits in DEPTHS if high < 2**bits) - 1)
    return low, high


def range_text(low_high: Range) -> str:
    """Describes a range: ``12 bits (0 to 4095)``, ``-1000 to 1400``."""
    low, high = low_high
    bits = next((bits for bits in DEPTHS if low_high == (0, 2**bits - 1)), None)
    return f"{bits} bits (0 to {high:.0f})" if bits else f"{low:g} to {high:g}"


def to_bytes(picture: Picture, low_high: Range | None = None) -> UInt8[np.ndarray, "H W C"]:
    """Maps values linearly to 0..255; those beyond the range become its ends.

    Args:
      picture: the picture; 8 bits without a range are returned as they are.
      low_high: the values that become 0 and 255; None for those that this picture alone needs.
    """
    pixels = picture.pixels
    if low_high is None:
        if picture.bits == 8:
            return pixels
        least, greatest = float(pixels.min()), float(pixels.max())
        low_high = needed_range(least, greatest, unsigned=picture.bits is not None)
    low, high = low_high
    # Single precision holds all but 32-bit integers; in place, since pictures may be large.
    levels: Float[np.ndarray, ...] = pixels.astype("f8" if pixels.dtype == "i4" else "f4")
    levels -= low
    levels *= 255.0 / ((high - low) or 1.0)  # a picture of one value has no range
    np.clip(np.rint(levels, out=levels), 0.0, 255.0, out=levels)
    return levels.astype(np.uint8)


def from_unit(x: Float[Any, "..."], low_high: Range) -> Shaped[np.ndarray, "..."]:
    """Maps [0, 1] back to a range: what `to_bytes` did, without the rounding to 256 levels.

    Args:
      x: floating-point values; clipped to [0, 1].
      low_high: the values that 0 and 1 become.

    Returns:
      uint8 or uint16 for a depth of `DEPTHS`, float32 for other ranges.

    Raises:
      ValueError: a value is NaN or infinite.
    """
    low, high = low_high
    unit = np.asarray(x).astype(np.float64)
    if not np.isfinite(unit).all():
        raise ValueError("the picture has values that are NaN or infinite")
    scaled = low + np.clip(unit, 0.0, 1.0) * (high - low)
    if low_high not in [(0, 2**bits - 1) for bits in DEPTHS]:
        return scaled.astype(np.float32)
    return np.rint(scaled).astype(np.uint8 if high == 255 else np.uint16)
