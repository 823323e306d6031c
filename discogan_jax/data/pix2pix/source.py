"""The source `archive:NAME/SIDE[/HALF]`: one side of the pairs of a pix2pix archive."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discogan_jax import host, images
from discogan_jax.data import cache
from discogan_jax.data.catalogue import archive as drawn_archive
from discogan_jax.data.catalogue.items import Items
from discogan_jax.data.census import Census, Seen
from discogan_jax.data.pairs import HALVES, by_numbers, half_of
from discogan_jax.data.pix2pix import archives, pipeline
from discogan_jax.data.pix2pix.half import Half
from discogan_jax.data.pix2pix.locate import locate, origin
from discogan_jax.data.pix2pix.tar import Pairs
from discogan_jax.data.progress import progress_bar
from discogan_jax.data.source import WITHOUT_TENSORFLOW, CachedSource, Places, Source, Wanted
from discogan_jax.errors import InputError, choose
from discogan_jax.images import Size


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
        half = choose(parts[2], HALVES, "half of the training files") if parts[2:] else None
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
        key = origin(self.archive.name, places.archives, places.data_dir)
        return {"archive": self.archive.name, "side": self.side, "half": self.half, "origin": key}

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
        path = locate(self.archive.name, places.archives, places.data_dir)
        if items := drawn_archive.recorded_items(path):
            items["train"] = half_of(items["train"], self.half)
        return items

    def write(self, folder: Path, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Decodes the side of every pair, in one pass; downloads the archive first if need be.

        Rows are sorted by the numbers in the file names. So are those of the other side: row i of
        one is the partner of row i of the other, unless halves were chosen.

        Args:
          folder: an empty folder for the two files.
          wanted: what the arrays are to be.
          places: locations of the archives.

        Raises:
          InputError: the archive is not found, it is damaged, or too many of its pictures are.
        """
        what = f"{self.label} is not decoded yet; decoding it"
        host.require_tensorflow(what, WITHOUT_TENSORFLOW, datasets=True)
        # Late: TFDS is only needed here.
        from discogan_jax.data.pix2pix import builder

        pairs = builder.pairs(self.archive, archives=places.archives, data_dir=places.data_dir)
        census = Census(self.preparation(wanted), self.label, wanted.quiet)
        scratch = folder / "all.raw"
        found = self._decode(scratch, pairs, census)
        for split, tally in pairs.tallies.items():
            tally.close()
            for name, problem in tally.bad:
                census.leave_out(f"{split}/{name}", problem)
        # Sort by the numbers in the names, and take a half where one was chosen.
        shape = census.number, *wanted.size, wanted.channels
        pictures = np.memmap(scratch, np.uint8, "r", shape=shape)
        for split, row_of in found.items():
            names = sorted(row_of, key=by_numbers)
            if split == "train":
                names = half_of(names, self.half)
            if not names:
                few = f"{pairs.tallies[split].path} has too few pictures"
                raise InputError(f"{few} to take the {self.half} half of.")
            cache.write_rows(pictures, [row_of[name] for name in names], folder / f"{split}.npy")
        census.warn(*census.warnings(pictures))
        scratch.unlink()
        return census.to_json()

    def _decode(self, scratch: Path, pairs: Pairs, census: Census) -> dict[str, dict[str, int]]:
        """Writes the bytes of the pictures into a file, in the order of the pairs.

        Not into arrays: how many pictures there are is known only at the end of the stream.

        Returns:
          Per split, the rows of the pictures by their names.
        """
        rows: dict[str, dict[str, int]] = {split: {} for split in pairs.tallies}
        half = Half(self.archive, self.side, census.preparation)
        size = Size(self.archive.height, self.archive.width // 2)
        cut = images.share_cut(size, half.preparation.size, half.preparation.fit)
        decoded = pipeline.decoded(pairs.examples, half)
        if pairs.number:
            decoded = progress_bar(self.label, pairs.number, " pictures", iterable=decoded)
        with scratch.open("wb") as file:
            for path, picture, problem in decoded:
                split, _, name = path.partition("/")
                if pairs.tallies[split].take(name, problem):
                    assert picture is not None
                    file.write(picture.tobytes())
                    rows[split][name] = census.number
                    grey = bool((picture == picture[..., :1]).all())
                    census.used[Seen(size, grey, cut)] += 1
        return rows
