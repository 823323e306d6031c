"""What a set of pictures turned out to hold, as it is recorded and as it is said in one line."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Shaped, UInt8

from discogan_jax import images
from discogan_jax.errors import printable
from discogan_jax.images import Picture, Preparation, Size

MAX_NAMED = 5
"""Number of pictures that are named for each reason to leave some out."""

LITTLE_USED = 1 / 4
"""Part of a range below which values are of another scale, most likely."""

# Shares that call for a warning: so much of the area cut off, so many values beyond the range; and
# how many times a side is enlarged.
_MUCH_CUT, _MUCH_BEYOND, _MUCH_ENLARGED = 1 / 3, 1 / 100, 2

# A picture is grey if its channels differ by no more than this part of what a file can hold, since
# grey that was compressed as colour is not exactly grey; about so many rows and columns are looked
# at.
_GREY, _LOOKED_AT = 8 / 255, 64

_BYTES = (0.0, 255.0)


class Seen(NamedTuple):
    """What a `Census` keeps of a picture that is used.

    Attributes:
      size: its size in the file.
      grey: whether it has no colour.
      cut: share of its area that the fit cuts off.
      bits: its depth, as `Picture.bits`.
      low: its least value.
      high: its greatest value.
      clipped: share of its values that are beyond a range that was given.
      clear: whether any of it was transparent.
    """

    size: Size
    grey: bool
    cut: float
    bits: int | None = 8
    low: float = 0.0
    high: float = 255.0
    clipped: float = 0.0
    clear: bool = False


@dataclass
class Census:
    """Counts pictures while a set is decoded.

    Attributes:
      preparation: what is done to them, with the range of values once that is found.
      label: name of the set, for messages.
      quiet: whether no warnings are logged.
      left_out: names of files that are not used, by reason.
      used: the pictures that are used; number of those that are alike.
      unused_pages: number of the pages that are not used, of files of which the first one is.
    """

    preparation: Preparation
    label: str
    quiet: bool
    left_out: dict[str, list[str]] = field(default_factory=dict)
    used: Counter[Seen] = field(default_factory=Counter)
    unused_pages: int = 0

    def leave_out(self, name: str, reason: str) -> None:
        """Counts a picture that is not used."""
        self.left_out.setdefault(reason, []).append(printable(name, ""))

    def look_at(self, picture: Picture) -> Seen:
        """Returns what to count of a picture; this may run in any thread."""
        p, pixels = self.preparation, picture.pixels
        return Seen(
            picture.size,
            _is_grey(pixels),
            images.share_cut(picture.size, p.size, p.fit),
            picture.bits,
            float(pixels.min()),
            float(pixels.max()),
            p.clipped(picture) / pixels.size,
            picture.clear,
        )

    @property
    def number(self) -> int:
        """Number of the used pictures."""
        return self.used.total()

    def _mean(self, value: Callable[[Seen], float]) -> float:
        return sum(n * value(seen) for seen, n in self.used.items()) / max(1, self.number)

    def share(self, fits: Callable[[Size], bool]) -> float:
        """Returns the share of the used pictures whose size fits."""
        return self._mean(lambda seen: fits(seen.size))

    def _spreads(self) -> dict[int | None, tuple[float, float]]:
        """Returns the least and the greatest value of each depth."""
        spreads: dict[int | None, tuple[float, float]] = {}
        for seen in self.used:
            low, high = spreads.get(seen.bits, (seen.low, seen.high))
            spreads[seen.bits] = min(low, seen.low), max(high, seen.high)
        return spreads

    def find_range(self) -> None:
        """Chooses the values that become 0 and 255 in deep pictures, unless they are given."""
        deep = [seen for seen in self.used if seen.bits != 8]
        low, high = min(seen.low for seen in deep), max(seen.high for seen in deep)
        unsigned = all(seen.bits for seen in deep)
        self.preparation = self.preparation.for_values(low, high, unsigned=unsigned)

    def warn(self, *warnings: str) -> None:
        """Logs warnings about the set, unless it is to be quiet."""
        for warning in () if self.quiet else warnings:
            logging.warning("%s: %s", self.label, warning)

    def warnings(self, pictures: Collection[UInt8[np.ndarray, "H W C"]]) -> Iterator[str]:
        """Describes what a user would rather know before training than after it.

        Args:
          pictures: the used pictures, prepared.
        """
        first = next(iter(pictures))
        if all(np.array_equal(picture, first) for picture in pictures):
            yield "all pictures are equal"
        if all((picture == picture[0, 0]).all() for picture in pictures):
            yield "all are of one colour"
        if small := sum(n for seen, n in self.used.items() if self._is_small(seen.size)):
            count = f"{small:,} of {self.number:,}"
            yield f"pictures smaller than half of the image size, which are enlarged: {count}"
        if (cut := self._mean(lambda seen: seen.cut)) > _MUCH_CUT:
            yield (
                f"data.fit=crop cuts off {cut:.0%} of the area of these pictures: data.fit=pad "
                "adds borders instead, data.fit=stretch changes the aspect ratio"
            )
        if all(seen.grey for seen in self.used) and self.preparation.channels == 3:
            yield (
                "all pictures are grey, and are trained on as colour: if those of the other domain "
                "are grey, too, data.channels=1 trains on grey and gives grey results"
            )
        spreads = self._spreads()
        if len(spreads) > 1:
            depths = Counter(seen.bits for seen in self.used.elements())
            each = [
                f"{n:,} of {_DEPTHS[bits]}, mapped by {images.range_text(self._range(bits))}"
                for bits, n in depths.items()
            ]
            yield f"pictures of several depths: {'; '.join(each)}"
        if (beyond := self._mean(lambda seen: seen.clipped)) > _MUCH_BEYOND:
            given = images.range_text(self.preparation.range or _BYTES)
            yield f"{beyond:.0%} of all values are beyond {given} and become the ends of that range"
        yield from self._little_used()

    def _little_used(self) -> Iterator[str]:
        """Describes ranges of which little is used."""
        # A range that is given is shared by pictures of all depths.
        shared: dict[tuple[float, float], list[float]] = {}
        for bits, spread in self._spreads().items():
            shared.setdefault(self._range(bits), []).extend(spread)
        for (start, end), values in shared.items():
            least, greatest = min(values), max(values)
            low, high = max(least, start), min(greatest, end)
            if 0 < high - low < LITTLE_USED * (end - start):
                # Where each depth has its own range, none would do for all.
                better = f": data.range={least:.9g},{greatest:.9g} would use all of the levels"
                used = f"of {images.range_text((start, end))} only {low:g} to {high:g} are used"
                yield used + better * (len(shared) == 1)

    def _is_small(self, size: Size) -> bool:
        ratios = [wanted / side for wanted, side in zip(self.preparation.size, size, strict=True)]
        return (min if self.preparation.fit == "pad" else max)(ratios) > _MUCH_ENLARGED

    def to_json(self) -> dict[str, Any]:
        """Returns what is recorded beside the arrays."""
        sizes = {seen.size for seen in self.used}
        by_area = sorted(sizes, key=lambda size: (size.height * size.width, size))
        ranges = dict.fromkeys(map(self._range, self._spreads())) or [_BYTES]
        return {
            "preparation": self.preparation.to_json(),
            "values": " and ".join(map(_range_text, ranges)),
            "left_out": {
                reason: {"count": len(names), "names": names[:MAX_NAMED]}
                for reason, names in self.left_out.items()
            },
            "sizes": [str(size) for size in (by_area[:1] + by_area[-1:])],
            "grey": self._mean(lambda seen: seen.grey),
            "cut": self._mean(lambda seen: seen.cut),
            "clipped": self._mean(lambda seen: seen.clipped),
            "unused_pages": self.unused_pages,
            "clear": sum(n for seen, n in self.used.items() if seen.clear),
        }

    def _range(self, bits: int | None) -> tuple[float, float]:
        """Returns the values of a depth that become 0 and 255."""
        return self.preparation.range_of(bits) or _BYTES


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
    if pages := about.get("unused_pages"):
        are = "page is" if pages == 1 else "pages are"
        parts.append(f"{pages:,} more {are} not used: data.pages=all")
    if about.get("distinct", total) < total:
        parts.append(f"{about['distinct']:,} distinct")
    if about.get("leaked"):
        copies = "is a copy of a training picture"
        copies = copies if about["leaked"] == 1 else "are copies of training pictures"
        parts.append(f"{about['leaked']:,} of the held-out ones {copies}")
    if about.get("blank"):
        parts.append(f"{about['blank']:,} of one colour")
    # Their shape and their values.
    if sizes := about.get("sizes"):
        order = " (height x width)" if "x" in "".join(sizes) else ""
        if order:
            sizes = ["{}x{}".format(*Size.of(size)) for size in sizes]
        parts.append(f"{' to '.join(dict.fromkeys(sizes))} px{order}")
    if cut := about.get("cut"):
        parts.append(f"{_percent(cut)} of their area cut off")
    if "values" in about:
        beyond = about.get("clipped")
        parts.append(about["values"] + (f", {_percent(beyond)} beyond" if beyond else ""))
    if clear := about.get("clear"):
        parts.append(f"{clear:,} with transparent parts, which become white")
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
