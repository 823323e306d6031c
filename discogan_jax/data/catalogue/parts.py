"""The pieces that objects are drawn of, and the path language of their outlines.

Outlines are in object units: x to the right, y down, about -1 to 1. `M x y` starts, `L x y` is a
straight line, `Q` and `C` are quadratic and cubic Bézier curves, as in SVG; numbers are absolute.
"""

import functools
import itertools
from typing import NamedTuple

Points = list[tuple[float, float]]


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


def body(path: str) -> Part:
    """The largest surface, in the main colour; takes the pattern."""
    return Part(path, "main", patterned=True, relief=1.0)


def panel(path: str, role: str, relief: float = 0.6) -> Part:
    """A smaller surface."""
    return Part(path, role, relief=relief)


def cord(path: str, role: str, width: float) -> Part:
    """A rounded strap, handle or lace."""
    return Part(path, role, width=width, relief=0.5)


def stitch(path: str) -> Part:
    """A line of thread."""
    return Part(path, "thread", width=0.018, dash=0.055)


def line(path: str, role: str = "deep", width: float = 0.022) -> Part:
    """A thin line: a fold, a seam."""
    return Part(path, role, width=width)


def disc(x: float, y: float, r: float, role: str = "metal") -> Part:
    """A round button or ring about (x, y)."""
    k = 0.5523 * r
    return panel(
        f"M {x - r} {y} C {x - r} {y - k} {x - k} {y - r} {x} {y - r} "
        f"C {x + k} {y - r} {x + r} {y - k} {x + r} {y} "
        f"C {x + r} {y + k} {x + k} {y + r} {x} {y + r} "
        f"C {x - k} {y + r} {x - r} {y + k} {x - r} {y}",
        role,
        0.4,
    )


def box(x0: float, y0: float, x1: float, y1: float, role: str, *, r: float = 0.05) -> Part:
    """A rectangle with rounded corners."""
    return panel(
        f"M {x0 + r} {y0} L {x1 - r} {y0} Q {x1} {y0} {x1} {y0 + r} L {x1} {y1 - r} "
        f"Q {x1} {y1} {x1 - r} {y1} L {x0 + r} {y1} Q {x0} {y1} {x0} {y1 - r} "
        f"L {x0} {y0 + r} Q {x0} {y0} {x0 + r} {y0}",
        role,
    )


@functools.cache
def sample(path: str) -> Points:
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
                    for (a, b), (c, d) in itertools.pairwise(line)
                ]
            points += line
    return points
