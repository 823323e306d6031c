"""Draws the sample archives: handbags and shoes in the layout of pix2pix's edges2* data sets.

    python -m discogan_jax.data.catalogue DIR --train 2000 --val 100 --seed 0

Each archive holds 512×256 JPEGs, the edge map on the left, the drawing on the right. What each
drawing shows (hue, tilt, style, ...) is known exactly and kept beside the archive as JSON, which
no photographs could offer: a translation's hue or angle can be measured against it.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import multiprocessing
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from discogan_jax.data.catalogue.items import TILT_RANGE, Item, describe, draw
from discogan_jax.data.catalogue.painting import edges
from discogan_jax.errors import InputError
from discogan_jax.files import replacing
from discogan_jax.host import usable_cores

ARCHIVES: dict[str, str] = {"bags": "edges2handbags", "shoes": "edges2shoes"}
"""Name of the archive, and of the folder inside it, of each kind."""

VAL_START = 1_000_000
"""Index of the first validation drawing: the same ones however many are drawn for training."""

_VERSION = 1  # raise it when drawings change, so that old archives are drawn anew
_CHUNK = 50


def write_archives(
    directory: str | Path,
    *,
    train: int = 2000,
    val: int = 100,
    seed: int = 0,
    workers: int | None = None,
    tilt_range: tuple[float, float] = TILT_RANGE,
) -> dict[str, Path]:
    """Writes both archives, and beside each the JSON that tells what every drawing shows.

    An archive that is complete and was drawn with the same parameters is kept; one that was drawn
    with others is drawn anew. The same parameters give the same bytes.

    Args:
      directory: where to; created if need be.
      train: drawings of each kind for training.
      val: drawings of each kind for validation; the same ones for every `train`.
      seed: which catalogue.
      workers: processes that draw; by default one per available core, and none but this one for
        a few drawings. They are started afresh ('spawn'), so a script that calls this needs the
        usual `if __name__ == "__main__":`.
      tilt_range: least and greatest tilt in degrees.

    Returns:
      The path of each archive, by its name ('edges2handbags', 'edges2shoes').

    Raises:
      InputError: if a number is out of range, the directory cannot be written, or it holds an
        archive of that name which this function did not write (the published one, for instance).
    """
    directory = Path(directory)
    for name, number, most in (("train", train, VAL_START), ("val", val, VAL_START)):
        if not 1 <= number <= most:
            raise InputError(f"{name} is {number}; the catalogue draws 1 to {most:,} of each kind.")
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; at least one process must draw.")
    describe("bags", 0, seed, tilt_range=tilt_range)  # refuses a bad range before anything starts
    parameters = {
        "version": _VERSION,
        "train": train,
        "val": val,
        "seed": seed,
        "tilt_range": [float(bound) for bound in tilt_range],
    }
    paths: dict[str, Path] = {}
    missing: list[str] = []
    for kind, name in ARCHIVES.items():
        paths[name] = directory / f"{name}.tar.gz"
        if not _is_kept(paths[name], {**parameters, "kind": kind}):
            missing.append(kind)
    if workers is None:
        few = len(missing) * (train + val) <= 4 * _CHUNK
        workers = 1 if few else min(8, usable_cores())
    try:
        if missing:
            directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            pool = None
            if workers > 1 and missing:
                context = multiprocessing.get_context("spawn")
                executor = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context)
                pool = stack.enter_context(executor)
            for kind in missing:
                _write(paths[ARCHIVES[kind]], kind, parameters, pool)
    except BrokenProcessPool as error:
        raise InputError(
            "The processes that draw could not be started. Call write_archives under "
            '`if __name__ == "__main__":`, or with workers=1.'
        ) from error
    except OSError as error:
        raise InputError(f"{directory} cannot be written: {error.strerror or error}.") from error
    return paths


def record_path(archive: Path) -> Path:
    """Where the attributes of an archive's drawings are: `edges2shoes.json` beside the archive."""
    return archive.with_name(archive.name.removesuffix(".tar.gz") + ".json")


