"""The source `pairs:FOLDER/SIDE[/HALF]`: one side of pictures that show a pair side by side."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from discogan_jax.data.census import Census
from discogan_jax.data.decode import Item
from discogan_jax.data.folder import MOSTLY, Folder
from discogan_jax.data.listing import Listing
from discogan_jax.data.source import Source, Wanted
from discogan_jax.errors import choose
from discogan_jax.files import expanded

SIDES = ("left", "right")
HALVES = ("first", "second")

# If most halves are so much higher than wide, the pictures may be no pairs.
_NARROW = 1.5
T = TypeVar("T")


@dataclass(frozen=True)
class Pairs(Folder):
    """One side of pictures that show a pair side by side, as those of the pix2pix archives do.

    Attributes:
      place: the folder.
      side: left or right.
      half: 'first' or 'second', the part of the training files that is used; None for all.
    """

    kind = "pairs"
    resample = "area"
    grammar = "pairs:FOLDER/left or pairs:FOLDER/right, each with /first or /second behind it"
    place: str
    side: str
    half: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Pairs | None":
        """Creates it from FOLDER/SIDE[/HALF]."""
        rest, _, last = text.rpartition("/")
        place, _, side = rest.rpartition("/")
        if last not in SIDES and side in SIDES:
            return cls(text, place, side, choose(last, HALVES, "half of the training files"))
        return cls(text, rest, choose(last, SIDES, "side of the pairs")) if rest else None

    @property
    def folder(self) -> str:
        """The folder, as it was typed."""
        return self.place

    @property
    def label(self) -> str:
        """The name of the folder that the path leads to, the side and the half."""
        return super().label + self.text.removeprefix(self.place)

    @property
    def public_name(self) -> str:
        """The source without the path of the folder."""
        return f"{self.kind}:{Path(self.place).name}{self.text.removeprefix(self.place)}"

    def pairs_with(self, other: Source) -> bool:
        """Whether the other is the other side; halves are halves of the training files alone."""
        if not isinstance(other, Pairs) or self.side == other.side:
            return False
        one, two = (os.path.realpath(expanded(x.place)) for x in (self, other))
        return one == two

    def shared_with(self, other: Source) -> Path | None:
        """Returns a folder that is searched for both, unless they use other parts of its files."""
        apart = isinstance(other, Pairs) and (
            self.side != other.side or {self.half, other.half} == set(HALVES)
        )
        return None if apart else super().shared_with(other)

    def _items(self, found: Listing, wanted: Wanted) -> list[Item]:
        """Sorts by the numbers in the names, as those of the archives are."""
        items = [item._replace(side=self.side) for item in super()._items(found, wanted)]
        return sorted(items, key=lambda item: by_numbers(item.name))

    def _shape_warnings(self, census: Census) -> Iterator[str]:
        if census.share(lambda size: size.height > _NARROW * size.width) >= MOSTLY:
            yield (
                f"these do not look like pairs: their halves are more than {_NARROW} times as high "
                f"as wide; for pictures that show one thing use folder:{census.label}"
            )

    def _half(self, rows: list[int]) -> list[int]:
        return half_of(rows, self.half)


def half_of(rows: list[T], half: str | None) -> list[T]:
    """Returns the first or the second half of a list, or all of it."""
    middle = len(rows) // 2
    return {None: rows, "first": rows[:middle], "second": rows[middle:]}[half]


def by_numbers(name: str) -> list[tuple[int, str]]:
    """Splits a name so that its numbers are compared as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
