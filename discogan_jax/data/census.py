"""What a set of pictures turned out to hold, as it is recorded and as it is said in one line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Shaped

from discogan_jax import images
from discogan_jax.images import Picture, Preparation, Size

MAX_NAMED = 5
"""Number of pictures that are named for each reason to leave some out."""

# Shares that call for a warning: so much of the area cut off, so little of the range used.
_MUCH_CUT, _LITTLE_USED = 1 / 3, 1 / 4

# A picture is grey if its channels differ by no more than this part of what a file can hold, since
# grey that was compressed as colour is not exactly grey; about so many rows and columns are looked
# at.
_GREY, _LOOKED_AT = 8 / 255, 64

_BYTES = (0.0, 255.0)


@dataclass
class Census:
    """Counts pictures while a set is decoded.

    Attributes:
      preparation: what is done to them, with the range of values once that is found.
      left_out: names of files that are not used, by reason.
      sizes: sizes of the pictures that are used, with the number of each.
      depths: number of the used pictures by their `Picture.bits`.
      spreads: least and greatest value of the used pictures, by their `Picture.bits`.
      grey: number of the used pictures that have no colour.
      cut: sum over the used pictures of the share that the fit cuts off.
      clipped: the same, of the share of values beyond a range that was given.
    """

    preparation: Preparation
    left_out: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[Size, int] = field(default_factory=dict)
    depths: dict[int | None, int] = field(default_factory=dict)
    spreads: dict[int | None, tuple[float, float]] = field(default_factory=dict)
    grey: int = 0
    cut: float = 0.0
    clipped: float = 0.0

    def leave_out(self, name: str, reason: str) -> None:
        """Counts a picture that is not used."""
        self.left_out.setdefault(reason, []).append(name)

    def look_at(self, picture: Picture) -> dict[str, Any]:
        """Returns the arguments with which `add` counts a picture; this may run in any thread."""
        size, pixels = picture.size, picture.pixels
        given = self.preparation.range is not None
        return {
            "size": size,
            "grey": _is_grey(pixels),
            "cut": images.share_cut(size, self.preparation.size, self.preparation.fit),
            "bits": picture.bits,
            "spread": (float(pixels.min()), float(pixels.max())),
            "clipped": self.preparation.clipped(picture) / pixels.size if given else 0.0,
        }

    def add(
        self,
        size: Size,
        *,
        grey: bool,
        cut: float = 0.0,
        bits: int | None = 8,
        spread: tuple[float, float] = _BYTES,
        clipped: float = 0.0,
    ) -> None:
        """Counts a picture that is used.

        Args:
          size: size of the picture in its file.
          grey: whether it has no colour.
          cut: share of it that is cut off.
          bits: its depth, as `Picture.bits`.
          spread: its least and greatest value.
          clipped: share of its values that are beyond the range.
        """
        self.sizes[size] = self.sizes.get(size, 0) + 1
        self.depths[bits] = self.depths.get(bits, 0) + 1
        low, high = self.spreads.get(bits, spread)
        self.spreads[bits] = min(low, spread[0]), max(high, spread[1])
        self.grey += grey
        self.cut += cut
        self.clipped += clipped

    @property
    def number(self) -> int:
        """Number of the used pictures."""
        return sum(self.sizes.values())

    def find_range(self) -> None:
        """Chooses the values that become 0 and 255 in deep pictures, unless they are given."""
        deep = [spread for bits, spread in self.spreads.items() if bits != 8]
        if deep:
            low, high = min(low for low, _ in deep), max(high for _, high in deep)
            unsigned = None not in self.spreads
            self.preparation = self.preparation.for_values(low, high, unsigned=unsigned)

    def warnings(self) -> Iterator[str]:
        """Describes what a user would rather know before training than after it."""
        number = max(1, self.number)
        if (cut := self.cut / number) > _MUCH_CUT:
            yield (
                f"data.fit=crop cuts off {cut:.0%} of the area of these pictures: data.fit=pad "
                "adds borders instead, data.fit=stretch changes the aspect ratio"
            )
        if self.grey == self.number and self.preparation.channels == 3:
            yield (
                "all pictures are grey, and are trained on as colour: if those of the other domain "
                "are grey, too, data.channels=1 trains on grey and gives grey results"
            )
        if len(self.depths) > 1:
            each = [
                f"{n:,} of {_DEPTHS[bits]}, mapped by {images.range_text(self._range(bits))}"
                for bits, n in self.depths.items()
            ]
            yield f"pictures of several depths: {'; '.join(each)}"
        for bits, spread in self.spreads.items():
            start, end = self._range(bits)
            low, high = max(spread[0], start), min(spread[1], end)
            if 0 < high - low < _LITTLE_USED * (end - start):
                yield (
                    f"of {images.range_text((start, end))} only {low:g} to {high:g} are used: "
                    f"data.range={low:.9g},{high:.9g} would make these black and white"
                )

    def to_json(self) -> dict[str, Any]:
        """Returns what is recorded beside the arrays."""
        number = max(1, self.number)
        by_area = sorted(self.sizes, key=lambda size: (size.height * size.width, size))
        ranges = dict.fromkeys(map(self._range, self.spreads)) or [_BYTES]
        return {
            "preparation": self.preparation.to_json(),
            "values": " and ".join(map(_range_text, ranges)),
            "left_out": {
                reason: {"count": len(names), "names": names[:MAX_NAMED]}
                for reason, names in self.left_out.items()
            },
            "sizes": [str(size) for size in (by_area[:1] + by_area[-1:])],
            "grey": self.grey / number,
            "cut": self.cut / number,
            "clipped": self.clipped / number,
        }

    def _range(self, bits: int | None) -> tuple[float, float]:
        """Returns the values of a depth that become 0 and 255."""
        p = self.preparation
        return _BYTES if p.range is None or (bits == 8 and p.deep_only) else p.range


_DEPTHS = {8: "8 bits", 16: "16 bits", None: "signed or floating-point values"}


def _range_text(low_high: tuple[float, float]) -> str:
    return "8 bits" if low_high == _BYTES else images.range_text(low_high)


def _is_grey(pixels: Shaped[np.ndarray, "H W C"]) -> bool:
    if pixels.shape[-1] == 1:
        return True
    rows, columns = (max(1, side // _LOOKED_AT) for side in pixels.shape[:2])
    red, green, blue = np.moveaxis(pixels[::rows, ::columns].astype(np.int32), -1, 0)
    apart = max(np.abs(x - y).max() for x, y in ((red, green), (green, blue), (blue, red)))
    return bool(apart <= _GREY * np.iinfo(pixels.dtype).max)


def describe(about: Mapping[str, Any]) -> str:
    """Describes a set in one line: what is used, what is not, and what was done to it.

    Args:
      about: `cache.Splits.about`; what it lacks is left out of the line.
    """
    layout = f" ({about['layout']})" if about.get("layout") else ""
    parts = [f"{about['train']:,} to train on, {about['val']:,} held out{layout}"]
    total = about["train"] + about["val"]
    # What is not used, or is used more than once.
    if about.get("left_out"):
        parts.append(f"left out: {left_out_text(about['left_out'])}")
    if about.get("distinct", total) < total:
        parts.append(f"{about['distinct']:,} distinct")
    if about.get("leaked"):
        parts.append(f"{about['leaked']:,} of the held-out ones are copies of training pictures")
    if about.get("blank"):
        parts.append(f"{about['blank']:,} of one colour")
    # Their shape and their values.
    if sizes := about.get("sizes"):
        order = " (height x width)" if "x" in "".join(sizes) else ""
        parts.append(f"{' to '.join(dict.fromkeys(sizes))} px{order}")
    if cut := about.get("cut"):
        parts.append(f"{_percent(cut)} of their area cut off")
    if "values" in about:
        beyond = about.get("clipped")
        parts.append(about["values"] + (f", {_percent(beyond)} beyond" if beyond else ""))
    if "grey" in about:
        parts.append({0.0: "colour", 1.0: "grey"}.get(about["grey"], f"{about['grey']:.0%} grey"))
    return "; ".join(parts)


def left_out_text(left_out: Mapping[str, Any]) -> str:
    """Describes what is left out, by reason and with the first names; takes that of `to_json`."""
    parts = []
    for reason, found in left_out.items():
        more = ["..."] if found["count"] > len(found["names"]) else []
        parts.append(f"{found['count']:,} {reason} ({', '.join([*found['names'], *more])})")
    return ", ".join(parts)


def _percent(share: float) -> str:
    return "less than 1%" if share < 0.01 else f"{share:.0%}"
