"""Draws the sample archives: handbags and shoes in the layout of pix2pix's edges2* data sets.

Each archive holds 512×256 JPEGs, the edge map on the left, the drawing on the right. What each
drawing shows (hue, tilt, style, ...) is known exactly and recorded beside the archive as JSON, so
that a translation's hue or angle can be measured against it.
"""

import dataclasses
import gzip
import io
import multiprocessing
import tarfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from PIL import Image

from discogan_jax.data.catalogue.items import TILT_RANGE, Item, Items, describe, draw
from discogan_jax.data.catalogue.painting import edges
from discogan_jax.errors import InputError
from discogan_jax.files import find_json, read_json, replacing, sha256, write_json
from discogan_jax.host import usable_cores

#: Name of the archive, and of the folder inside it, of each kind.
ARCHIVES: dict[str, str] = {"bags": "edges2handbags", "shoes": "edges2shoes"}

#: Index of the first validation drawing: the same ones for any number of training drawings.
VAL_START = 1_000_000

_VERSION = 1  # raise it when drawings change, so that old archives are drawn again
_START = b"\x1f\x8b\x08" + bytes(6) + b"\xff\0"  # of gzip without name, time and compression
_CHUNK = 50  # drawings that a worker takes at once
_MAX_WORKERS = 8


@dataclass(frozen=True)
class Parameters:
    """What determines the bytes of the archives.

    Attributes:
      train: number of training drawings of each kind.
      val: number of validation drawings of each kind; the same ones for every `train`.
      seed: seed of the drawings.
      tilt_range: least and greatest tilt in degrees.
    """

    train: int = 2000
    val: int = 100
    seed: int = 0
    tilt_range: tuple[float, float] = TILT_RANGE

    def check(self) -> None:
        """Raises an `InputError` if a number is out of range."""
        for name, number in (("train", self.train), ("val", self.val)):
            if not 1 <= number <= VAL_START:
                raise InputError(f"{name} is {number}; it must be 1 to {VAL_START:,}.")
        describe("bags", 0, self.seed, tilt_range=self.tilt_range)

    def record(self, kind: str) -> dict[str, Any]:
        """Returns the parameters of one kind as JSON can hold them."""
        tilts = [*map(float, self.tilt_range)]
        return {"version": _VERSION, **vars(self), "tilt_range": tilts, "kind": kind}

    def items(self, kind: str) -> dict[str, Item]:
        """Returns what every drawing of a kind shows, by the name of its file."""
        indices = {f"train/{i + 1}_AB.jpg": i for i in range(self.train)}
        indices |= {f"val/{i + 1}_AB.jpg": VAL_START + i for i in range(self.val)}
        return {
            name: describe(kind, index, self.seed, tilt_range=self.tilt_range)
            for name, index in indices.items()
        }


def write_archives(
    directory: str | Path, *, workers: int | None = None, **parameters: Any
) -> dict[str, Path]:
    """Writes both archives, and beside each a JSON file that records what every drawing shows.

    An archive that is complete and was drawn with the same parameters is kept; one that was drawn
    with others is drawn again. The same parameters give the same bytes.

    Args:
      directory: folder for the archives; created if need be.
      workers: number of processes that draw; by default one for each available core, and for a few
        drawings none but this process. They are started afresh ('spawn'), so that a script that
        calls this needs the usual `if __name__ == "__main__":`.
      **parameters: attributes of `Parameters` that differ from its defaults.

    Returns:
      The path of each archive, by its name ('edges2handbags', 'edges2shoes').

    Raises:
      InputError: a number is out of range, the directory cannot be written, or it holds an archive
        of that name that this function did not write (the published one, for instance).
    """
    directory = Path(directory)
    wanted = Parameters(**parameters)
    wanted.check()
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; at least one process must draw.")

    # Draw what is missing or was drawn with other parameters.
    paths = {name: directory / f"{name}.tar.gz" for name in ARCHIVES.values()}
    missing = [k for k, n in ARCHIVES.items() if not _is_current(paths[n], wanted.record(k))]
    # Starting processes takes longer than a few drawings.
    count = len(missing) * (wanted.train + wanted.val)
    few = count <= 4 * _CHUNK
    workers = workers or (1 if few else min(_MAX_WORKERS, usable_cores()))
    if not few:
        logging.info("drawing %d bags and shoes into %s", count, directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, spawn) if workers > 1 else nullcontext() as pool:
            each = partial(pool.map, chunksize=_CHUNK) if pool else map
            for kind in missing:
                _write(paths[ARCHIVES[kind]], kind, wanted, each)
    except BrokenProcessPool as error:
        raise InputError(
            "The processes that draw could not be started. Call write_archives under "
            '`if __name__ == "__main__":`, or with workers=1.'
        ) from error
    except OSError as error:
        raise InputError(f"{directory} cannot be written: {error.strerror or error}.") from error
    return paths


