"""The outlines of handbags and shoes, read from `outlines.txt`, and the language that they are in.

Outlines are in object units: x to the right, y down, about -1 to 1. As in SVG, `M x y` starts,
`L x y` is a straight line, `Q` and `C` are quadratic and cubic Bézier curves; numbers are absolute.
`O x y r` is a circle, `R x0 y0 x1 y1 r` a rectangle with rounded corners.
"""

import functools
import re
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

Points = list[tuple[float, float]]
KINDS = ("bags", "shoes")

# Positions on a curve, from 0 to 1, between which it is a straight line.
_STEPS = np.arange(1, 19)[:, None, None] / 18


class Part(NamedTuple):
    """One painted piece.

    Attributes:
      path: its outline, or the line that it follows.
      role: key of the colour.
      width: thickness of the line; 0 for a filled outline.
      patterned: whether stripes, dots or checks go over it.
      relief: how strongly light and shade model it.
      dash: length of stitches and of the gaps between them; 0 for an unbroken line.
    """

    path: str = ""
    role: str = ""
    width: float = 0.0
    patterned: bool = False
    relief: float = 0.0
    dash: float = 0.0


# The kinds of parts, with what a line of the file may leave out.
_PARTS = {
    "body": Part(role="main", patterned=True, relief=1.0),  # the largest surface
    "panel": Part(relief=0.6),  # a smaller surface
    "cord": Part(relief=0.5),  # a rounded strap, handle or lace
    "stitch": Part(role="thread", width=0.018, dash=0.055),  # a line of thread
    "line": Part(role="deep", width=0.022),  # a thin line: a fold, a seam
    "disc": Part(role="metal", relief=0.4),  # a round button or ring
}


@functools.cache
def styles(kind: str) -> dict[str, tuple[Part, ...]]:
    """Returns the parts of every style of a kind, from the hindmost to the foremost.

    Args:
      kind: one of `KINDS`.
    """
    text = resources.files(__package__).joinpath("outlines.txt").read_text(encoding="utf-8")
    blocks = re.findall(rf"^\[{kind} (\w+)\]\n(.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return {
        style: tuple(_part(line) for line in re.split(r"\n(?! )", block.rstrip()))
        for style, block in blocks
    }


def _part(line: str) -> Part:
    """Reads a line such as `cord role=deep width=0.1 M 0 0 L 1 1`."""
    kind, *words = line.split()
    options: dict[str, Any] = dict(word.split("=") for word in words if "=" in word)
    numbers = {name: float(text) for name, text in options.items() if name != "role"}
    return _PARTS[kind]._replace(path=" ".join(words[len(options) :]), **options | numbers)


@functools.cache
def sample(path: str) -> Points:
    """Samples a path; each curve becomes a dozen and a half short lines."""
    points: Points = []
    for command, text in re.findall("([MLQC])([^MLQC]+)", _basic(path)):
        numbers = [float(word) for word in text.split()]
        knots = list(zip(numbers[::2], numbers[1::2], strict=True))
        # A curve begins where the path has come to.
        if command in "QC":
            line = np.array([[points[-1], *knots]])
            while line.shape[1] > 1:  # de Casteljau
                line = (1 - _STEPS) * line[:, :-1] + _STEPS * line[:, 1:]
            knots = [(x, y) for x, y in line[:, 0].tolist()]
        points += knots
    return points


def _basic(path: str) -> str:
    """Writes a circle or a rectangle as lines and curves."""
    shape, *words = path.split()
    if shape == "O":
        x, y, r = map(float, words)
        k = 0.5523 * r
        return (
            f"M {x - r} {y} C {x - r} {y - k} {x - k} {y - r} {x} {y - r} "
            f"C {x + k} {y - r} {x + r} {y - k} {x + r} {y} "
            f"C {x + r} {y + k} {x + k} {y + r} {x} {y + r} "
            f"C {x - k} {y + r} {x - r} {y + k} {x - r} {y}"
        )
    if shape == "R":
        x0, y0, x1, y1, r = map(float, words)
        return (
            f"M {x0 + r} {y0} L {x1 - r} {y0} Q {x1} {y0} {x1} {y0 + r} L {x1} {y1 - r} "
            f"Q {x1} {y1} {x1 - r} {y1} L {x0 + r} {y1} Q {x0} {y1} {x0} {y1 - r} "
            f"L {x0} {y0 + r} Q {x0} {y0} {x0 + r} {y0}"
        )
    return path
