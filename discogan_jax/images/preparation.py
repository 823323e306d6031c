"""What is done to a picture before a network sees it: it belongs to the model."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8

from discogan_jax.images.fitting import fit

Fit = Literal["crop", "pad", "stretch"]


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


@dataclass(frozen=True)
class Preparation:
    """The steps from a picture to what a network sees, in the order in which they are done.

    Attributes:
      size: size of the result.
      fit: how another shape is brought to that of `size`: ``crop`` cuts out the largest centred
        part of the right shape, ``pad`` adds borders, ``stretch`` changes the aspect ratio.
      channels: 1 for grey, 3 for RGB; up to 16 for arrays.
      range: the values that become 0 and 255; None for those of the file's depth.
      thicken: make dark lines thicker, by a pixel on each side where a picture is 256 high.
      resample: how a picture is shrunk: ``hamming`` (nearly as sharp as bicubic, never brighter or
        darker than the picture) or ``area`` (the mean of the area that a pixel covers).
    """

    size: Size
    fit: Fit = "crop"
    channels: int = 3
    range: tuple[float, float] | None = None
    thicken: bool = False
    resample: Literal["hamming", "area"] = "hamming"

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Preparation":
        """Creates it from what `to_json` returned.

        Raises:
          ValueError, TypeError, KeyError: it is damaged.
        """
        low_high = plain.get("range")
        fields = {"size": Size.of(plain["size"]), "range": tuple(low_high) if low_high else None}
        return cls(**(plain | fields))

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON holds them."""
        return asdict(self) | {"size": self.size.plain}

    def apply(self, picture: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "h w c"]:
        """Prepares a picture."""
        return fit(picture, self.size.height)
