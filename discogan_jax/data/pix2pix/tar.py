"""Streams the images of a pix2pix archive out of its tar.gz file, and says which are used."""

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from discogan_jax.data.pix2pix.archives import PublishedArchive
from discogan_jax.data.progress import progress_bar
from discogan_jax.errors import InputError
from discogan_jax.files import require_regular

MAX_MEMBER_BYTES = 8 << 20  # the largest published image has well under 1 MiB
MAX_MEMBERS = 1_000_000  # the largest published archive has 138,767
MAX_TOTAL_BYTES = 64 << 30  # unpacked; the largest published archive has 8 GiB
MAX_NAME = 255  # characters of a file's name: file systems allow no more
MAX_BAD_FRACTION = 0.01  # of the images of a split
MAX_BAD_COUNT = 5  # bad images that are tolerated in a small archive
BLOCK = 1 << 16  # tarfile copies the rest of a block at each read
MAX_EMPTY = 3  # reads at the end of the file
STEP_BYTES = 3 * MAX_MEMBER_BYTES  # the rest of one member, the next one, and their headers


class Member(NamedTuple):
    """One image file of an archive.

    Attributes:
      split: the split.
      name: the file name, without folders.
      jpeg: the undecoded bytes.
    """

    split: str
    name: str
    jpeg: bytes


class _Bounded:
    """Limits the unpacked bytes that are read, against archives made to fill the memory.

    Attributes:
      limit: position up to which tarfile may read in this step; it would read a header of any size
        into memory.
    """

    def __init__(self, stream: gzip.GzipFile, path: Path):
        self.stream, self.path, self.limit, self.empty = stream, path, 0, 0

    def begin_step(self) -> None:
        self.limit = min(self.stream.tell() + STEP_BYTES, MAX_TOTAL_BYTES)

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        if self.stream.tell() > self.limit:
            raise InputError(f"{self.path} unpacks to more than an archive of images can hold.")
        # To skip what a header says that there is, tarfile would read at the end for years.
        self.empty += not block
        if self.empty > MAX_EMPTY:
            raise EOFError("it ends within a member")
        return block


def members(path: Path, archive: PublishedArchive) -> Iterator[Member]:
    """Streams the images out of a tar.gz file; nothing is unpacked to the disk or kept.

    A bar shows how much of the file has been read.

    Args:
      path: the tar.gz file.
      archive: the archive that it should be; it determines the names of folder and splits.

    Yields:
      The files `NAME/SPLIT/*.jpg` in the archive's order, not decoded. Other regular files (notes,
      what operating systems leave behind) are skipped.

    Raises:
      InputError: the file is damaged or is another archive, or it has members that no archive of
        images needs (links, devices, paths that leave its folder).
    """
    again = f"Delete it and download it again from {archive.url}."
    try:
        require_regular(path)
        # Not tarfile's own "r|gz": that neither checks the CRC nor notices every truncation.
        with (
            path.open("rb") as raw,
            gzip.GzipFile(fileobj=raw) as stream,
            progress_bar(path.name, path.stat().st_size, leave=False) as bar,
        ):
            bounded = _Bounded(stream, path)
            for info, tar in _entries(bounded, path):
                bar.update(raw.tell() - bar.n)
                if split := _split_of(info, archive, path):
                    jpeg = tar.extractfile(info).read()  # type: ignore[union-attr]
                    yield Member(split, info.name.rpartition("/")[2], jpeg)
            # To the very end, where the CRC is; tarfile stops early, and at any garbage.
            bounded.begin_step()
            while block := bounded.read(BLOCK):
                if block.strip(b"\0"):
                    raise InputError(f"{path} is damaged (data after its end). {again}")
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damage makes tarfile raise nearly anything
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            raise InputError(f"{path} cannot be read: {error}.") from error
        why = str(error) or type(error).__name__
        raise InputError(f"{path} is damaged or not a tar.gz file ({why}). {again}") from error


