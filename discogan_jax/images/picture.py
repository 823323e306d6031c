"""A picture in memory, and the size of one."""

import re
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped


class Size(NamedTuple):
    """Height and width in pixels; as text ``64`` for a square, else ``96x64``.

    Attributes:
      height: height in pixels.
      width: width in pixels.
    """

    height: int
    width: int

    @classmethod
    def of(cls, value: Any) -> "Size":
        """Converts ``64``, ``"64"``, ``"96x64"`` or a pair of numbers, height first.

        Raises:
          ValueError: it is none of these.
        """
        if isinstance(value, list | tuple) and len(value) == 2:
            value = "x".join(map(str, value))
        match = re.fullmatch(r"(\d{1,9})(?:[x×](\d{1,9}))?", str(value))
        if isinstance(value, bool) or not match:
            raise ValueError(f"a size is 64, or height and width such as 96x64, not {value!r}")
        height, width = match.groups()
        return cls(int(height), int(width or height))

    def __str__(self) -> str:
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"

    @property
    def plain(self) -> int | str:
        """The size as JSON holds it: a number for a square."""
        return self.height if self.height == self.width else str(self)


class Picture(NamedTuple):
    """A picture as its file holds it: upright, transparency on white.

    Attributes:
      pixels: ``[H, W, 1]`` (grey) or ``[H, W, 3]`` (RGB) of uint8, uint16, int32 or float32.
      size: size of the picture in the file; `pixels` are fewer where a JPEG was read at a fraction
        of its size.
      bits: 8 or 16 for unsigned integers, None for signed ones and floating point.
      clear: whether any of it was transparent, and became white.
    """

    pixels: Shaped[np.ndarray, "H W C"]
    size: Size
    bits: int | None
    clear: bool = False