def described(archive: Path) -> dict[str, list[Item]] | None:
    """What the drawings of an archive show, if it was drawn here and not changed since.

    Args:
      archive: the `.tar.gz`.

    Returns:
      Per split ('train', 'val'), the items in the order of the numbers in their files' names; None
      for any other archive.
    """
    try:
        record = json.loads(record_path(archive).read_text())
        if record["sha256"] != _digest(archive):
            return None
        images = record["images"]
        return {
            split: [Item(**item) for name, item in images.items() if name.startswith(f"{split}/")]
            for split in ("train", "val")
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_kept(archive: Path, parameters: dict[str, Any]) -> bool:
    if not archive.exists():
        return False
    try:
        record = json.loads(record_path(archive).read_text())
        written, digest = record["parameters"], record["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{archive} is there, but no record beside it says that it was drawn here. It may be "
            "the published archive: choose another directory, or move it away."
        ) from None
    return bool(written == parameters and _digest(archive) == digest)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(
    archive: Path,
    kind: str,
    parameters: dict[str, Any],
    pool: concurrent.futures.Executor | None,
) -> None:
    top, seed, tilts = ARCHIVES[kind], parameters["seed"], tuple(parameters["tilt_range"])
    members = {f"train/{i + 1}_AB.jpg": i for i in range(parameters["train"])}
    members |= {f"val/{i + 1}_AB.jpg": VAL_START + i for i in range(parameters["val"])}
    items = {name: describe(kind, index, seed, tilt_range=tilts) for name, index in members.items()}
    with replacing(archive) as temporary:
        with (
            temporary.open("wb") as file,
            # No name and no time inside: the bytes depend on nothing but the drawings. Stored as
            # they are, for JPEGs gain next to nothing and the time would be a tenth more.
            gzip.GzipFile("", "wb", compresslevel=0, fileobj=file, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for folder in (top, f"{top}/train", f"{top}/val"):
                tar.addfile(_member(folder, tarfile.DIRTYPE, 0o755))
            for name, data in zip(items, _encoded(list(items.values()), pool), strict=True):
                member = _member(f"{top}/{name}", tarfile.REGTYPE, 0o644)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        content = {
            "parameters": {**parameters, "kind": kind},
            "sha256": _digest(temporary),
            "images": {name: dataclasses.asdict(item) for name, item in items.items()},
        }
        # The record first: cut off in between, the next call finds an archive that it may replace.
        with replacing(record_path(archive)) as record:
            record.write_text(json.dumps(content, indent=0) + "\n")


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = kind, mode
    return member


def _encoded(items: list[Item], pool: concurrent.futures.Executor | None) -> Iterator[bytes]:
    chunks = [items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK)]
    for chunk in map(_encode, chunks) if pool is None else pool.map(_encode, chunks):
        yield from chunk


def _encode(items: list[Item]) -> list[bytes]:
    """Draws pairs of edges and picture, as the files of the archive. Runs in a worker."""
    encoded = []
    for item in items:
        photo = draw(item)
        file = io.BytesIO()
        pair = Image.fromarray(np.concatenate([edges(photo), photo], axis=1))
        pair.save(file, format="JPEG", quality=90)
        encoded.append(file.getvalue())
    return encoded


def main(arguments: list[str] | None = None) -> int:
    """Writes the archives from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m discogan_jax.data.catalogue",
        description="Draws the sample archives: handbags and shoes in pix2pix's layout.",
    )
    parser.add_argument("directory", type=Path, help="where the archives go")
    parser.add_argument("--train", type=int, default=2000, help="training drawings of each kind")
    parser.add_argument("--val", type=int, default=100, help="validation drawings of each kind")
    parser.add_argument("--seed", type=int, default=0, help="which catalogue")
    given = parser.parse_args(arguments)
    try:
        paths = write_archives(given.directory, train=given.train, val=given.val, seed=given.seed)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for path in paths.values():
        print(
            f"{path}: {given.train} train + {given.val} val, seed {given.seed}, "
            f"{path.stat().st_size / 1e6:.1f} MB; attributes in {record_path(path).name}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