def _entries(bounded: _Bounded, path: Path) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    bounded.begin_step()
    # A pipe needs no more of its file object than read().
    with tarfile.open(fileobj=bounded, mode="r|", bufsize=BLOCK) as tar:  # type: ignore[call-overload]
        for number, info in enumerate(iter(tar.next, None)):
            if number == MAX_MEMBERS:
                raise InputError(f"{path} has more than {MAX_MEMBERS} members.")
            tar.members.clear()  # else they pile up
            yield info, tar
            bounded.begin_step()


def _split_of(info: tarfile.TarInfo, archive: PublishedArchive, path: Path) -> str | None:
    """Returns the split of an image, or None for what is skipped; refuses what is dangerous."""
    *folders, name = [part for part in info.name.split("/") if part not in ("", ".")] or [""]
    if info.name.startswith("/") or ".." in (*folders, name):
        problem = "which leads out of its folder: not an archive to trust"
    # Folders are skipped; links and devices have no place in an archive of images.
    elif info.isdir() or not name:
        return None
    elif not info.isreg():
        problem = "which is a link or a device: not an archive to trust"
    elif len(name) > MAX_NAME:
        problem = f"a name of {len(name)} characters; at most {MAX_NAME} are read"
    elif info.size > MAX_MEMBER_BYTES:
        problem = f"of {info.size} bytes; at most {MAX_MEMBER_BYTES} are read"
    elif name.startswith(".") or not name.lower().endswith((".jpg", ".jpeg")):
        return None
    # An image: of this archive, and of one of its splits or of none.
    elif [archive.name] != folders[:1]:
        problem = f"but the images of {archive.file} are under {archive.name}/"
    else:
        return folders[1] if len(folders) == 2 and folders[1] in archive.splits else None
    raise InputError(f"{path} holds {info.name[:200]!r}, {problem}.")


class Tally:
    """Decides which images of one split are used, and reports the others.

    Attributes:
      path: where they come from, for messages.
      archive: the archive.
      split: the split.
      names: file names of the images that are used.
      bad: names of those that are not used, and why.
    """

    def __init__(self, path: Path, archive: PublishedArchive, split: str):
        self.path, self.archive, self.split = path, archive, split
        self.names: set[str] = set()
        self.bad: list[tuple[str, str]] = []

    def take(self, name: str, problem: str) -> bool:
        """Whether an image is used: it has no problem, and its name was not there before."""
        problem = "duplicate name" if name in self.names else problem
        if problem:
            self.bad.append((name, problem))
        else:
            self.names.add(name)
        return not problem

    def close(self) -> None:
        """Judges the split as a whole; logs a warning if images were left out.

        Raises:
          InputError: too many images are unusable, or none is usable.
        """
        bad, total = self.bad, len(self.names) + len(self.bad)
        where = f"{self.archive.name}/{self.split}/*.jpg"
        some = "; ".join(f"{name}: {problem}" for name, problem in self.bad[:3])
        # Too few or too many are left out: the archive cannot be used.
        if not self.names:
            reason = f"none of {total} is usable: {some}" if bad else f"no {where}"
            raise InputError(f"{self.path} has no images for '{self.split}' ({reason}).")
        if len(bad) > max(MAX_BAD_COUNT, MAX_BAD_FRACTION * total):
            found = f"{len(bad)} unusable images of {total} in '{self.split}' ({some})"
            again = f"Delete it and download it again from {self.archive.url}."
            raise InputError(f"{self.path} has {found}. {again}")
        if bad:
            text = "%s, %s: %d of %d images left out (%s)"
            logging.warning(text, self.path, self.split, len(bad), total, some)


Examples = Any
"""Pairs of a name and the bytes of a picture: a `tf.data.Dataset`, or any other iterable, which is
read in a thread of its own, a bounded number ahead."""


class Pairs(NamedTuple):
    """The pairs of an archive that training and evaluation use.

    Attributes:
      examples: the pairs; their names are ``SPLIT/FILE``.
      tallies: by split, what decides which of them are used; knows what is not among them.
      number: number of the examples, where it is known; else they show their progress themselves.
    """

    examples: Examples
    tallies: dict[str, Tally]
    number: int | None
