"""The kinds of sources that have to be decoded.

Every kind has a `label`, what a person calls it; `facts()`, all that shapes its arrays but their
size, found without TensorFlow or a network; and `write(folder, image_size)`, which decodes it
into `train.npy` and `val.npy`.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from discogan_jax import images
from discogan_jax.data import decode
from discogan_jax.data.pix2pix import archives as pix2pix_archives
from discogan_jax.errors import InputError
from discogan_jax.files import fingerprint, locked
from discogan_jax.host import tensorflow

HELD_OUT = 0.05
"""Part that is not for training where a source does not say which; at least one picture."""

HELD_OUT_MOST = 500
"""So many are enough to measure with; the rest is for training."""


def choose(value: str, choices: Collection[str], source: str, what: str) -> str:
    """Refuses what is none of a few words.

    Args:
      value: the word.
      choices: those that are understood.
      source: where it was read, for the message.
      what: what it names, for the message.

    Returns:
      The word.

    Raises:
      InputError: names the nearest choice and lists all.
    """
    if value in choices:
        return value
    nearest = difflib.get_close_matches(value, choices, n=1, cutoff=0.0)
    raise InputError(
        f"Source {source!r}: there is no {what} {value!r}; did you mean {nearest[0]!r}? "
        f"Choices: {', '.join(choices)}."
    )


@dataclass(frozen=True)
class Archive:
    """One side of a pix2pix archive; `archives` None is the published one."""

    name: str
    side: str
    half: str | None
    data_dir: Path
    archives: Path | None

    @property
    def label(self) -> str:
        """What a person calls it."""
        return "archive:" + "/".join(filter(None, (self.name, self.side, self.half)))

    def facts(self) -> dict[str, Any]:
        """What was asked for, and which file it comes from."""
        self._sides()  # a misspelt name is likelier than a file that is not there
        origin = "published"
        if self.archives is not None:
            path = pix2pix_archives.locate(self.name, self.archives, self.data_dir)
            origin = fingerprint(path)
        return {"archive": self.name, "side": self.side, "half": self.half, "origin": origin}

    def _sides(self) -> tuple[str, str]:
        choose(self.name, pix2pix_archives.ARCHIVES, self.label, "archive")
        archive = pix2pix_archives.ARCHIVES[self.name]
        choose(self.side, (archive.left, archive.right), self.label, "side")
        return archive.left, archive.right

    def write(self, folder: Path, image_size: int) -> None:
        """Decodes all of it."""
        decode.write_archive(
            folder,
            pix2pix_archives.locate(self.name, self.archives, self.data_dir),
            pix2pix_archives.ARCHIVES[self.name],
            image_size=image_size,
            right=self.side == self._sides()[1],
            thicken=self.side == "edges",
            half=self.half,
        )


@dataclass(frozen=True)
class Folder:
    """Pictures of any kind below a folder."""

    path: Path
    train: list[Path]
    val: list[Path] | None  # None: held out by a hash of the name

    @classmethod
    def open(cls, path: Path) -> "Folder":
        """Lists the pictures; raises InputError if there is none, or no such folder."""
        try:
            path = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: links that go round in a circle
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: there is no such folder ({why}); check the path.") from error
        if not path.is_dir():
            raise InputError(f"{path} is no folder; name the one that holds the pictures.")
        held = next((path / name for name in ("val", "test") if (path / name).is_dir()), None)
        splits = [path / "train", held] if held and (path / "train").is_dir() else [path]
        found = [pictures_below(folder) for folder in splits if folder]
        for folder, files in zip(splits, found, strict=True):
            if not files:
                kinds = ", ".join(sorted(images.EXTENSIONS))
                raise InputError(f"{folder} holds no pictures ({kinds}), at any depth.")
        return cls(path, found[0], found[1] if len(found) == 2 else None)

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"folder:{self.path.name}"

    def facts(self) -> dict[str, Any]:
        """The place, and a hash of names, sizes and times of change."""
        listing = hashlib.sha256()
        for file in chain(self.train, self.val or ()):
            try:
                status = file.stat()
                state = (status.st_size, status.st_mtime_ns)
            except OSError:  # a link to nowhere; skipped, and named, when it is to be read
                state = (-1, -1)
            listing.update(repr((str(file.relative_to(self.path)), *state)).encode())
        return {"folder": str(self.path), "listing": listing.hexdigest()}

    def write(self, folder: Path, image_size: int) -> None:
        """Decodes all of it."""
        files = [*self.train, *(self.val or ())]

        def held_out(good: Sequence[int]) -> Collection[int]:
            if self.val is not None:
                return [row for row in good if row >= len(self.train)]
            rows = {files[row].relative_to(self.path).as_posix(): row for row in good}
            return [rows[name] for name in _held_out(rows)]

        decode.write_pictures(
            folder,
            files,
            count=len(files),
            image_size=image_size,
            held_out=held_out,
            label=str(self.path),
        )


def pictures_below(folder: Path) -> list[Path]:
    """Pictures at any depth, sorted; hidden files and folders are passed over.

    Raises:
      InputError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed ({error.strerror}).") from error

    found = []
    # Links to folders are not followed: they may lead round in a circle.
    for where, folders, files in os.walk(folder, onerror=refuse):
        # Hidden ones are thumbnails and what archivers of other systems leave.
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [
            Path(where, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in images.EXTENSIONS
        ]
    return sorted(found)


def _held_out(names: Iterable[str]) -> list[str]:
    """Chooses about 5%, by hash: a name stays where it is when others come or go."""

    def fraction_of(name: str) -> float:
        return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8]) / 2**64

    fractions = sorted((fraction_of(name), name) for name in names)
    below = sum(fraction < HELD_OUT for fraction, _ in fractions)
    return [name for _, name in fractions[: min(max(below, 1), HELD_OUT_MOST)]]


