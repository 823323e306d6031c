"""Reads picture files, whatever they are, and refuses what must not be decoded."""

import contextlib
import importlib.util
import io
import math
import re
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from discogan_jax.errors import InputError, printable
from discogan_jax.images import decoding, kinds, tiff, values
from discogan_jax.images.picture import Picture, Size
from discogan_jax.images.room import room

MAX_PIXELS = 80_000_000
"""Larger pictures are refused before they are decoded: a small file can unpack to gigabytes.
`room.BYTES_A_PIXEL` says what decoding takes. The limit is below that at which Pillow warns."""

MAX_BYTES = 1 << 30
"""Larger files are refused before they are opened: some decoders read all of a file at once."""

MAX_SCANS = 100
"""JPEGs with more scans are refused: a scan of a few bytes makes a decoder go over a whole picture.
Progressive ones have about 10, those in CMYK 18; libtiff and libvips have the same limit."""

Source = str | Path | bytes

NO_PICTURE, UNREADABLE, TOO_LARGE = "not a picture", "unreadable", "too large"
"""Reasons of a `PictureError`; the others name a kind of picture that is not read."""

# A JPEG's markers: all but those without a length of their own, which are among the pixels. Of the
# bytes 255 that may fill up the space before a marker, the last one begins it.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_SCAN, _END = 0xDA, 0xD9


class PictureError(InputError):
    """A file cannot be used as a picture.

    Attributes:
      reason: why, in words that many files may have in common.
    """

    def __init__(self, message: str, reason: str = UNREADABLE):
        super().__init__(message)
        self.reason = reason


def read(source: Source) -> UInt8[np.ndarray, "H W 3"]:
    """Reads any picture as 8-bit RGB, upright, on white.

    The camera's orientation is applied, transparency becomes white, palettes, CMYK and grey become
    RGB, an animation is its first frame, and a document its first page. Deep pictures are scaled
    by their own values (see `values.needed_range`), without regard to others of their set.

    Args:
      source: a path, or the bytes of a file.

    Raises:
      PictureError: there is no such file, it is no picture, it is damaged or it is too large.
        Nothing else is raised, whatever the bytes are.
    """
    pixels = values.to_bytes(load(source))
    return pixels if pixels.shape[-1] == 3 else pixels.repeat(3, axis=-1)


def load(source: Source, *, at_least: Size | None = None, page: int = 0) -> Picture:
    """Reads any picture as its file holds it: grey or RGB, 8 bits or deep; upright, on white.

    Args:
      source: a path, or the bytes of a file.
      at_least: the size that is needed: JPEGs may be read at a fraction of theirs, which is several
        times faster, if that is still twice as much.
      page: number of the page of a TIFF, from 0.

    Raises:
      PictureError: there is no such file, it is no picture, it is damaged or it is too large.
        Nothing else is raised, whatever the bytes are.
    """
    with _opened(source) as file:
        if not (head := file.read(kinds.HEAD)):
            problem = "cannot be read as a picture (empty, of no known kind); replace or remove it."
            raise PictureError(problem, NO_PICTURE)
        found = kinds.sniff(head)
        decoder = _decoder(found)
        # What some files would do to a decoder is seen before it runs.
        if found == "JPEG":
            file.seek(0)
            check_jpeg(file.read())
        declared = tiff.check(file, page) if found == "TIFF" else None
        if page and not declared:
            raise ValueError(f"it has no page {page}: of {found} the first picture is read")
        # WebP's decoder takes its memory when it is opened.
        opening = room(_webp_pixels(head)) if found == "WEBP" else contextlib.nullcontext()
        try:
            with opening:
                opened = Image.open(file, formats=[decoder])
            with opened as image:
                image.seek(page)
                width, height = image.size
                if width * height > MAX_PIXELS:
                    size = f"{width}×{height} pixels"
                    raise PictureError(f"is too large: {size}, {_limit()}", TOO_LARGE)
                return decoding.decode(image, file, at_least, declared)
        except UnidentifiedImageError:  # whose text names an object in memory
            what = f"{declared}; read are {tiff.READ}" if declared else "damaged"
            raise ValueError(what) from None


def kind(source: Source) -> str | None:
    """Names what a file is by its first bytes: one of `FORMATS`, another kind of picture, or None.

    Raises:
      PictureError: there is no such file, or it cannot be opened.
    """
    with _opened(source) as file:
        return kinds.sniff(file.read(kinds.HEAD))


