"""Turns an image that Pillow has opened into pixels: upright, on white, as deep as the file."""

import contextlib
import math
import re
import sys
from collections.abc import Callable

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile

from discogan_jax.images.picture import Picture, Size
from discogan_jax.images.room import room
from discogan_jax.images.tiff import File, Page

_WHITE = 65535

Decoded = tuple[Shaped[np.ndarray, "H W C"], bool]
"""Pixels, and whether any of them was transparent."""

# Orders of bytes (little and big endian, and the machine's own), and those that are not theirs.
_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


def decode(image: ImageFile, file: File, at_least: Size | None, page: Page | None) -> Picture:
    """Decodes an opened image.

    Args:
      image: the image, at the page that is wanted.
      file: the file that it was opened from.
      at_least: the size that is needed; None for all of the picture.
      page: what a TIFF says about its values.

    Raises:
      MemoryError: there is too little memory.
    """
    # JPEGs alone can be smaller. The larger side both ways: the picture may yet be turned.
    full = image.size
    if at_least:
        image.draft(None, (2 * max(at_least), 2 * max(at_least)))
    smaller = image.size
    # Of a progressive JPEG the coefficients are kept in full.
    with room(max(math.prod(smaller), math.prod(full) // 4)):
        pixels, clear = _decoded(image, file, page)
    size = Size(*(full if image.size != smaller else full[::-1]))
    return Picture(pixels, size, {np.uint8: 8, np.uint16: 16}.get(pixels.dtype.type), clear)


def _decoded(image: ImageFile, file: File, page: Page | None) -> Decoded:
    # The bytes of deep values are in the machine's order, where libtiff has unpacked them.
    if page and any(tile.codec_name == "libtiff" for tile in image.tile):
        _change_raw_mode(image, lambda raw: re.sub(r"(;\d\d)B", r"\1N", raw))
    if re.fullmatch("RGB[AX]?;16[BLN]", _raw_mode(image)):
        pixels, clear = _deep_colour(image, file, page)
    else:
        pixels, clear = _pixels(image, page)
    # A deep PNG may name a value that is transparent.
    value = image.info.get("transparency")
    if pixels.dtype == np.uint16 and value is not None:
        where = (pixels == np.array(value)).all(-1)
        pixels[where] = _WHITE
        clear |= bool(where.any())
    return pixels, clear


def _raw_mode(image: ImageFile) -> str:
    """Returns Pillow's name for how the file holds its values, such as ``RGB;16B``."""
    args = image.tile[0].args if image.tile else ""
    return str(args[0] if isinstance(args, tuple) else args)


def _change_raw_mode(image: ImageFile, change: Callable[[str], str]) -> None:
    for i, tile in enumerate(image.tile):
        raw, *more = tile.args if isinstance(tile.args, tuple) else [tile.args]
        raw = change(str(raw))
        image.tile[i] = tile._replace(args=(raw, *more) if more else raw)


def _load(image: Image.Image) -> None:
    image.load()
    # A damaged EXIF record is no reason to refuse a good picture.
    with contextlib.suppress(Exception):
        # In place: a copy would lose format and tags, which say how deep it is.
        ImageOps.exif_transpose(image, in_place=True)


def _pixels(image: Image.Image, page: Page | None) -> Decoded:
    _load(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _deep_grey(image, page), False
    mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
    # Bands that are not declared to be an opacity are none.
    clear = False
    if image.has_transparency_data and (page is None or page.has_alpha):
        image = image.convert("RGBA")
        clear = image.getchannel("A").getextrema() != (255, 255)
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return pixels if mode == "RGB" else pixels[..., None], clear


def _deep_grey(image: Image.Image, page: Page | None) -> Shaped[np.ndarray, "H W 1"]:
    grey = np.array(image)
    # Pillow holds 16 bits in several modes, and does not invert them.
    if image.mode.startswith("I;") or image.format == "PPM":
        grey = grey.astype(np.uint16)
    if page and page.inverted and grey.dtype == np.uint16:
        grey = np.uint16(2**page.bits - 1) - grey
    if grey.dtype == np.float32 and not np.isfinite(grey).all():
        raise ValueError("it holds values that are NaN or infinite")
    return grey[..., None]


def _deep_colour(image: ImageFile, file: File, page: Page | None) -> Decoded:
    """Decodes RGB of 16 bits, of which Pillow takes the higher bytes alone.

    Told the wrong order of bytes, it takes the lower ones: they are decoded, too.
    """
    file.seek(0)
    with Image.open(file, formats=[str(image.format)]) as other:
        other.seek(image.tell())
        _change_raw_mode(other, lambda raw: raw[:-1] + _OTHER_ORDER[raw[-1]])
        _load(other)
        low = np.array(other)
    _load(image)
    # In place, and in single precision: such pictures take the most memory of all.
    pixels = np.array(image).astype(np.uint16)
    pixels <<= 8
    pixels |= low
    colour, opacity = pixels[..., :3], pixels[..., 3:]
    if not opacity.size or (page and not page.has_alpha):
        return colour, False
    below_white = colour.astype(np.float32)
    below_white -= _WHITE
    below_white *= opacity / np.float32(_WHITE)
    clear = bool((opacity < _WHITE).any())
    return (_WHITE + np.rint(below_white, out=below_white)).astype(np.uint16), clear