@dataclass(frozen=True)
class Tfds:
    """Splits of a data set of TensorFlow Datasets."""

    name: str
    train: str
    val: str | None
    data_dir: Path

    @classmethod
    def parse(cls, rest: str, data_dir: Path) -> "Tfds | None":
        """Understands NAME[/CONFIG][:VERSION]:TRAIN[:VAL], or returns None."""
        parts = re.split(r":(?![^\[]*\])", rest)  # split names have colons too: train[:90%]
        if len(parts) > 1 and re.fullmatch(r"[\d*]+\.[\d*]+\.[\d*]+", parts[1]):
            parts[:2] = [":".join(parts[:2])]
        if len(parts) not in (2, 3) or not all(parts):
            return None
        return cls(parts[0], parts[1], parts[2] if len(parts) == 3 else None, data_dir)

    @property
    def label(self) -> str:
        """What a person calls it."""
        return ":".join(filter(None, ("tfds", self.name, self.train, self.val)))

    def facts(self) -> dict[str, Any]:
        """What was asked for: only the library itself knows more."""
        return {"tfds": self.name, "train": self.train, "val": self.val}

    def write(self, folder: Path, image_size: int) -> None:
        """Decodes all of it."""
        tensorflow()
        import tensorflow_datasets as tfds

        builder = self._builder(tfds)
        feature = self._feature(tfds, builder)
        splits = [split for split in (self.train, self.val) if split]
        counts = [self._count(builder, split) for split in splits]
        total = sum(counts)
        # Without a split of its own, the end of the training split is held out.
        most = min(max(round(HELD_OUT * total), 1), HELD_OUT_MOST)
        first = counts[0] if self.val else total - most

        def pictures() -> Iterator[bytes]:
            skip = {feature: tfds.decode.SkipDecoding()}
            for split in splits:
                yield from (
                    record[feature]
                    for record in builder.as_dataset(
                        split=split,
                        decoders=tfds.decode.PartialDecoding({feature: True}, decoders=skip),
                        read_config=tfds.ReadConfig(try_autocache=False),
                    ).as_numpy_iterator()
                )

        def held_out(good: Sequence[int]) -> Collection[int]:
            return [row for row in good if row >= first]

        decode.write_pictures(
            folder,
            pictures(),
            count=total,
            image_size=image_size,
            held_out=held_out,
            label=self.label,
        )

    def _builder(self, tfds: Any) -> Any:
        root = self.data_dir / "tfds"
        name = re.split("[/:]", self.name)[0]
        try:
            builder = tfds.builder(self.name, data_dir=root)
        except tfds.core.DatasetNotFoundError:
            known = tfds.list_builders(with_community_datasets=False)
            near = difflib.get_close_matches(name, known, n=5, cutoff=0.0)
            raise InputError(
                f"Source {self.label!r}: TensorFlow Datasets has no {name!r}; "
                f"the nearest of {len(known)} names are {', '.join(near)}."
            ) from None
        except Exception as error:  # an unknown configuration or version
            raise InputError(f"Source {self.label!r}: {error}") from error
        try:
            with locked(root / name):  # a second domain is often of the same set
                builder.download_and_prepare()
        except Exception as error:  # any of network, disk, checksum, a file to fetch by hand
            raise InputError(f"{self.name} could not be prepared in {root}: {error}") from error
        return builder

    def _feature(self, tfds: Any, builder: Any) -> str:
        features = builder.info.features
        found = sorted(key for key in features if isinstance(features[key], tfds.features.Image))
        if not found:
            raise InputError(f"{self.name} has no images; its features: {', '.join(features)}.")
        return "image" if "image" in found else str(found[0])

    def _count(self, builder: Any, split: str) -> int:
        try:
            return int(builder.info.splits[split].num_examples)
        except Exception as error:  # an unknown name or a malformed slice, by several types
            choices = ", ".join(sorted(builder.info.splits))
            raise InputError(
                f"{self.name} has no split {split!r}; its splits: {choices}."
            ) from error


Source = Archive | Folder | Tfds
