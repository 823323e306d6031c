"""Draws the sample archives: handbags and shoes in the layout of pix2pix's edges2* data sets.

    python -m discogan_jax.data.catalogue DIR --train 2000 --val 100 --seed 0

Each archive holds 512×256 JPEGs, the edge map on the left, the drawing on the right. What each
drawing shows (hue, tilt, style, ...) is known exactly and kept beside the archive as JSON, which
no photographs could offer: a translation's hue or angle can be measured against it.
"""

import argparse
import colorsys
import concurrent.futures
import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import math
import multiprocessing
import os
import random
import sys
import tarfile
import uuid
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from discogan_jax.data import drawing
from discogan_jax.errors import InputError

Kind = Literal["bags", "shoes"]

ARCHIVES: dict[Kind, str] = {"bags": "edges2handbags", "shoes": "edges2shoes"}
"""Name of the archive, and of the folder inside it, of each kind."""

PATTERNS = ("plain", "stripes", "dots", "checks")
TILT_RANGE = (-12.0, 12.0)
VAL_START = 1_000_000
"""Index of the first validation drawing: the same ones however many are drawn for training."""

_STYLES = {"bags": drawing.BAGS, "shoes": drawing.SHOES}
_VERSION = 1  # raise it when drawings change, so that old archives are drawn anew
_CHUNK = 50
_FAINTEST = 36  # change of colour over two pixels that is still drawn as a line


@dataclasses.dataclass(frozen=True)
class Item:
    """Everything that a drawing shows.

    Attributes:
      kind: 'bags' or 'shoes'.
      style: 'tote', 'sneaker', ...: a key of `drawing.BAGS` or `drawing.SHOES`.
      hue: of the main colour, degrees in [0, 360).
      second_hue: of straps, trims and the pattern, degrees.
      lightness: of the main colour, 0 to 1 (HLS).
      saturation: of the main colour, 0 to 1 (HLS).
      pattern: one of `PATTERNS`.
      tilt: rotation of the object, degrees, clockwise.
      size: scale; at 1 the object is about 200 pixels wide.
      stretch: width over height, relative to the style's own.
      x: the centre's distance from the picture's, pixels to the right.
      y: the same, downwards.
    """

    kind: Kind
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


def describe(
    kind: Kind, index: int, seed: int = 0, *, tilt_range: tuple[float, float] = TILT_RANGE
) -> Item:
    """Chooses what a drawing shows: a pure function of its arguments.

    Hue and tilt are uniform and independent of all else; `tilt_range` changes nothing but the tilt.

    Args:
      kind: 'bags' or 'shoes'.
      index: which drawing.
      seed: which catalogue.
      tilt_range: least and greatest tilt in degrees; (-180, 180) for a rotation experiment.

    Returns:
      The description.

    Raises:
      InputError: if there is no such kind, or the range is upside down.
    """
    if kind not in ARCHIVES:
        raise InputError(f"The catalogue draws 'bags' and 'shoes', not {kind!r}.")
    low, high = tilt_range
    if not low <= high:
        raise InputError(f"The tilt range {low} to {high} is empty; give the lower bound first.")
    # Of Python's generators only random() is promised to give the same values in every version.
    draw = random.Random(f"{seed}/{kind}/{index}").random
    hue = 360 * draw()
    styles = tuple(_STYLES[kind])
    # Neighbouring hues to either side, or the opposite one.
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
      item: what to draw.

    Returns:
      The picture; equal items give equal pictures.
    """
    angle = math.radians(item.tilt)
    cos, sin = math.cos(angle), math.sin(angle)
    wide = 100 * item.size * math.sqrt(item.stretch)
    high = 100 * item.size / math.sqrt(item.stretch)
    middle = drawing.SIDE / 2

    def place(x: float, y: float) -> tuple[float, float]:
        x, y = wide * x, high * y
        return middle + item.x + cos * x - sin * y, middle + item.y + sin * x + cos * y

    light, full = item.lightness, item.saturation
    second = 0.3 + 0.25 * light
    colours: dict[str, drawing.Colour] = {
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
    return drawing.paint(_STYLES[item.kind][item.style], colours, item.pattern, place)


def edges(photo: UInt8[np.ndarray, "256 256 3"]) -> UInt8[np.ndarray, "256 256 3"]:
    """Finds the lines of a picture: dark and thin on white, as on the left of pix2pix's images.

    A gradient over all three channels (so that lines between colours of equal brightness are
    found), thinned to its ridges.

    Args:
      photo: the picture.

    Returns:
      The edge map; its three channels are equal.
    """
    smooth = Image.fromarray(photo).filter(ImageFilter.BoxBlur(1))
    padded = np.stack([np.pad(np.asarray(c, np.float32), 1, "edge") for c in smooth.split()])
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    xx, yy, xy = (across**2).sum(0), (down**2).sum(0), (across * down).sum(0)
    strength = xx + yy
    around = np.pad(strength, 1)
    height, width = strength.shape

    def ridge(dy: int, dx: int) -> np.ndarray:
        one = around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        other = around[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        return (strength >= one) & (strength > other)

    # Compared along the gradient, whose direction is taken to the nearest of four.
    slanted = 2 * np.abs(xy) > np.abs(xx - yy)
    upright = np.where(xx >= yy, ridge(0, 1), ridge(1, 0))
    oblique = np.where(xy >= 0, ridge(1, 1), ridge(1, -1))
    lines = (strength > _FAINTEST**2) & np.where(slanted, oblique, upright)
    return np.where(lines, np.uint8(24), np.uint8(255))[..., None].repeat(3, axis=-1)


def _rgb(hue: float, lightness: float, saturation: float) -> drawing.Colour:
    red, green, blue = colorsys.hls_to_rgb(hue / 360, lightness, saturation)
    return round(255 * red), round(255 * green), round(255 * blue)
