"""Reads the images of the pix2pix archives out of the tar stream."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from absl import logging
from PIL import Image

from discogan_jax.data.pix2pix.archives import PublishedArchive, missing
from discogan_jax.errors import InputError

MAX_MEMBER_BYTES = 8 << 20  # the largest published image has well under 1 MiB
MAX_MEMBERS = 1_000_000  # the largest published archive has 138,767
MAX_TOTAL_BYTES = 64 << 30  # unpacked; the largest published archive has 8 GiB
MAX_NAME = 255  # characters of a file's name: no file system has longer ones
MAX_BAD_FRACTION = 0.01
MAX_BAD_COUNT = 5  # so many bad images are borne in a small archive
BLOCK = 1 << 16  # tarfile copies the rest of a block at each read
STEP_BYTES = 3 * MAX_MEMBER_BYTES  # passing one member, reading the next, and their headers

T = TypeVar("T")
_DAMAGE = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, RecursionError)


@dataclass(frozen=True)
class Member:
    """One image file of an archive, its bytes as they stand there."""

    split: str
    name: str
    jpeg: bytes


class _Bounded:
    """The unpacked bytes, of which no more than the limits are ever handed out.

    `allowance` bounds one step of tarfile, which would read a header of any size into memory.
    """

    def __init__(self, stream: gzip.GzipFile, path: Path):
        self.stream, self.path = stream, path
        self.allowance, self.total = 0, 0

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.allowance -= len(block)
        self.total += len(block)
        if self.allowance < 0 or self.total > MAX_TOTAL_BYTES:
            raise InputError(f"{self.path} unpacks to more than an archive of images can hold.")
        return block


def members(
    path: Path, archive: PublishedArchive, on_bytes: Callable[[int], object] | None = None
) -> Iterator[Member]:
    """Streams the images out of a tar.gz; nothing is unpacked to the disk or kept.

    Args:
        path: the tar.gz.
        archive: what it is; fixes the folder and the splits that its images stand in.
        on_bytes: told how many bytes of the file have been read, after every image.

    Yields:
        The files `NAME/SPLIT/*.jpg` in the archive's order, not decoded. Other plain files
        (notes, what operating systems leave behind) are passed over.

    Raises:
        InputError: the file is damaged or another archive, or its members are not what an
            archive of images has any use for (links, devices, paths that leave its folder).
    """
    again = f"Delete it and download it again from {archive.url}."
    try:
        # Not tarfile's own "r|gz": that neither checks the CRC nor notices every truncation.
        with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) as stream:
            bounded = _Bounded(stream, path)
            bounded.allowance = STEP_BYTES
            # A pipe needs no more of its file object than read().
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=BLOCK) as tar:  # type: ignore[call-overload]
                for count in range(MAX_MEMBERS + 1):
                    bounded.allowance = STEP_BYTES
                    info = tar.next()
                    if info is None:
                        break
                    tar.members.clear()  # type: ignore[attr-defined]  # else they pile up
                    split = _judge(info, archive, path)
                    if split:
                        file = tar.extractfile(info)
                        yield Member(split, info.name.rpartition("/")[2], file.read())  # type: ignore[union-attr]
                        if on_bytes:
                            on_bytes(raw.tell())
                    if count == MAX_MEMBERS:
                        raise InputError(f"{path} has more than {MAX_MEMBERS} members.")
            # To the very end, where the CRC stands; tarfile stops early, and at any garbage.
            bounded.allowance = STEP_BYTES
            while block := bounded.read(BLOCK):
                if block.strip(b"\0"):
                    raise InputError(f"{path} is damaged (data after its end). {again}")
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(missing(archive, path)) from error
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged or no tar.gz file ({error}). {again}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}.") from error


def _judge(info: tarfile.TarInfo, archive: PublishedArchive, path: Path) -> str | None:
    """The split of an image, or None for what is passed over; refuses what is dangerous."""
    parts = [part for part in info.name.split("/") if part not in ("", ".")]
    said = f"{path} holds {info.name[:200]!r}, "
    if info.name.startswith("/") or ".." in parts:
        raise InputError(f"{said}which leads out of its folder: not an archive to trust.")
    if info.isdir() or not parts:
        return None
    if not info.isreg():
        raise InputError(f"{said}which is a link or a device: not an archive to trust.")
    if len(parts[-1]) > MAX_NAME:
        raise InputError(
            f"{said}a name of {len(parts[-1])} characters; at most {MAX_NAME} are read."
        )
    if info.size > MAX_MEMBER_BYTES:
        raise InputError(f"{said}of {info.size} bytes; at most {MAX_MEMBER_BYTES} are read.")
    if parts[-1].startswith(".") or not parts[-1].lower().endswith((".jpg", ".jpeg")):
        return None
    if parts[0] != archive.name:
        raise InputError(f"{said}but the images of {archive.file} stand under {archive.name}/.")
    return parts[1] if len(parts) == 3 and parts[1] in archive.splits else None


class Tally:
    """Which images of one split are usable; the others are counted, and named in the log."""

    def __init__(self, path: Path, archive: PublishedArchive, split: str):
        self.path, self.archive, self.split = path, archive, split
        self.names: set[str] = set()
        self.bad: list[str] = []

    def take(self, name: str, fault: str) -> bool:
        """Whether an image is taken: it has no fault, and its name was not there before."""
        fault = "its name stands there twice" if name in self.names else fault
        if fault:
            self.bad.append(f"{name}: {fault}")
        else:
            self.names.add(name)
        return not fault

    def close(self) -> None:
        """Judges the whole, and warns of what was left out.

        Raises:
            InputError: too many images are unusable, or none is usable.
        """
        path, split, bad = self.path, self.split, self.bad
        total = len(self.names) + len(bad)
        some = "; ".join(bad[:3])
        if not self.names:
            where = f"no {self.archive.name}/{split}/*.jpg"
            found = f"none of {total} is usable: {some}" if bad else where
            raise InputError(f"{path} has no images for '{split}' ({found}).")
        if len(bad) > max(MAX_BAD_COUNT, MAX_BAD_FRACTION * total):
            raise InputError(
                f"{path} has {len(bad)} unusable images of {total} in '{split}' ({some}). "
                f"Delete it and download it again from {self.archive.url}."
            )
        if bad:
            text = "%s, %s: %d of %d images left out (%s)"
            logging.warning(text, path, split, len(bad), total, some)


def images(
    path: Path,
    archive: PublishedArchive,
    split: str,
    on_bytes: Callable[[int], object] | None = None,
) -> Iterator[Member]:
    """The usable images of one split.

    Args:
        path: the tar.gz.
        archive: what it is.
        split: which part of it.
        on_bytes: as for `members`.

    Yields:
        Members whose bytes are a whole JPEG of the archive's size; every name once.

    Raises:
        InputError: as `members`, and if too many images are unusable or none is usable.
    """
    tally = Tally(path, archive, split)
    for member in members(path, archive, on_bytes):
        if member.split == split and tally.take(member.name, decode(member, archive, _glance)[1]):
            yield member
    tally.close()


def decode(
    member: Member, archive: PublishedArchive, use: Callable[[Image.Image], T]
) -> tuple[T | None, str]:
    """Opens an image and has it decoded.

    Decoders bear damage in the middle of the data; the archive's CRC is what guards against that.

    Args:
        member: the image.
        archive: fixes the size that it must have.
        use: decodes all of it.

    Returns:
        What `use` returned, and ''; or None, and what is wrong with the image.
    """
    # Pillow bears a missing end marker; TensorFlow, which may decode these bytes later, does not.
    if not member.jpeg.startswith(b"\xff\xd8\xff") or b"\xff\xd9" not in member.jpeg[-1024:]:
        return None, "no whole JPEG"
    try:
        with Image.open(io.BytesIO(member.jpeg), formats=("JPEG",)) as image:
            if image.size != (archive.width, archive.height):
                return None, f"{image.width}x{image.height}, not {archive.width}x{archive.height}"
            if image.mode not in ("RGB", "L"):
                return None, f"colour mode {image.mode}"
            return use(image), ""
    except Exception as error:  # Pillow raises nearly every class on damaged data
        return None, str(error) or type(error).__name__


def _glance(image: Image.Image) -> None:
    image.draft(None, (1, 1))  # an eighth of the size still decodes every coefficient
    image.load()
