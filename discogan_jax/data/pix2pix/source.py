"""The source `archive:NAME/SIDE[/HALF]`: one side of the pairs of a pix2pix archive."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from discogan_jax import host, images
from discogan_jax.data import cache
from discogan_jax.data.catalogue import archive as drawn_archive
from discogan_jax.data.catalogue.items import Items
from discogan_jax.data.census import Census, Seen
from discogan_jax.data.pairs import HALVES, by_numbers, half_of
from discogan_jax.data.pix2pix import archives, pipeline, tar
from discogan_jax.data.pix2pix.half import Half, Pairs
from discogan_jax.data.pix2pix.locate import locate
from discogan_jax.data.progress import progress_bar
from discogan_jax.data.source import WITHOUT_TENSORFLOW, CachedSource, Places, Source, Wanted
from discogan_jax.errors import InputError, choose
from discogan_jax.files import fingerprint
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
        host.require_tensorflow(f"{self.label} is not decoded yet; decoding it", WITHOUT_TENSORFLOW)
        # Late: TFDS is only needed here.
        from discogan_jax.data.pix2pix import builder

        pairs = builder.pairs(self.archive, archives=places.archives, data_dir=places.data_dir)
        census = Census(self.preparation(wanted))
        tallies = {s: tar.Tally(pairs.path, self.archive, s) for s in cache.SPLITS}
        self._decode(folder, pairs, census, tallies)
        for split, tally in tallies.items():
            tally.close()
            for name, problem in tally.bad:
                census.leave_out(f"{split}/{name}", problem)
            # Sort by the numbers in the names, and take a half where one was chosen.
            numbers = [by_numbers(name) for name in tally.names]
            rows = sorted(range(len(numbers)), key=numbers.__getitem__)
            if split == "train":
                rows = half_of(rows, self.half)
            if not rows:
                few = f"{pairs.path} has too few pictures"
                raise InputError(f"{few} to take the {self.half} half of.")
            raw, shape = folder / f"{split}.raw", (*wanted.size, wanted.channels)
            pictures = np.memmap(raw, np.uint8, "r", shape=(len(numbers), *shape))
            cache.write_rows(pictures, rows, folder / f"{split}.npy")
            raw.unlink()
        for warning in census.warnings():
            logging.warning("%s: %s", self.label, warning)
        return census.to_json()

    def _decode(
        self, folder: Path, pairs: Pairs, census: Census, tallies: Mapping[str, tar.Tally]
    ) -> None:
        """Writes the bytes of the pictures in the order of the pairs, into a `.raw` file a split.

        Not into arrays: how many pictures there are is known only at the end of the stream.
        """
        for split, bad in pairs.left_out.items():
            if split in tallies:
                tallies[split].bad.extend(bad)
        half = Half(self.archive, self.side, census.preparation)
        size = Size(self.archive.height, self.archive.width // 2)
        cut = images.share_cut(size, half.preparation.size, half.preparation.fit)
        with ExitStack() as stack:
            files = {s: stack.enter_context((folder / f"{s}.raw").open("wb")) for s in tallies}
            if pairs.number:
                bar = stack.enter_context(progress_bar(self.label, pairs.number, " pictures"))
            for name, picture, problem in pipeline.decoded(pairs.examples, half):
                split, _, file = name.partition("/")
                if tallies[split].take(file, problem):
                    assert picture is not None
                    files[split].write(picture.tobytes())
                    grey = bool((picture == picture[..., :1]).all())
                    census.used[Seen(size, grey, cut)] += 1
                if pairs.number:
                    bar.update()

    def _path(self, places: Places) -> Path:
        return locate(self.archive.name, places.archives, places.data_dir)
