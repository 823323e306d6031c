"""TIFF files: their pages, and what Pillow reads of them otherwise than the file says."""

import io
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any, NamedTuple

from PIL import TiffImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

File = IO[bytes] | io.BytesIO
"""A binary file, as run-time checks of types know it."""

MAX_PAGES = 10_000
"""Files with more pages are refused: a page may take no more than 18 bytes."""

READ = (
    "one grey band (1 to 16 bits, int16, int32 or float32), RGB or CMYK of 8 or 16 bits, and "
    "palettes"
)
"""What is read of TIFF files, for messages."""

# Tags, as the standard numbers them, and some of their values.
_REDUCED, _BITS, _PHOTOMETRIC, _STRIPS, _SAMPLES, _PLANAR = 254, 258, 262, 273, 277, 284
_TILES, _PARTS, _EXTRA, _FORMAT, _DNG = 324, 330, 338, 339, 50706
_WHITE_IS_ZERO, _SEPARATE, _ALPHA = 0, 2, {1, 2}
_FORMATS = {1: "uint", 2: "int", 3: "float"}
_MISREAD = {"int8", "uint32"}

# Honest files have a strip for a row or more, or tiles of at least 16x16 pixels.
_MAX_PIECES = 200_000


class Page(NamedTuple):
    """What a page says about its values.

    Attributes:
      bands: number of values of a pixel.
      bits: bits of a value.
      values: their type: uint8, float64.
      has_alpha: whether one of the bands is declared to be an opacity.
      inverted: whether 0 is white.
    """

    bands: int
    bits: int
    values: str
    has_alpha: bool
    inverted: bool

    def __str__(self) -> str:
        return f"a TIFF with {self.bands} band{'s' * (self.bands > 1)} of {self.values}"


def check(file: File, number: int) -> Page:
    """Returns what a page holds, before Pillow sees it.

    Args:
      file: the file.
      number: the page's; that of the first is 0.

    Raises:
      ValueError: there is no such page, or Pillow would take it for another picture.
    """
    tags = next(islice(pages(file), number, None), None)
    if tags is None:
        raise ValueError(f"it has no page {number}; the first is 0")
    # The first page of such a file is but its thumbnail.
    if _DNG in tags or (tags.get(_REDUCED, 0) & 1 and _PARTS in tags):
        raise ValueError("a camera's raw file, to be developed to PNG, TIFF or JPEG")
    if len(tags.get(_STRIPS) or tags.get(_TILES) or ()) > _MAX_PIECES:
        raise ValueError(f"it has more than {_MAX_PIECES:,} strips or tiles")
    bits, bands = _first(tags, _BITS, 1), _first(tags, _SAMPLES, 1)
    page = Page(
        bands=bands,
        bits=bits,
        values=f"{_FORMATS.get(_first(tags, _FORMAT, 1), 'complex')}{bits}",
        has_alpha=bool(_ALPHA & set(tags.get(_EXTRA, ()))),
        inverted=_first(tags, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO,
    )
    # Pillow would log that there are too many bands, and misread planes of more than 8 bits.
    planes = bands > 1 and _first(tags, _PLANAR, 1) == _SEPARATE
    too_many = bands > TiffImagePlugin.MAX_SAMPLESPERPIXEL
    if too_many or page.values in _MISREAD or (planes and bits > 8):
        raise ValueError(f"{page}{' in separate planes' * planes}; read are {READ}")
    return page


def pages(file: File) -> Iterator[ImageFileDirectory_v2]:
    """Yields the tags of each page, without decoding any.

    Raises:
      ValueError: there are more than `MAX_PAGES`, after so many.
    """
    file.seek(0)
    header = file.read(8)
    # BigTIFF has a longer header.
    tags = ImageFileDirectory_v2(header + (file.read(8) if header[2] == 43 else b""))
    seen: set[int] = set()
    while tags.next and tags.next not in seen:
        if len(seen) == MAX_PAGES:
            raise ValueError(f"a TIFF of more than {MAX_PAGES:,} pages")
        seen.add(tags.next)
        file.seek(tags.next)
        tags.load(file)
        yield tags


def _first(tags: ImageFileDirectory_v2, tag: int, default: int) -> Any:
    value = tags.get(tag, default)
    return value[0] if isinstance(value, tuple) else value