def record_path(archive: Path) -> Path:
    """Returns the path of an archive's record: `edges2shoes.json` beside the archive."""
    return archive.with_name(archive.name.removesuffix(".tar.gz") + ".json")


def recorded_items(archive: Path) -> Items | None:
    """Reads what the drawings of an archive show, if it was drawn here and not changed since.

    Args:
      archive: the `.tar.gz` file.

    Returns:
      Per split ('train', 'val') the items, in the order of the numbers in their files' names; None
      for any other archive.
    """
    try:
        record = read_json(record_path(archive))
        if record["sha256"] != sha256(archive):
            return None
        return by_split({name: Item(**item) for name, item in record["images"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def by_split(items: Mapping[str, Item]) -> Items:
    """Groups items by the split in their files' names."""
    return {
        split: [item for name, item in items.items() if name.startswith(f"{split}/")]
        for split in ("train", "val")
    }


def _is_current(archive: Path, parameters: Mapping[str, Any]) -> bool:
    """Whether an archive is complete and was drawn with these parameters.

    Raises:
      InputError: the archive or its record is not one that `_write` wrote.
    """
    there = [path for path in (archive, record_path(archive)) if path.exists()]
    if not there:
        return False
    record = find_json(record_path(archive)) or {}
    if not {"parameters", "sha256"} <= record.keys() or (archive in there and not _drawn(archive)):
        raise InputError(
            f"{there[0]} exists, but no record beside it says that it was drawn by this library. "
            "It may be the published archive: choose another directory, or move it away."
        )
    same = archive in there and record["parameters"] == parameters
    return bool(same and record["sha256"] == sha256(archive))


def _drawn(archive: Path) -> bool:
    with archive.open("rb") as file:
        return file.read(len(_START)) == _START


def _write(archive: Path, kind: str, parameters: Parameters, each: Callable[..., Any]) -> None:
    """Draws the archive of one kind by a function such as `map`, and writes it and its record."""
    items = parameters.items(kind)
    with replacing(archive) as temporary:
        _write_tar(temporary, ARCHIVES[kind], items, each(_encode, items.values()))
        content = {
            "parameters": parameters.record(kind),
            "sha256": sha256(temporary),
            "images": {name: dataclasses.asdict(item) for name, item in items.items()},
        }
        # The record first: after a crash in between, the next call may replace the archive.
        write_json(record_path(archive), content)


def _write_tar(path: Path, top: str, names: Iterable[str], drawings: Iterable[bytes]) -> None:
    """Writes a tar.gz file whose bytes depend on the drawings alone."""
    with (
        path.open("wb") as file,
        # No name and no time inside, which is what `_START` shows. Stored uncompressed: JPEGs would
        # gain next to nothing, and it would take a tenth more time.
        gzip.GzipFile("", "wb", compresslevel=0, fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for folder in (top, f"{top}/train", f"{top}/val"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        for name, data in zip(names, drawings, strict=True):
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _encode(item: Item) -> bytes:
    """Draws a pair of edges and picture, as a file of the archive. Runs in a worker."""
    photo, file = draw(item), io.BytesIO()
    pair = Image.fromarray(np.concatenate([edges(photo), photo], axis=1))
    pair.save(file, format="JPEG", quality=90)
    return file.getvalue()
