"""The colour of the foreground, for objects on white, and that of the border of any image."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

RGB = 3  # channels

NEUTRAL = 0.06
"""The mean chroma below which the foreground of an image counts as grey: black to white."""

_CHUNK = 256  # images at a time
_GREY = 0.05  # the weight of a pixel without chroma, for lightness
_THRESHOLD = 0.1  # above what JPEG and a generator's noise do to white
_LEAST_CHROMA = 0.02  # below it the hue is undefined
_BORDER = 2  # pixels


class Colour(NamedTuple):
    """The foreground's colour, one value per image; NaN where it is undefined.

    Attributes:
      hue: degrees in [0, 360), red is 0, green 120.
      lightness: 0 to 1, (largest + smallest channel) / 2, the L of HLS.
      chroma: 0 to 1, 0 for greys and for hues that cancel out.
      mean_chroma: 0 to 1, the mean chroma of the pixels, 0 for greys alone.
      warmth: -1 to 1, the mean of red - blue: positive for warm colours, negative for cool ones.
    """

    hue: Float[np.ndarray, "N"]
    lightness: Float[np.ndarray, "N"]
    chroma: Float[np.ndarray, "N"]
    mean_chroma: Float[np.ndarray, "N"]
    warmth: Float[np.ndarray, "N"]


class Border(NamedTuple):
    """The colour of the outermost pixels, one value per image.

    Attributes:
      lightness: 0 to 1, (largest + smallest channel) / 2; that of grey images is their value.
      chroma: 0 to 1, the mean chroma of the pixels, 0 for greys alone.
    """

    lightness: Float[np.ndarray, "N"]
    chroma: Float[np.ndarray, "N"]


def foreground(images: Float[np.ndarray, "N H W 3"]) -> Bool[np.ndarray, "N H W"]:
    """Finds what is not background, in images of objects on white.

    A pixel is foreground where its darkest channel is clearly below white. The limits of that:
    white and very pale objects, or parts of them, are taken for background; soft shadows are taken
    for foreground (they are grey, so they hardly move the hue, but they do move the lightness); on
    any other background the mask means nothing.

    Args:
      images: RGB in [0, 1].

    Returns:
      A mask of the foreground.
    """
    return images.min(-1) < 1 - _THRESHOLD


def foreground_colour(images: Float[np.ndarray, "N H W 3"]) -> Colour:
    """Measures the colour of the foreground as a whole.

    The hue is the circular mean of the pixels' hues (HSV), weighted by chroma (largest - smallest
    channel), so that greys, shadows and dark lines, whose hue is mostly noise, hardly count. The
    lightness is a mean with almost the same weights: soles, highlights and shadows count little
    beside colours, but all pixels of a grey object count the same. Mean chroma and warmth are plain
    means over the pixels.

    On the drawn catalogue at 64 pixels, this finds the main colour's hue to 3 degrees on average,
    and a lightness whose correlation with that of the main colour (which varies little there) is
    0.7.

    Args:
      images: RGB in [0, 1], objects on white.

    Returns:
      One value of each kind per image.
    """
    parts = [
        _measure(images[start : start + _CHUNK].astype(np.float64))
        for start in range(0, len(images), _CHUNK)
    ]
    return Colour(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def has_hues(images: Float[np.ndarray, "N H W C"]) -> bool:
    """Whether images are RGB, and the foreground of at least half of them has a hue."""
    if images.shape[-1] != RGB:
        return False
    return bool(np.isfinite(foreground_colour(images).hue).mean() >= 0.5)


def is_neutral(found: Colour) -> Bool[np.ndarray, "N"]:
    """Finds the images whose foreground is grey: its mean chroma is below `NEUTRAL`."""
    return found.mean_chroma < NEUTRAL  # false where there is no foreground


def border(images: Float[np.ndarray, "N H W C"]) -> Border:
    """Measures the outermost two rows and columns: the white around objects, where it is white.

    Args:
      images: in [0, 1], of any number of channels.

    Returns:
      One value of each kind per image.
    """
    outermost = np.ones(images.shape[1:3], bool)
    outermost[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    pixels = images[:, outermost].astype(np.float64)
    largest, smallest = pixels.max(-1), pixels.min(-1)
    return Border(((largest + smallest) / 2).mean(1), (largest - smallest).mean(1))


def _measure(images: Float[np.ndarray, "N H W 3"]) -> Colour:
    # Hues are averaged as vectors on the colour circle, weighted by chroma.
    mask = foreground(images)
    pixels = mask.sum((1, 2))
    largest, smallest = images.max(-1), images.min(-1)
    weights = np.where(mask, largest - smallest, 0)
    vectors = weights * np.exp(1j * np.radians(_hue(images)))
    warmths = np.where(mask, images[..., 0] - images[..., 2], 0)
    with np.errstate(invalid="ignore"):  # 0/0 where there is no foreground
        sums = (x.sum((1, 2)) for x in (vectors, weights, warmths))
        mean, mean_chroma, warmth = (x / pixels for x in sums)
        # For the lightness, pixels of a grey object have a weight, too.
        weights += _GREY * mask
        lightness = (weights * (largest + smallest) / 2).sum((1, 2)) / weights.sum((1, 2))
    chroma = np.abs(mean)
    hue = np.degrees(np.angle(mean)) % 360
    hue[hue == 360] = 0  # the remainder of an angle just below 0 is rounded to 360
    hue = np.where(chroma >= _LEAST_CHROMA, hue, np.nan)
    return Colour(hue, lightness, chroma, mean_chroma, warmth)


def _hue(images: Float[np.ndarray, "N H W 3"]) -> Float[np.ndarray, "N H W"]:
    """Computes the hue of HSV in degrees, 0 for greys."""
    red, green, blue = np.moveaxis(images, -1, 0)
    largest = images.max(-1)
    chroma = largest - images.min(-1)
    scale = np.where(chroma > 0, chroma, 1)
    sector = np.select(
        [chroma == 0, largest == red, largest == green],
        [0, (green - blue) / scale, 2 + (blue - red) / scale],
        4 + (red - green) / scale,
    )
    return 60 * sector % 360
