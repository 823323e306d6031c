"""Handbags and shoes: chooses what each drawing shows, and draws it."""

import colorsys
import math
import random
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8

from discogan_jax.data.catalogue import outlines, painting
from discogan_jax.errors import InputError

PATTERNS = ("plain", "stripes", "dots", "checks")
TILT_RANGE = (-12.0, 12.0)


@dataclass(frozen=True)
class Item:
    """Everything that a drawing shows.

    Attributes:
      kind: 'bags' or 'shoes'.
      style: 'tote', 'sneaker', ...: a key of `outlines.styles(kind)`.
      hue: hue of the main colour, degrees in [0, 360).
      second_hue: hue of straps, trims and the pattern, degrees.
      lightness: lightness of the main colour, 0 to 1 (HLS).
      saturation: saturation of the main colour, 0 to 1 (HLS).
      pattern: one of `PATTERNS`.
      tilt: rotation of the object, degrees clockwise.
      size: scale; at 1 the object is about 200 pixels wide.
      stretch: width over height, relative to the style's own.
      x: distance of the object's centre from the picture's, pixels to the right.
      y: distance of the object's centre from the picture's, pixels downwards.
    """

    kind: str
    style: str
    hue: float
    second_hue: float
    lightness: float
    saturation: float
    pattern: str
    tilt: float
    size: float
    stretch: float = 1.0
    x: float = 0.0
    y: float = 0.0


#: What the pictures of each split ('train', 'val') show, row by row.
Items: TypeAlias = dict[str, list[Item]]


def describe(
    kind: str, index: int, seed: int = 0, *, tilt_range: tuple[float, float] = TILT_RANGE
) -> Item:
    """Chooses what a drawing shows: a pure function of its arguments.

    Hue and tilt are uniform and independent of all else; `tilt_range` changes nothing but the tilt.

    Args:
      kind: 'bags' or 'shoes'.
      index: number of the drawing.
      seed: seed of the catalogue.
      tilt_range: least and greatest tilt in degrees; (-180, 180) for a rotation experiment.

    Returns:
      The description.

    Raises:
      InputError: there is no such kind, or the range is empty.
    """
    if kind not in outlines.KINDS:
        raise InputError(f"The catalogue draws 'bags' and 'shoes', not {kind!r}.")
    low, high = tilt_range
    if not low <= high:
        raise InputError(f"The tilt range {low} to {high} is empty; give the lower bound first.")
    # Of Python's generators only random() is guaranteed to give the same values in every version.
    draw = random.Random(f"{seed}/{kind}/{index}").random
    hue = 360 * draw()
    styles = tuple(outlines.styles(kind))
    # The second hue is a neighbour on either side, or the opposite one.
    turn = (35.0, -35.0, 180.0)[int(3 * draw())]
    return Item(
        kind=kind,
        style=styles[int(len(styles) * draw())],
        hue=hue,
        second_hue=(hue + turn) % 360,
        lightness=0.4 + 0.2 * draw(),
        saturation=0.55 + 0.35 * draw(),
        pattern=PATTERNS[max(0, int(6 * draw()) - 2)],  # half are plain
        tilt=low + (high - low) * draw(),
        size=0.86 + 0.14 * draw(),
        stretch=0.92 + 0.16 * draw(),
        x=8 * draw() - 4,
        y=8 * draw() - 4,
    )


def draw(item: Item) -> UInt8[np.ndarray, "256 256 3"]:
    """Draws an item on white.

    Args:
      item: description of the drawing.

    Returns:
      The picture; equal items give equal pictures.
    """
    # Object units, stretched, turned and moved, as pixels.
    angle = math.radians(item.tilt)
    cos, sin = math.cos(angle), math.sin(angle)
    wide = 100 * item.size * math.sqrt(item.stretch)
    high = 100 * item.size / math.sqrt(item.stretch)
    middle = painting.SIDE / 2

    def place(x: float, y: float) -> tuple[float, float]:
        x, y = wide * x, high * y
        return middle + item.x + cos * x - sin * y, middle + item.y + sin * x + cos * y

    # Every role of a part has a colour that follows from the two hues.
    light, full = item.lightness, item.saturation
    second = 0.3 + 0.25 * light
    colours: dict[str, painting.Colour] = {
        "main": _rgb(item.hue, light, full),
        "deep": _rgb(item.hue, 0.76 * light, full),
        "pale": _rgb(item.hue, min(0.86, 1.16 * light), full),
        "dark": _rgb(item.hue, 0.16, 0.3),
        "second": _rgb(item.second_hue, second, 0.45 * full),
        "pattern": _rgb(item.second_hue, 0.87, 0.6),
        "thread": _rgb(item.hue, 0.86, 0.5),
        "rubber": (240, 238, 233),
        "metal": (222, 190, 120),
    }
    return painting.paint(outlines.styles(item.kind)[item.style], colours, item.pattern, place)


def _rgb(hue: float, lightness: float, saturation: float) -> painting.Colour:
    return tuple(round(255 * x) for x in colorsys.hls_to_rgb(hue / 360, lightness, saturation))
