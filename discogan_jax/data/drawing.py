"""Paints handbags and shoes from outlines in a small path language; knows nothing of data sets.

Outlines are in object units: x to the right, y down, about -1 to 1. `M x y` starts, `L x y` is a
straight line, `Q` and `C` are quadratic and cubic Bézier curves, as in SVG; numbers are absolute.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]
Place = Callable[[float, float], tuple[float, float]]

SIDE = 256
_FINE = 2 * SIDE  # painted at twice the size and averaged: smooth outlines
_COARSE = SIDE // 4  # soft light needs no detail


class Part(NamedTuple):
    """One painted piece.

    Attributes:
      path: its outline, or the line it follows.
      role: key of the colour.
      width: 0 for a filled outline; otherwise the thickness of the line.
      patterned: whether stripes, dots or checks go over it.
      relief: how strongly light and shade model it.
      dash: length of stitches and of the gaps between them; 0 for an unbroken line.
    """

    path: str
    role: str
    width: float = 0.0
    patterned: bool = False
    relief: float = 0.0
    dash: float = 0.0


def _body(path: str) -> Part:
    return Part(path, "main", patterned=True, relief=1.0)


def _panel(path: str, role: str, relief: float = 0.6) -> Part:
    return Part(path, role, relief=relief)


def _cord(path: str, role: str, width: float) -> Part:
    return Part(path, role, width=width, relief=0.5)


def _stitch(path: str) -> Part:
    return Part(path, "thread", width=0.018, dash=0.055)


def _line(path: str, role: str = "deep", width: float = 0.022) -> Part:
    return Part(path, role, width=width)


def _disc(x: float, y: float, r: float, role: str = "metal") -> Part:
    k = 0.5523 * r
    return _panel(
        f"M {x - r} {y} C {x - r} {y - k} {x - k} {y - r} {x} {y - r} "
        f"C {x + k} {y - r} {x + r} {y - k} {x + r} {y} C {x + r} {y + k} {x + k} {y + r} {x} {y + r} "
        f"C {x - k} {y + r} {x - r} {y + k} {x - r} {y}",
        role,
        0.4,
    )


def _box(x0: float, y0: float, x1: float, y1: float, role: str, r: float = 0.05) -> Part:
    return _panel(
        f"M {x0 + r} {y0} L {x1 - r} {y0} Q {x1} {y0} {x1} {y0 + r} L {x1} {y1 - r} "
        f"Q {x1} {y1} {x1 - r} {y1} L {x0 + r} {y1} Q {x0} {y1} {x0} {y1 - r} "
        f"L {x0} {y0 + r} Q {x0} {y0} {x0 + r} {y0}",
        role,
    )


BAGS: dict[str, tuple[Part, ...]] = {
    "tote": (
        _cord("M -.38 -.2 C -.36 -1.02 .36 -1.02 .38 -.2", "deep", 0.085),
        _body(
            "M -.74 -.3 L .74 -.3 L .86 .7 Q .87 .84 .74 .84 L -.74 .84 Q -.87 .84 -.86 .7"
        ),
        _panel("M -.84 .54 L .84 .54 L .86 .7 Q .87 .84 .74 .84 L -.74 .84 Q -.87 .84 -.86 .7", "deep"),
        _panel("M -.76 -.33 L .76 -.33 L .77 -.17 L -.77 -.17", "second"),
        _stitch("M -.72 -.12 L .72 -.12"),
        _stitch("M -.8 .49 L .8 .49"),
        _cord("M -.44 .04 L -.42 -.22 C -.4 -1.14 .4 -1.14 .42 -.22 L .44 .04", "second", 0.095),
        _disc(-0.44, 0.03, 0.045),
        _disc(0.44, 0.03, 0.045),
    ),
    "satchel": (
        _cord("M -.32 -.46 C -.3 -.98 .3 -.98 .32 -.46", "deep", 0.11),
        _body("M -.78 -.46 Q -.9 -.46 -.9 -.3 L -.88 .62 Q -.88 .78 -.72 .78 L .72 .78 Q .88 .78 .88 .62 L .9 -.3 Q .9 -.46 .78 -.46"),
        _box(-0.56, 0.34, 0.56, 0.7, "deep", 0.08),
        _stitch("M -.51 .65 L .51 .65"),
        Part(
            "M -.8 -.5 Q -.93 -.5 -.93 -.36 L -.92 .04 C -.9 .32 -.6 .34 0 .34 C .6 .34 .9 .32 .92 .04 L .93 -.36 Q .93 -.5 .8 -.5",
            "main", patterned=True, relief=1.0,
        ),
        _stitch("M -.86 -.36 L -.85 .02 C -.83 .25 -.56 .27 0 .27 C .56 .27 .83 .25 .85 .02 L .86 -.36"),
        _box(-0.57, -0.5, -0.4, 0.46, "second"),
        _box(0.4, -0.5, 0.57, 0.46, "second"),
        _box(-0.61, 0.16, -0.36, 0.33, "metal", 0.03),
        _box(0.36, 0.16, 0.61, 0.33, "metal", 0.03),
        _box(-0.55, 0.21, -0.42, 0.28, "second", 0.01),
        _box(0.42, 0.21, 0.55, 0.28, "second", 0.01),
    ),
    "clutch": (
        _cord("M .86 -.3 C 1.06 -.9 .46 -.98 .3 -.86 C .16 -.74 .5 -.6 .8 -.4", "second", 0.06),
        _body("M -.86 -.52 Q -.97 -.52 -.97 -.4 L -.97 .6 Q -.97 .72 -.86 .72 L .86 .72 Q .97 .72 .97 .6 L .97 -.4 Q .97 -.52 .86 -.52"),
        _line("M -.94 .68 L -.3 .14"),
        _line("M .94 .68 L .3 .14"),
        Part("M -.86 -.56 L .86 -.56 Q 1 -.56 .97 -.38 Q .95 -.32 .88 -.26 L .12 .3 Q 0 .38 -.12 .3 L -.88 -.26 Q -.95 -.32 -.97 -.38 Q -1 -.56 -.86 -.56", "pale", patterned=True, relief=1.0),
        _stitch("M -.9 -.36 L -.1 .23 Q 0 .3 .1 .23 L .9 -.36"),
        _disc(0.0, 0.2, 0.12),
        _disc(0.0, 0.2, 0.06, "second"),
        _disc(0.86, -0.36, 0.05),
    ),
    "bucket": (
        _cord("M -.56 -.3 C -.7 -1.24 .7 -1.24 .56 -.3", "second", 0.08),
        _panel("M -.64 -.42 C -.4 -.56 .4 -.56 .64 -.42 C .4 -.28 -.4 -.28 -.64 -.42", "dark"),
        _body("M -.66 -.42 C -.4 -.28 .4 -.28 .66 -.42 L .8 .66 C .8 .86 .4 .9 0 .9 C -.4 .9 -.8 .86 -.8 .66"),
        _panel("M -.76 .42 C -.4 .56 .4 .56 .76 .42 L .8 .66 C .8 .86 .4 .9 0 .9 C -.4 .9 -.8 .86 -.8 .66", "deep"),
        _stitch("M -.75 .36 C -.4 .5 .4 .5 .75 .36"),
        _line("M -.4 -.3 C -.36 -.1 -.42 .1 -.4 .3"),
        _line("M .36 -.3 C .32 -.1 .4 .1 .38 .24"),
        _cord("M -.68 -.16 C -.4 -.04 .4 -.04 .68 -.16", "second", 0.05),
        _cord("M -.04 -.08 C -.1 .1 -.16 .2 -.14 .34", "second", 0.04),
        _cord("M .04 -.08 C .1 .1 .16 .16 .12 .28", "second", 0.04),
        _disc(-0.14, 0.36, 0.055, "second"),
        _disc(0.12, 0.3, 0.055, "second"),
        _disc(0.0, -0.07, 0.065),
    ),
    "hobo": (
        _cord("M -.72 -.14 C -.62 -1.2 .62 -1.2 .72 -.14", "second", 0.1),
        _panel("M -.84 -.2 C -.5 .1 .5 .1 .84 -.2 C .5 -.08 -.5 -.08 -.84 -.2", "dark"),
        _body("M -.84 -.24 C -.7 -.02 -.3 .06 0 .06 C .3 .06 .7 -.02 .84 -.24 C 1.02 -.02 1.02 .5 .72 .74 C .5 .9 -.5 .9 -.72 .74 C -1.02 .5 -1.02 -.02 -.84 -.24"),
        _stitch("M -.84 -.12 C -.66 .08 -.3 .14 0 .14 C .3 .14 .66 .08 .84 -.12"),
        _line("M -.78 -.06 C -.7 .2 -.52 .34 -.36 .4"),
        _line("M .78 -.06 C .7 .2 .52 .34 .36 .4"),
        _line("M -.62 .72 C -.3 .8 .3 .8 .62 .72"),
        _box(-0.2, 0.04, 0.2, 0.4, "second", 0.1),
        _disc(0.0, 0.3, 0.055),
        _disc(-0.78, -0.2, 0.085),
        _disc(0.78, -0.2, 0.085),
    ),
    "bowler": (
        _cord("M -.34 -.3 C -.32 -.96 .32 -.96 .34 -.3", "deep", 0.085),
        _body("M -.9 .6 C -.9 -.06 -.72 -.5 -.4 -.5 L .4 -.5 C .72 -.5 .9 -.06 .9 .6 Q .9 .8 .72 .8 L -.72 .8 Q -.9 .8 -.9 .6"),
        _line("M -.78 -.06 C -.6 -.42 -.4 -.4 0 -.4 C .4 -.4 .6 -.42 .78 -.06", "metal", 0.035),
        _panel("M -.9 .6 C -.9 .3 -.86 .1 -.8 -.06 C -.58 .1 -.52 .5 -.56 .8 L -.72 .8 Q -.9 .8 -.9 .6", "second"),
        _panel("M .9 .6 C .9 .3 .86 .1 .8 -.06 C .58 .1 .52 .5 .56 .8 L .72 .8 Q .9 .8 .9 .6", "second"),
        _stitch("M -.75 .02 C -.54 .16 -.47 .5 -.5 .78"),
        _stitch("M .75 .02 C .54 .16 .47 .5 .5 .78"),
        _cord("M -.36 .06 L -.36 -.24 C -.38 -1.06 .38 -1.06 .36 -.24 L .36 .06", "second", 0.095),
        _disc(-0.36, 0.05, 0.05),
        _disc(0.36, 0.05, 0.05),
        _line("M .0 -.38 L .03 -.24", "metal", 0.05),
    ),
}

SHOES: dict[str, tuple[Part, ...]] = {
    "sneaker": (
        _panel("M -.12 -.34 L -.02 -.76 Q .06 -.88 .2 -.8 L .34 -.46", "deep"),
        _panel("M .06 -.52 C .3 -.7 .6 -.7 .84 -.58 L .7 -.4 C .5 -.32 .3 -.4 .06 -.46", "dark"),
        _body("M -.97 .42 C -1 .16 -.86 .04 -.64 -.02 C -.44 -.08 -.3 -.2 -.16 -.38 L -.02 -.56 Q .06 -.64 .18 -.58 C .34 -.48 .5 -.42 .66 -.54 C .74 -.62 .88 -.66 .91 -.5 C .94 -.3 .96 0 .96 .42"),
        _panel("M -.97 .42 C -1 .16 -.86 .04 -.68 -.01 C -.54 .1 -.5 .26 -.52 .42", "pale"),
        _panel("M .72 -.58 C .8 -.64 .89 -.64 .91 -.5 C .94 -.3 .96 0 .96 .42 L .62 .42 C .74 .1 .72 -.2 .66 -.52", "second"),
        _stitch("M .02 -.44 C .1 -.1 -.1 .1 -.3 .16 C -.4 .2 -.44 .3 -.45 .4"),
        _cord("M -.26 .38 C .1 .34 .34 .2 .6 -.1", "second", 0.1),
        *(_cord(f"M {x - 0.07} {y - 0.06} L {x + 0.14} {y + 0.1}", "rubber", 0.06)
          for x, y in ((-0.42, -0.06), (-0.29, -0.18), (-0.18, -0.31), (-0.08, -0.44))),
        _panel("M -.99 .4 C -1.04 .62 -.98 .72 -.82 .72 L .84 .72 Q 1 .72 .99 .54 L .97 .36 C .6 .42 -.6 .42 -.99 .4", "rubber"),
        _line("M -.97 .57 L .97 .57", "second", 0.045),
    ),
    "pump": (
        _panel("M .96 -.2 C .9 .1 .88 .4 .88 .8 L .75 .8 C .75 .5 .7 .3 .54 .18", "deep"),
        _panel("M -.5 .2 C -.2 .12 .14 -.06 .38 -.3 C .56 -.48 .68 -.62 .86 -.6 L .5 -.06 C .2 .28 -.1 .4 -.4 .28", "dark"),
        _body("M -.99 .66 C -1 .48 -.86 .34 -.68 .24 C -.54 .16 -.44 .18 -.36 .26 C -.1 .44 .2 .18 .42 -.1 C .58 -.32 .7 -.58 .84 -.62 C .98 -.64 1 -.4 .97 -.2 C .94 .04 .86 .2 .74 .22 C .54 .26 .4 .4 .2 .58 C .04 .72 -.2 .78 -.4 .78 L -.86 .78 C -.96 .78 -.99 .74 -.99 .66"),
        _line("M -.93 .8 L -.4 .8 C -.18 .8 .06 .74 .22 .6 C .42 .42 .56 .28 .74 .24", "dark", 0.05),
        _stitch("M -.3 .35 C -.08 .46 .2 .3 .46 -.04 C .62 -.28 .74 -.5 .84 -.55"),
        _panel("M -.72 .26 C -.8 .1 -.66 .04 -.52 .2 C -.42 .04 -.24 .1 -.34 .28 C -.42 .36 -.62 .36 -.72 .26", "second"),
        _disc(-0.53, 0.24, 0.055),
    ),
    "boot": (
        _panel("M -.02 -.9 C .1 -1.02 .58 -1.02 .7 -.9 C .58 -.8 .1 -.8 -.02 -.9", "dark"),
        _body("M -.02 -.9 C .2 -.82 .5 -.82 .7 -.9 C .72 -.5 .66 -.2 .69 .06 C .72 .3 .76 .5 .74 .74 L -.86 .74 C -.96 .5 -.8 .34 -.6 .27 C -.36 .19 -.14 .12 -.06 -.08 C .02 -.3 .0 -.6 -.02 -.9"),
        _panel("M -.86 .74 C -.96 .5 -.8 .34 -.62 .28 C -.46 .4 -.42 .58 -.44 .74", "deep"),
        _panel("M .74 .74 C .76 .5 .73 .36 .7 .18 C .5 .22 .38 .44 .36 .74", "deep"),
        _stitch("M -.54 .3 C -.38 .42 -.34 .58 -.36 .72"),
        _stitch("M .4 -.72 C .42 -.4 .34 -.2 .36 -.02"),
        _panel("M -.02 -.92 C .2 -.84 .5 -.84 .7 -.92 L .7 -.68 C .5 -.6 .2 -.6 .0 -.68", "second"),
        _panel("M -.05 -.1 C .15 .04 .45 .06 .68 -.04 L .7 .12 C .45 .22 .15 .2 -.12 .04", "second"),
        _box(0.2, -0.0, 0.4, 0.2, "metal", 0.04),
        _box(0.25, 0.05, 0.35, 0.15, "second", 0.01),
        _panel("M .3 .78 L .75 .78 L .72 .99 L .35 .99", "dark"),
        _panel("M -.88 .72 L .76 .72 L .76 .84 L .26 .84 Q .0 .82 -.2 .85 L -.78 .85 Q -.9 .84 -.88 .72", "dark"),
    ),
    "flat": (
        _panel("M -.6 .08 C -.3 -.06 .4 -.14 .86 -.32 L .74 .1 C .3 .36 -.2 .36 -.5 .2", "dark"),
        _body("M -.99 .54 C -1 .36 -.88 .2 -.7 .1 C -.58 .03 -.48 .04 -.38 .12 C -.14 .3 .3 .3 .58 .02 C .72 -.12 .8 -.34 .9 -.34 C 1.02 -.3 .99 .2 .98 .62 L -.92 .62 Q -.98 .62 -.99 .54"),
        _stitch("M -.44 .16 C -.16 .38 .34 .38 .64 .08 C .76 -.06 .82 -.22 .88 -.26"),
        _panel("M .98 .62 C .99 .4 .99 .1 .97 -.1 C .82 .04 .76 .3 .76 .62", "second"),
        _panel("M -.97 .6 L .98 .6 L .98 .78 L .6 .78 L .56 .71 L -.84 .71 Q -.97 .71 -.97 .6", "dark"),
        _panel("M -.6 .06 C -.7 -.16 -.94 -.16 -.9 .04 C -.88 .2 -.7 .18 -.6 .06", "second"),
        _panel("M -.56 .06 C -.46 -.18 -.22 -.14 -.26 .06 C -.3 .2 -.46 .18 -.56 .06", "second"),
        _disc(-0.58, 0.05, 0.075, "deep"),
    ),
    "sandal": (
        _cord("M .5 -.2 C .4 -.42 .64 -.6 .82 -.54", "deep", 0.09),
        _body("M -.98 .56 C -.8 .46 -.5 .5 -.3 .4 C .0 .26 .3 -.02 .6 -.1 C .7 -.13 .84 -.15 .94 -.16 C .99 .1 .97 .5 .94 .78 L .4 .78 C .2 .62 .0 .72 -.2 .78 L -.88 .78 C -1 .78 -1.02 .62 -.98 .56"),
        _line("M -.97 .6 C -.8 .52 -.5 .56 -.3 .47 C .0 .32 .3 .05 .6 -.03 L .95 -.09", "pale", 0.06),
        _stitch("M -.9 .69 L -.3 .69 C .0 .62 .2 .54 .4 .64 L .92 .7"),
        _panel("M -.86 .52 C -.86 .22 -.66 .06 -.48 .08 C -.28 .1 -.16 .24 -.14 .36 Q -.22 .42 -.34 .44 C -.4 .34 -.5 .32 -.56 .36 C -.62 .4 -.64 .46 -.64 .51", "main", 0.8),
        _panel("M .8 -.14 C .78 -.36 .74 -.52 .8 -.62 C .86 -.68 .96 -.64 .97 -.5 C .98 -.34 .98 -.26 .96 -.14", "main"),
        _cord("M -.42 .12 C -.2 .0 .06 -.2 .24 -.44", "main", 0.11),
        _cord("M .84 -.54 C .66 -.38 .42 -.34 .22 -.46 C .34 -.66 .66 -.68 .84 -.56", "second", 0.1),
        _disc(0.5, -0.385, 0.065),
        _disc(-0.46, 0.18, 0.065, "second"),
    ),
    "loafer": (
        _panel("M -.06 -.26 C .2 -.5 .6 -.5 .9 -.36 L .76 -.16 C .5 -.04 .2 -.08 -.06 -.2", "dark"),
        _body("M -.98 .5 C -1.02 .24 -.86 .1 -.62 .0 C -.42 -.08 -.26 -.2 -.08 -.32 C .04 -.38 .14 -.3 .24 -.24 C .46 -.12 .64 -.2 .8 -.36 Q .96 -.46 .98 -.26 L .98 .56 L -.96 .56"),
        _line("M -.96 .3 C -.8 .16 -.5 .2 -.32 .1"),
        _stitch("M -.94 .37 C -.78 .23 -.5 .27 -.3 .17"),
        _panel("M -.48 -.05 C -.34 -.12 -.22 -.2 -.1 -.3 C .06 -.08 .16 .2 .18 .56 L -.26 .56 C -.26 .32 -.34 .08 -.48 -.05", "second"),
        _cord("M -.38 .1 C -.24 .06 -.1 -.02 .02 -.12", "metal", 0.07),
        _stitch("M .24 -.16 C .46 -.04 .66 -.12 .84 -.28"),
        _panel("M .98 .56 L .98 -.1 C .8 .04 .7 .3 .7 .56", "deep"),
        _panel("M -.99 .53 L .99 .53 L .99 .64 L .99 .82 L .5 .82 L .46 .66 L -.86 .66 Q -1 .66 -.99 .53", "dark"),
    ),
}


def paint(
    parts: Sequence[Part], colours: dict[str, Colour], pattern: str, place: Place
) -> UInt8[np.ndarray, "256 256 3"]:
    """Paints one object on white, lit from the upper left, with a faint shadow.

    Args:
      parts: pieces, the hindmost first.
      colours: one for every role, and 'pattern'.
      pattern: 'plain', 'stripes', 'dots' or 'checks'.
      place: object units to pixels of the finished picture.

    Returns:
      The picture.
    """
    unit = 2 * math.dist(place(0, 0), place(0, 1))

    def fine(x: float, y: float) -> tuple[float, float]:
        x, y = place(x, y)
        return 2 * x, 2 * y

    drawn = [[fine(x, y) for x, y in _points(part.path)] for part in parts]
    canvas = _backdrop(parts, drawn, unit)
    draw = ImageDraw.Draw(canvas)
    light = Image.new("L", (SIDE, SIDE), 128)
    over = _pattern(pattern, fine, unit) if pattern != "plain" else None
    for part, points in zip(parts, drawn, strict=True):
        colour = colours[part.role]
        rim = _mix(colour, (20, 16, 24), 0.45)
        if part.dash:
            _dashes(draw, points, colour, part, unit)
            continue
        if part.width and part.relief:
            _ink(draw, part, points, rim, unit, extra=3)
        if not part.relief:
            _ink(draw, part, points, colour, unit)
            continue
        box = _window(points, part.width * unit)
        left, top = box[:2]
        mask = Image.new("L", (box[2] - left, box[3] - top))
        inside = [(x - left, y - top) for x, y in points]
        _ink(ImageDraw.Draw(mask), part, inside, 255, unit)
        _ink(draw, part, points, colour, unit)
        if part.patterned and over:
            canvas.paste(colours["pattern"], box, ImageChops.multiply(mask, over.crop(box)))
        if not part.width:
            draw.line([*points, points[0], points[1]], rim, 3, joint="curve")
        half = mask.reduce(2)
        light.paste(_relief(half, part, (left, top)), (left // 2, top // 2), half)
    lit = ImageChops.hard_light(canvas.reduce(2), Image.merge("RGB", (light, light, light)))
    return np.array(lit, np.uint8)


@functools.cache
def _points(path: str) -> Points:
    """Samples a path; each curve becomes a dozen and a half short lines."""
    points: Points = []
    words = path.split()
    at = 0
    while at < len(words):
        count = {"M": 1, "L": 1, "Q": 2, "C": 3}[words[at]]
        numbers = [float(word) for word in words[at + 1 : at + 1 + 2 * count]]
        at += 1 + 2 * count
        knots = list(zip(numbers[::2], numbers[1::2], strict=True))
        if count == 1:
            points += knots
            continue
        knots = [points[-1], *knots]
        for step in range(1, 19):
            t, line = step / 18, knots
            while len(line) > 1:  # de Casteljau
                line = [
                    ((1 - t) * a + t * c, (1 - t) * b + t * d)
                    for (a, b), (c, d) in zip(line, line[1:], strict=False)
                ]
            points += line
    return points


def _ink(
    draw: ImageDraw.ImageDraw,
    part: Part,
    points: Points,
    colour: Colour | int,
    unit: float,
    *,
    extra: int = 0,
) -> None:
    if not part.width:
        draw.polygon(points, colour)
        return
    width = max(1, round(part.width * unit)) + 2 * extra
    draw.line(points, colour, width, joint="curve")
    for x, y in (points[0], points[-1]):
        draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], colour)


def _dashes(
    draw: ImageDraw.ImageDraw, points: Points, colour: Colour, part: Part, unit: float
) -> None:
    corners = np.array(points)
    along = np.concatenate([[0], np.hypot(*np.diff(corners, axis=0).T).cumsum()])
    width, step = max(2, round(part.width * unit)), part.dash * unit
    starts = np.arange(0.0, max(along[-1] - step / 2, step), step)
    ends = np.stack([starts, starts + 0.6 * step], axis=1)
    for line in np.stack([np.interp(ends, along, corners[:, axis]) for axis in (0, 1)], axis=-1):
        draw.line([tuple(point) for point in line], colour, width)


def _backdrop(parts: Sequence[Part], drawn: Sequence[Points], unit: float) -> Image.Image:
    """White with the object's faint, soft shadow, a little to the lower right."""
    shape = Image.new("L", (_FINE, _FINE))
    draw = ImageDraw.Draw(shape)
    for part, points in zip(parts, drawn, strict=True):
        _ink(draw, part, points, 255, unit)
    soft = shape.reduce(8).filter(ImageFilter.GaussianBlur(1.6))
    soft = ImageChops.offset(soft, 1, 2).point([255 - round(0.17 * value) for value in range(256)])
    return Image.merge("RGB", (soft.resize((_FINE, _FINE), Image.Resampling.BILINEAR),) * 3)


