"""Turns an image that Pillow has opened into pixels: upright, on white, as deep as the file."""

import contextlib
import re
import sys

import numpy as np
from jaxtyping import Float32, Shaped, UInt8
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile

from discogan_jax.images.picture import Picture, Size
from discogan_jax.images.tiff import File, Page

_WHITE = 65535


def decode(image: ImageFile, file: File, at_least: Size | None, page: Page | None) -> Picture:
    """Decodes an opened image.

    Args:
      image: the image, at the page that is wanted.
      file: the file that it was opened from.
      at_least: the size that is needed; None for all of the picture.
      page: what a TIFF says about its values.
    """
    if page:
        page.prepare(image)
    # JPEGs alone can be smaller. The larger side both ways: the picture may yet be turned.
    full = image.size
    if at_least:
        image.draft(None, (2 * max(at_least), 2 * max(at_least)))
    low = _low_bytes(image, file)
    smaller = image.size
    _load(image)
    pixels = _pixels(image, page) if low is None else _deep_colour(np.array(image), low, page)
    # A deep PNG may name a value that is transparent.
    clear = image.info.get("transparency")
    if pixels.dtype == np.uint16 and clear is not None:
        pixels[(pixels == np.array(clear)).all(-1)] = _WHITE
    size = Size(*pixels.shape[:2])
    if smaller != full:
        size = Size(*(full if image.size != smaller else full[::-1]))
    return Picture(pixels, size, {np.uint8: 8, np.uint16: 16}.get(pixels.dtype.type))


def _load(image: Image.Image) -> None:
    image.load()
    # A damaged EXIF record is no reason to refuse a good picture.
    with contextlib.suppress(Exception):
        # In place: a copy would lose format and tags, which say how deep it is.
        ImageOps.exif_transpose(image, in_place=True)


def _pixels(image: Image.Image, page: Page | None) -> Shaped[np.ndarray, "H W C"]:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _deep_grey(image, page)
    if page and page.values == "int8" and image.mode == "L":
        return page.corrected(np.array(image))[..., None]
    # Bands that are not declared to be an opacity are none.
    if page and not page.has_alpha and image.mode in ("RGBA", "LA"):
        return np.array(image)[..., : len(image.mode) - 1]
    mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return pixels if mode == "RGB" else pixels[..., None]


def _deep_grey(image: Image.Image, page: Page | None) -> Shaped[np.ndarray, "H W 1"]:
    grey = np.array(image)
    # Pillow holds 16 bits in several modes.
    if image.mode.startswith("I;") or (image.format in ("PNG", "PPM") and image.mode == "I"):
        grey = grey.astype(np.uint16)
    if page:
        grey = page.corrected(grey)
    if grey.dtype == np.float32 and not np.isfinite(grey).all():
        raise ValueError("it holds values that are NaN or infinite")
    return grey[..., None]


def _low_bytes(image: ImageFile, file: File) -> UInt8[np.ndarray, "H W C"] | None:
    """Reads the lower bytes of 16-bit RGB; None for other images.

    Pillow takes the higher bytes alone. Told the wrong order of bytes, it takes the lower ones.
    """
    # L and B are the two orders, N that of this machine.
    swapped = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
    tiles = []
    for tile in image.tile:
        raw, *more = tile.args if isinstance(tile.args, tuple) else [tile.args]
        if not isinstance(raw, str) or not re.fullmatch("RGB[AX]?;16[BLN]", raw):
            return None
        other = raw[:-1] + swapped[raw[-1]]
        tiles.append(tile._replace(args=(other, *more) if more else other))
    if not tiles:
        return None
    file.seek(0)
    with Image.open(file, formats=[str(image.format)]) as again:
        again.seek(image.tell())
        again.tile = tiles
        _load(again)
        return np.array(again)


def _deep_colour(
    high: UInt8[np.ndarray, "H W C"], low: UInt8[np.ndarray, "H W C"], page: Page | None
) -> Shaped[np.ndarray, "H W 3"]:
    """Joins higher and lower bytes to 16-bit RGB, on white."""
    # In place, and in single precision: such pictures take the most memory of all.
    pixels = high.astype(np.uint16)
    pixels <<= 8
    pixels |= low
    colour = pixels[..., :3]
    if pixels.shape[-1] == 3 or (page and not page.has_alpha):
        return colour
    mixed: Float32[np.ndarray, "H W 3"] = colour.astype(np.float32)
    mixed -= _WHITE
    mixed *= pixels[..., 3:].astype(np.float32) / _WHITE
    mixed += _WHITE
    return np.rint(mixed, out=mixed).astype(np.uint16)
