"""The source `archive:NAME/SIDE[/HALF]`: one side of the pairs of a pix2pix archive."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from discogan_jax.data import cache, decode
from discogan_jax.data.catalogue import archive as drawn_archive
from discogan_jax.data.catalogue.items import Items
from discogan_jax.data.census import Census
from discogan_jax.data.pix2pix import archives, tar
from discogan_jax.data.pix2pix.locate import locate
from discogan_jax.data.progress import progress_bar
from discogan_jax.data.source import CachedSource, Places, Source, Wanted
from discogan_jax.errors import InputError, choose
from discogan_jax.files import fingerprint

_HALVES = ("first", "second")
T = TypeVar("T")


@dataclass(frozen=True)
class ArchiveSide(CachedSource):
    """One side of the pairs of an archive.

    Attributes:
      archive: the archive.
      side: the archive's own word for the side, such as 'photo'.
      half: 'first' or 'second', the part of the training files that is used; None for all.
    """

    kind = "archive"
    private = False
    resample = "area"
    grammar = "archive:NAME/SIDE, archive:NAME/SIDE/first or archive:NAME/SIDE/second"
    archive: archives.PublishedArchive
    side: str
    half: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ArchiveSide | None":
        """Creates it from NAME/SIDE[/HALF]."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            return None
        archive = archives.find(parts[0])
        side = choose(parts[1], (archive.left, archive.right), f"side of {archive.name}")
        half = choose(parts[2], _HALVES, "half of the training files") if parts[2:] else None
        return cls(text, archive, side, half)

    @property
    def dataset(self) -> str:
        """Name of the archive."""
        return self.archive.name

    @property
    def licence(self) -> str:
        """What is known of the archive."""
        return self.archive.licence

    def facts(self, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Returns what was asked for, and which file it comes from."""
        origin = fingerprint(self._path(places)) if places.archives else "published"
        asked = {"archive": self.archive.name, "side": self.side, "half": self.half}
        return {**asked, "origin": origin}

    @property
    def thicken(self) -> bool:
        """Whether it is the side of edges."""
        return self.side == "edges"

    def pairs_with(self, other: Source) -> bool:
        """Whether the other is the other side; halves are halves of the training files alone."""
        if not isinstance(other, ArchiveSide):
            return False
        return self.archive == other.archive and self.side != other.side

    def items(self, places: Places) -> Items | None:
        """Returns what drawn photos show, as recorded beside an archive that was drawn here."""
        if places.archives is None or self.side != "photo":
            return None
        if items := drawn_archive.recorded_items(self._path(places)):
            items["train"] = _chosen(items["train"], self.half)
        return items

    def write(self, folder: Path, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Decodes the side in one pass over the archive; downloads that first if need be.

        Rows are sorted by the numbers in the file names. So are those of the other side: row i of
        one is the partner of row i of the other, unless halves were chosen.

        Args:
          folder: an empty folder for the two files.
          wanted: what the arrays are to be.
          places: locations of the archives.

        Raises:
          InputError: the archive is not found, it is damaged, or too many of its pictures are.
        """
        path, image_size = self._path(places), wanted.size.height
        tallies = {split: tar.Tally(path, self.archive, split) for split in cache.SPLITS}
        self._decode(folder, path, image_size, tallies)
        for split, tally in tallies.items():
            tally.close()
            # Sort by the numbers in the names, and take a half where one was chosen.
            numbers = [_numbers(name) for name in tally.names]
            rows = sorted(range(len(numbers)), key=numbers.__getitem__)
            if split == "train":
                rows = _chosen(rows, self.half)
            if not rows:
                raise InputError(f"{path} has too few pictures to take the {self.half} half of.")
            raw = folder / f"{split}.raw"
            pictures = np.memmap(
                raw, np.uint8, "r", shape=(len(numbers), image_size, image_size, 3)
            )
            cache.write_rows(pictures, rows, folder / f"{split}.npy")
            raw.unlink()
        return Census(self.preparation(wanted)).to_json()

    def _decode(
        self, folder: Path, path: Path, image_size: int, tallies: Mapping[str, tar.Tally]
    ) -> None:
        """Writes the bytes of the pictures in the archive's order, into a `.raw` file a split.

        Not into arrays: how many pictures there are is known only at the end of the stream.
        """
        cut = partial(self._cut, image_size=image_size)
        with ExitStack() as stack, progress_bar(path.name, path.stat().st_size) as bar:
            files = {s: stack.enter_context((folder / f"{s}.raw").open("wb")) for s in tallies}
            found = (m for m in tar.members(path, self.archive) if m.split in tallies)
            use = partial(tar.decode, archive=self.archive, use=cut)
            for member, (picture, problem) in decode.map_ahead(use, found):
                if tallies[member.split].take(member.name, problem):
                    assert picture is not None
                    files[member.split].write(picture.tobytes())
                bar.update(member.end - bar.n)

    def _cut(self, pair: Image.Image, image_size: int) -> UInt8[np.ndarray, "S S 3"]:
        """Cuts one of two pictures side by side to its largest centred square and resizes that.

        By a whole factor, such as 4 for 64 px of the published archives, the result is an exact
        mean of blocks.
        """
        # The square in the middle of one half.
        drawing = self.side == "edges"
        if drawing:
            # A drawing's colours are noise of its compression; without them it decodes faster.
            pair.draft("L", None)
        width, height = pair.width // 2, pair.height
        side = min(width, height)
        left = (width - side) // 2 + (width if self.side == self.archive.right else 0)
        top = (height - side) // 2
        picture = pair.crop((left, top, left + side, top + side))
        if drawing:
            # Dark lines become two pixels thicker, or they would vanish at small sizes.
            picture = picture.convert("L").filter(ImageFilter.MinFilter(3))
        # A whole factor is faster, and exact.
        if side % image_size == 0:
            picture = picture.reduce(side // image_size)
        else:
            shrinks = side > image_size
            resample = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
            picture = picture.resize((image_size, image_size), resample)
        return np.asarray(picture.convert("RGB"))

    def _path(self, places: Places) -> Path:
        return locate(self.archive.name, places.archives, places.data_dir)


def _chosen(rows: list[T], half: str | None) -> list[T]:
    middle = len(rows) // 2
    return {None: rows, "first": rows[:middle], "second": rows[middle:]}[half]


def _numbers(name: str) -> list[tuple[int, str]]:
    """Splits a name so that its numbers are compared as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
