"""The source `folder:PATH`: pictures of any kind below a folder."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from discogan_jax import images
from discogan_jax.data import copies, decode, listing
from discogan_jax.data.census import Census
from discogan_jax.data.decode import Item
from discogan_jax.data.listing import Listing
from discogan_jax.data.source import CachedSource, Places, Source, Wanted
from discogan_jax.errors import InputError, printable
from discogan_jax.files import expanded

MOSTLY = 0.9
"""If so many of a folder's pictures are twice as wide as high, they may be pairs."""


@dataclass(frozen=True)
class Folder(CachedSource):
    """Pictures of any kind below a folder."""

    kind = "folder"
    grammar = "folder:PATH"

    @property
    def folder(self) -> str:
        """The folder, as it was typed."""
        return self.text

    @property
    def label(self) -> str:
        """The name of the folder that the path leads to."""
        return f"{self.kind}:{listing.existing(self.folder).name}"

    def searches(self, place: Path) -> bool:
        """Whether pictures below a place would be some of these; no if there is no folder yet."""
        if not expanded(self.folder).is_dir():
            return False
        return any(place.resolve().is_relative_to(x.resolve()) for x in listing.parts(self.folder))

    def shared_with(self, other: Source) -> Path | None:
        """Returns a folder that is searched for both."""
        if not isinstance(other, Folder):
            return None
        return min(self._listing.folders & other._listing.folders, default=None)

    def facts(self, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Returns the path, and a hash of the files' names, sizes and modification times."""
        found = self._list(wanted)
        digest = listing.digest((found.name(file), file) for file in found.files)
        return {"folder": str(found.root), "listing": digest}

    def write(self, folder: Path, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Decodes all pictures; about 5% of the files are held out if it has no split."""
        found = self._list(wanted)
        items = self._items(found, wanted)
        label = printable(str(found.root), "")
        census = Census(self.preparation(wanted), label, wanted.quiet)

        def by_split(readable: list[int]) -> dict[str, list[int]]:
            if wanted.pages == "first":
                counts = decode.map_ahead(_page_count, (items[row] for row in readable))
                census.unused_pages = sum(number - 1 for _, number in counts)
            # A file's pages stay together: they are alike.
            names = {row: found.name(Path(os.fsdecode(items[row].source))) for row in readable}
            chosen = held_out({*names.values()}, wanted.max_held_out)
            held = {*chosen} if found.val is None else {*map(found.name, found.val)}
            train = [row for row in readable if names[row] not in held]
            return {"train": self._half(train), "val": [x for x in readable if names[x] in held]}

        about = decode.write_pictures(folder, lambda: items, len(items), census, by_split)
        census.warn(*self._shape_warnings(census))
        if old := list(copies.outdated(self, places)):
            size = f"{sum(copy.megabytes for copy in old):.1f} MB of older copies"
            advice = "`discogan prepare` with these settings and --tidy removes them"
            census.warn(f"{size} are in {places.arrays}; {advice}")
        return about | {"layout": printable(found.layout, "")}

    @cached_property
    def _listing(self) -> Listing:
        return listing.list_folder(self.folder)

    def _list(self, wanted: Wanted) -> Listing:
        """Lists the files; for a run of an earlier version, those that this one found."""
        former = wanted.max_held_out is not None
        return listing.list_folder(self.folder, former=True) if former else self._listing

    def _items(self, found: Listing, wanted: Wanted) -> list[Item]:
        """Returns the pictures in the order of the rows."""
        items = [Item(file, found.name(file)) for file in found.files]
        if wanted.pages == "first":
            return items
        # Names of pages begin with that of their file.
        pages = []
        for item, number in decode.map_ahead(_page_count, items):
            several = [Item(item.source, f"{item.name} page {i + 1}", i) for i in range(number)]
            pages += several if number > 1 else [item]
        return pages

    def _shape_warnings(self, census: Census) -> Iterator[str]:
        """Describes pictures that may be pairs."""
        if census.share(lambda size: size.width == 2 * size.height) >= MOSTLY:
            yield (
                "pictures twice as wide as high: if each shows a pair side by side, use "
                f"pairs:{census.label}/left and pairs:{census.label}/right as sources"
            )

    def _half(self, rows: list[int]) -> list[int]:
        """Returns the rows of the training pictures that are used."""
        return rows


def held_out(names: Iterable[str], at_most: int | None = None) -> list[str]:
    """Chooses about 5% by a hash: a name keeps its split when others are added or removed.

    Args:
      names: all names.
      at_most: number of names to choose at most.

    Returns:
      The chosen names, at least one, but not all of several.
    """
    # The first eight bytes as a fraction of all that they can be.
    digests = ((hashlib.sha256(os.fsencode(name)).digest()[:8], name) for name in names)
    fractions = sorted((int.from_bytes(digest) / 2**64, name) for digest, name in digests)
    below = sum(fraction < decode.HELD_OUT for fraction, _ in fractions)
    limit = max(len(fractions) - 1, 1) if at_most is None else at_most
    return [name for _, name in fractions[: min(max(below, 1), limit)]]


def _page_count(item: Item) -> int:
    try:
        return images.page_count(item.source)
    except InputError:  # it is left out and counted when it is to be read
        return 1
