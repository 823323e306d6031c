"""Brings pictures of any shape to one size, and translations back to the shape of their picture."""

import functools
import math
from typing import Literal

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from discogan_jax.images.picture import Size

Fit = Literal["crop", "pad", "stretch"]
Resample = Literal["hamming", "area"]

# The height at which `thicken` adds one pixel on each side of a line.
_THICK_AT = 256

# A border is of one colour if so much of it differs by no more than so many levels from the middle.
_UNIFORM, _TOLERANCE = 0.9, 8


def fit(
    picture: UInt8[np.ndarray, "H W C"],
    size: Size | int,
    how: Fit = "crop",
    resample: Resample = "hamming",
) -> UInt8[np.ndarray, "h w C"]:
    """Brings a picture to a size.

    ``hamming`` is antialiased, nearly as sharp as bicubic, and never negative, so that dark
    objects on white get no bright rims and thin lines lose no ink to clipping, as they would with
    bicubic or Lanczos. Enlarging is bilinear. A picture of the right size is unchanged.

    Args:
      picture: grey or RGB.
      size: size of the result; a number for a square.
      how: ``crop`` takes the largest centred part of the result's shape, ``pad`` adds borders (in
        the colour of the picture's own, if that is one, else white), ``stretch`` changes the
        aspect ratio.
      resample: how a picture is shrunk: Hamming's filter, or the mean of the area that a pixel of
        the result covers.
    """
    size = Size.of(size)
    if how == "stretch":
        return _resized(picture, size, resample)
    if how == "crop":
        height, width = _part(Size(*picture.shape[:2]), size)
        # Whole pixels: half a pixel of offset would blur a picture that needs no resizing.
        # Cut first: given a box, Pillow's filters still look at the pixels just outside it.
        return _resized(_centre(picture, height, width), size, resample)
    inner = _inner(Size(*picture.shape[:2]), size)
    result = np.empty((*size, picture.shape[-1]), np.uint8)
    result[:] = _border_colour(picture)
    _centre(result, *inner)[:] = _resized(picture, inner, resample)
    return result


def unfit(
    made: Shaped[np.ndarray, "h w C"],
    size: Size,
    how: Fit = "crop",
    to: int | Size | None = None,
) -> Shaped[np.ndarray, "H W C"]:
    """Brings a translation back to the shape that its picture had before `fit`.

    Args:
      made: what a network made of the fitted picture: uint8, or float32 of one channel.
      size: size of the picture before `fit`.
      how: how it was fitted. Of ``crop`` the part that was cut out comes back, of ``pad`` and
        ``stretch`` the whole picture.
      to: size of the result, or its longer side in the picture's shape; None for the picture's.
    """
    fitted = Size(*made.shape[:2])
    shape = _part(size, fitted) if how == "crop" else size
    if how == "pad":
        made = _centre(made, *_inner(size, fitted))
    if not isinstance(to, Size):
        scale = (to or max(shape)) / max(shape)
        to = Size(*(max(1, round(side * scale)) for side in shape))
    return _resized(made, to, "hamming", Image.Resampling.BICUBIC)


def share_cut(picture: Size, size: Size, how: Fit = "crop") -> float:
    """Returns the part of a picture's area, from 0 to 1, that `fit` throws away."""
    return 1 - math.prod(_part(picture, size)) / math.prod(picture) if how == "crop" else 0.0


def thicken(grey: UInt8[np.ndarray, "H W 1"]) -> UInt8[np.ndarray, "H W 1"]:
    """Makes dark lines thicker: by one pixel on each side if the picture is 256 high.

    In other heights it is as much of the picture; between whole pixels the results for the nearest
    two are blended.
    """
    part, whole = math.modf(len(grey) / _THICK_AT)
    thick = _darkest(grey, int(whole))
    if not part:
        return thick
    thicker = _darkest(grey, int(whole) + 1)
    return np.rint(thick * (1 - part) + thicker * part).astype(np.uint8)


def _darkest(grey: UInt8[np.ndarray, "H W 1"], radius: int) -> UInt8[np.ndarray, "H W 1"]:
    """Returns the darkest value around each pixel, up to so many pixels away on either axis."""
    result = np.pad(grey, [(radius, radius), (radius, radius), (0, 0)], mode="edge")
    for axis in (0, 1):
        lines = result.swapaxes(0, axis)
        shifted = (lines[i : len(lines) - 2 * radius + i] for i in range(2 * radius + 1))
        result = functools.reduce(np.minimum, shifted).swapaxes(0, axis)
    return result


def _part(picture: Size, size: Size) -> Size:
    """Returns the size of the largest part of a picture that has the shape of another size."""
    (height, width), (h, w) = picture, size
    if width * h >= height * w:
        return Size(height, max(1, round(height * w / h)))
    return Size(max(1, round(width * h / w)), width)


def _inner(picture: Size, size: Size) -> Size:
    """Returns the largest size of a picture's shape that has room in another size."""
    scale = min(size.height / picture.height, size.width / picture.width)
    return Size(max(1, round(picture.height * scale)), max(1, round(picture.width * scale)))


def _centre(
    picture: Shaped[np.ndarray, "H W C"], height: int, width: int
) -> Shaped[np.ndarray, "h w C"]:
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]


def _resized(
    picture: Shaped[np.ndarray, "H W C"],
    size: Size,
    resample: Resample,
    growing: Image.Resampling = Image.Resampling.BILINEAR,
) -> Shaped[np.ndarray, "h w C"]:
    height, width, channels = picture.shape
    if (height, width) == size:
        return np.array(picture)
    image = Image.fromarray(np.ascontiguousarray(picture if channels == 3 else picture[..., 0]))
    if resample == "area" and height % size.height == 0 and width % size.width == 0:
        # Whole factors are faster, and exact.
        image = image.reduce((width // size.width, height // size.height))
    else:
        shrunk = {"hamming": Image.Resampling.HAMMING, "area": Image.Resampling.BOX}[resample]
        # Each axis by its own filter: one may shrink while the other one grows.
        image = image.resize((size.width, height), growing if size.width >= width else shrunk)
        image = image.resize(size[::-1], growing if size.height >= height else shrunk)
    return np.array(image).reshape(*size, channels)


def _border_colour(picture: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, " C"]:
    """Returns the colour of a picture's outermost pixels if nearly all have it, else white."""
    border = np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]])
    colour = np.median(border, axis=0)
    alike = (np.abs(border - colour) <= _TOLERANCE).all(-1).mean()
    return (colour if alike >= _UNIFORM else np.full_like(colour, 255)).astype(np.uint8)