def page_count(source: Source) -> int:
    """Counts the pages of a TIFF; other pictures have one.

    Raises:
      PictureError: there is no such file, it is damaged, or it has more pages than
        `tiff.MAX_PAGES`.
    """
    with _opened(source) as file:
        is_tiff = kinds.sniff(file.read(kinds.HEAD)) == "TIFF"
        return sum(1 for _ in tiff.pages(file)) if is_tiff else 1


def check_jpeg(data: bytes) -> None:
    """Refuses a JPEG that is made to take long, before any decoder sees it.

    Raises:
      ValueError: it has more than `MAX_SCANS` scans.
    """
    # The two bytes of the marker also occur in videos behind a picture: where there are many of
    # them, go from marker to marker, up to the picture's end.
    if data.count(bytes([0xFF, _SCAN])) <= MAX_SCANS:
        return
    scans = (marker for marker, _ in segments(data) if marker == _SCAN)
    if next(islice(scans, MAX_SCANS, None), None):
        raise ValueError(f"a JPEG with more than {MAX_SCANS} scans, made to take long")


def segments(jpeg: bytes) -> Iterator[tuple[int, int]]:
    """Walks over the segments of a JPEG, up to the picture's end, without decoding any.

    Yields:
      The second byte of each segment's marker, and the place of its length, behind the marker.
    """
    at = 0
    while (found := _MARKER.search(jpeg, at)) and jpeg[found.end() - 1] != _END:
        at = found.end()
        yield jpeg[at - 1], at
        at += int.from_bytes(jpeg[at : at + 2])


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[tiff.File]:
    """Opens a source at its beginning; whatever is raised in the body becomes a `PictureError`."""
    name = "The file" if isinstance(source, bytes) else printable(str(source), "")
    try:
        if isinstance(source, bytes):
            yield io.BytesIO(source)
        else:
            _check_file(Path(source))
            with Path(source).open("rb") as file:
                yield file
    except PictureError as error:
        raise PictureError(f"{name} {error}", error.reason) from error.__cause__
    except FileNotFoundError:
        raise PictureError(f"{name}: there is no such file; check the path.") from None
    except PermissionError:
        raise PictureError(f"{name} cannot be read; check its permissions.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"{name} is too large: {_limit()}", TOO_LARGE) from error
    except Exception as error:  # damaged files make decoders raise nearly anything
        if isinstance(error, MemoryError):
            raise MemoryError(f"{name} cannot be read: {error or 'no memory'}") from error
        advice = "replace it or remove it."
        raise PictureError(f"{name} cannot be read as a picture ({error}); {advice}") from error


def _check_file(path: Path) -> None:
    """Refuses what must not be opened: a pipe, for one, would wait for a writer."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise PictureError("is a folder, not a picture; name a file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("is a pipe or a device, not a picture; name a file.")
    if status.st_size > MAX_BYTES:
        found = f"{status.st_size:,} bytes, the limit is {MAX_BYTES:,}"
        raise PictureError(f"is too large: {found}.", TOO_LARGE)


def _limit() -> str:
    return f"the limit is {MAX_PIXELS:,} pixels in all. Scale it down first."


def _webp_pixels(head: bytes) -> int:
    """Returns the number of pixels that a WebP says it has, of at most `MAX_PIXELS`."""
    match head[12:16]:
        case b"VP8X":
            sides = [int.from_bytes(head[i : i + 3], "little") + 1 for i in (24, 27)]
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            sides = [(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1]
        case _:
            sides = [int.from_bytes(head[i : i + 2], "little") & 0x3FFF for i in (26, 28)]
    return min(math.prod(sides), MAX_PIXELS)


def _decoder(kind: str | None) -> str:
    """Returns Pillow's name of the one decoder for a kind of file."""
    if kind is None:
        problem = "cannot be read as a picture (of no known kind)"
        raise PictureError(f"{problem}; readable are {', '.join(kinds.FORMATS)}.", NO_PICTURE)
    if kind == "HEIC" and importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
        return "HEIF"
    if kind == "HEIC":
        advice = "to be read with `pip install pillow-heif`"
        raise PictureError(f"is a HEIC picture, {advice}.", f"HEIC, {advice}")
    if kind not in kinds.FORMATS:
        problem = f"is of a kind that is not read, {kind}"
        advice = "convert it to PNG, TIFF or JPEG."
        raise PictureError(f"{problem}; {advice}", f"{kind}, which is not read")
    return kind