def _window(points: Points, width: float) -> tuple[int, int, int, int]:
    """The part's surroundings, in whole steps of the coarse grid: work grows with its area."""
    step = _FINE // _COARSE
    sides = []
    for axis in (0, 1):
        along = [point[axis] for point in points]
        low = math.floor((min(along) - width / 2) / step) - 3
        high = math.ceil((max(along) + width / 2) / step) + 3
        low = min(max(low, 0), _COARSE - 1)
        sides.append((step * low, step * min(max(high, low + 1), _COARSE)))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


def _relief(mask: Image.Image, part: Part, corner: tuple[int, int]) -> Image.Image:
    """Light on a rounded surface: bright where the outline faces the upper left, dark opposite."""
    blur = ImageFilter.GaussianBlur(1.0 if part.width else 2.6)
    small = np.asarray(mask.reduce(4).filter(blur), np.float32) / 255
    rows, columns = np.ogrid[: small.shape[0], : small.shape[1]]
    slope = np.roll(small, (-2, -1), (0, 1)) - np.roll(small, (2, 1), (0, 1))
    down = (rows + corner[1] / 8) / _COARSE - 0.5  # in the whole picture
    across = (columns + corner[0] / 8) / _COARSE - 0.5
    level = 128 + part.relief * (58 * slope - 34 * down - 12 * across)
    if part.relief >= 1:  # a soft highlight on the large surfaces
        area = small.sum()
        y = (small.sum(axis=1).cumsum() < 0.3 * area).sum()
        x = (small.sum(axis=0).cumsum() < 0.3 * area).sum()
        level = level + 30 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (0.0625 * area + 1))
    soft = Image.fromarray(np.clip(level, 30, 225).astype(np.uint8))
    return soft.resize(mask.size, Image.Resampling.BILINEAR)


def _pattern(name: str, fine: Place, unit: float) -> Image.Image:
    over = Image.new("L", (_FINE, _FINE))
    draw = ImageDraw.Draw(over)
    steps = np.arange(-1.2, 1.21, 0.24)
    if name == "dots":
        r = 0.05 * unit
        for row, y in enumerate(np.arange(-1.2, 1.21, 0.2)):
            for x in steps + 0.12 * (row % 2):
                cx, cy = fine(float(x), float(y))
                draw.ellipse([cx - r, cy - r, cx + r, cy + r], 255)
        return over
    width = round(0.07 * unit)
    for at in map(float, steps):
        draw.line([fine(at, -1.3), fine(at, 1.3)], 255 if name == "stripes" else 130, width)
    if name == "checks":
        cross = Image.new("L", over.size)
        draw = ImageDraw.Draw(cross)
        for at in map(float, steps):
            draw.line([fine(-1.3, at), fine(1.3, at)], 130, width)
        over = ImageChops.add(over, cross)
    return over


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    red, green, blue = (round((1 - share) * x + share * y) for x, y in zip(a, b, strict=True))
    return red, green, blue
