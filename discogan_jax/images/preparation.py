"""What is done to a picture before a network sees it: it belongs to the model."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from discogan_jax.files import shapes
from discogan_jax.images import values
from discogan_jax.images.fitting import Fit, Resample, fit, thicken, unfit
from discogan_jax.images.picture import Picture, Size
from discogan_jax.images.reading import load
from discogan_jax.images.values import Range

Restored = Literal["model", "input"] | int | Size
"""A size of a result: the model's, the picture's, a longer side, or height and width."""

# Of what `Preparation.to_json` returns.
_SHAPE = {
    "size": (int, str),
    "fit?": frozenset(get_args(Fit)),
    "channels?": int,
    "range?": ([float, float], type(None)),
    "thicken?": bool,
    "resample?": frozenset(get_args(Resample)),
    "deep_only?": bool,
}


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
      deep_only: whether `range` was found in a set's deep pictures, so that files of 8 bits keep
        theirs; a range that the user gave holds for all.
    """

    size: Size
    fit: Fit = "crop"
    channels: int = 3
    range: Range | None = None
    thicken: bool = False
    resample: Resample = "hamming"
    deep_only: bool = False

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Preparation":
        """Creates it from what `to_json` returned.

        Raises:
          ValueError, TypeError, KeyError: it is damaged.
        """
        shapes.check(plain, _SHAPE)
        low_high = plain.get("range")
        fields = {"size": Size.of(plain["size"]), "range": tuple(low_high) if low_high else None}
        return cls(**(plain | fields))

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON holds them."""
        return asdict(self) | {"size": self.size.plain, "range": self.range and [*self.range]}

    def for_values(self, low: float, high: float, *, unsigned: bool) -> "Preparation":
        """Returns it with the range of a set, unless it has one.

        Args:
          low: least value of the set's deep pictures, those of more than 8 bits.
          high: greatest value of them.
          unsigned: whether all of them hold unsigned integers.
        """
        if self.range:
            return self
        needed = values.needed_range(low, high, unsigned=unsigned)
        return replace(self, range=needed, deep_only=True)

    def range_of(self, bits: int | None) -> Range | None:
        """Returns the values that become 0 and 255 in pictures of a depth, see `Picture.bits`."""
        return None if bits == 8 and self.deep_only else self.range

    def load(self, source: str | Path | bytes, *, page: int = 0) -> Picture:
        """Reads a picture file for `apply`: large JPEGs at a fraction of their size, if that does.

        It does not for lines, whose width depends on the size, nor for exact means.

        Args:
          source: a path, or the bytes of a file.
          page: number of the page of a TIFF, from 0.

        Raises:
          InputError: it cannot be read; see `images.load`.
        """
        in_full = self.thicken or self.resample == "area"
        return load(source, at_least=None if in_full else self.size, page=page)

    def apply(self, picture: Picture | UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "h w c"]:
        """Prepares a picture from `images.load`, or an array that is grey or RGB."""
        if isinstance(picture, np.ndarray):
            picture = Picture(picture, Size(*picture.shape[:2]), 8)
        pixels = values.to_bytes(picture, self.range_of(picture.bits))
        pixels = _in_channels(pixels, 1 if self.thicken else self.channels)
        if self.thicken:
            pixels = thicken(pixels)
        return _in_channels(fit(pixels, self.size, self.fit, self.resample), self.channels)

    def restore(
        self, made: Shaped[np.ndarray, "h w C"], size: Size, wanted: Restored = "input"
    ) -> Shaped[np.ndarray, "H W C"]:
        """Brings a translation to another size and, unless that is given, to its picture's shape.

        Args:
          made: what a network made of the prepared picture: uint8, or float32 of one channel.
          size: size of the picture before `apply`.
          wanted: size of the result; a `Size` is taken as it is, whatever the shape.
        """
        if wanted == "model" and self.fit == "crop":
            return made
        to = max(self.size) if wanted == "model" else wanted
        return unfit(made, size, self.fit, None if to == "input" else to)

    def clipped(self, picture: Picture) -> int:
        """Counts the values of a picture that are beyond the range, and become its ends."""
        if not (low_high := self.range_of(picture.bits)):
            return 0
        low, high = low_high
        return int(np.count_nonzero((picture.pixels < low) | (picture.pixels > high)))

    def used(self, picture: Picture) -> float:
        """Returns the part of the range, from 0 to 1, that a picture's values cover."""
        if not (low_high := self.range_of(picture.bits)):
            return 1.0
        low, high = low_high
        least, greatest = np.clip([picture.pixels.min(), picture.pixels.max()], low, high)
        return float(greatest - least) / ((high - low) or 1.0)

    def steps(self) -> list[dict[str, Any]]:
        """Describes it in plain words and numbers, for programs that have to do the same."""
        steps: list[dict[str, Any]] = []
        if self.range:
            low, high = self.range
            kept = {"except": "pictures of 8 bits"} if self.deep_only else {}
            steps.append({"step": "map values to 0..255", "low": low, "high": high, **kept})
        # Thickening makes grey, which becomes RGB again at the end.
        grey = {"step": "convert to grey", "weights": [0.299, 0.587, 0.114]}
        rgb = {"step": "convert to RGB"}
        steps.append(grey if self.thicken or self.channels == 1 else rgb)
        if self.thicken:
            steps.append({"step": "thicken dark lines", "pixels": 1, "at_height": 256})
        height, width = self.size
        shape = {"height": height, "width": width, "resample": self.resample}
        steps.append({"step": "fit", "how": self.fit, **shape})
        return [*steps, rgb] if self.thicken and self.channels == 3 else steps

    def __str__(self) -> str:
        height, width = self.size
        part = "square" if height == width else f"part in the shape of {height}x{width}"
        phrases = {
            "crop": f"cut to the largest centred {part}, scaled to {height}x{width}",
            "pad": f"scaled into {height}x{width}, with borders",
            "stretch": f"stretched to {height}x{width}",
        }
        text = phrases[self.fit]
        if self.channels == 1:
            text += ", made grey"
        if self.thicken:
            text += ", dark lines made thicker"
        if self.range:
            text += f", values of {values.range_text(self.range)}"
            text += ", those of 8 bits as they are" if self.deep_only else ""
        return text


def _in_channels(pixels: UInt8[np.ndarray, "H W C"], channels: int) -> UInt8[np.ndarray, "H W c"]:
    """Converts RGB to grey, by the luma of ITU-R 601, or grey to RGB."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 1:
        return np.array(Image.fromarray(pixels).convert("L"))[..., None]
    return pixels.repeat(channels, axis=-1)
