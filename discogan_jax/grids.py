"""Pictures tiled into labelled grids."""

import math
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont


def grid(
    columns: Sequence[tuple[str, UInt8[np.ndarray, "N S S 3"]]],
    *,
    cell: int = 96,
    gap: int = 4,
) -> UInt8[np.ndarray, "H W 3"]:
    """Tiles pictures: one labelled column per entry, one row per picture.

    Small pictures are enlarged a whole number of times without smoothing, so that every pixel
    of the original can be seen. Labels are wrapped, and made smaller where that helps.

    Args:
      columns: label (arrows '→' are understood) and pictures of each column.
      cell: pictures smaller than this are enlarged until they are at least this large.
      gap: white pixels between pictures and around them.

    Returns:
      The grid, dark text above pictures on white.

    Raises:
      ValueError: if there are no columns, or they differ in number or size of pictures.
    """
    shapes = {np.shape(pictures) for _, pictures in columns}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 4 or shape[1] != shape[2]:
        raise ValueError(f"Columns must be alike [N, S, S, 3] arrays, not {sorted(shapes)}.")
    number, size = shape[:2]
    scale = max(1, math.ceil(cell / size))
    side = size * scale
    header, line_height, font = _wrapped([_plain(label) for label, _ in columns], side)
    top = gap + max(len(lines) for lines in header) * line_height
    canvas = Image.new(
        "RGB", (gap + len(columns) * (side + gap), top + gap + number * (side + gap)), "white"
    )
    draw = ImageDraw.Draw(canvas)
    for column, lines in enumerate(header):
        centre = gap + column * (side + gap) + side / 2
        for row, line in enumerate(lines):
            # Short labels stand at the bottom, next to their pictures.
            y = top - (len(lines) - row) * line_height
            _write(draw, line, (centre, y + line_height / 2), font)
    sheet = np.array(canvas)
    for column, (_, pictures) in enumerate(columns):
        left = gap + column * (side + gap)
        for row, picture in enumerate(pictures):
            y = top + gap + row * (side + gap)
            large = np.asarray(picture).repeat(scale, axis=0).repeat(scale, axis=1)
            sheet[y : y + side, left : left + side] = large
    return sheet


def _plain(label: str) -> str:
    # The built-in face is ASCII: accents are dropped, and what is left over becomes '?'.
    letters = unicodedata.normalize("NFKD", label)
    shown = (c if c.isascii() or c == "→" else "?" for c in letters if not unicodedata.combining(c))
    return "".join(shown)


def _width(line: str, font: ImageFont.FreeTypeFont) -> float:
    # The built-in face has no arrow: it is drawn, one em wide.
    words = line.split()
    blank = font.getlength(" ")
    widths = [font.size if word == "→" else font.getlength(word) for word in words]
    return sum(widths) + blank * max(0, len(words) - 1)


def _wrapped(labels: list[str], width: int) -> tuple[list[list[str]], int, ImageFont.FreeTypeFont]:
    """Chooses the largest text whose labels take at most two lines; the smallest takes any."""
    for size in range(16, 9, -1):
        font = _font(size)
        lines = [_lines(label, width, font) for label in labels]
        whole = all(_width(word, font) <= width for label in labels for word in label.split())
        if whole and max(map(len, lines)) <= 2:
            break
    return lines, size + 4, font


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType, which labels need.")
    return font


def _lines(label: str, width: int, font: ImageFont.FreeTypeFont) -> list[str]:
    lines = [""]
    for word in label.split():
        longer = f"{lines[-1]} {word}".strip()
        if _width(longer, font) <= width:
            lines[-1] = longer
            continue
        if lines[-1].endswith(" →") and _width(f"→ {word}", font) <= width:
            lines[-1:] = [lines[-1][:-2], f"→ {word}"]  # the arrow goes along with its target
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:  # a word wider than its column is broken where the column ends
            if lines[-1] and _width(lines[-1] + letter, font) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _write(
    draw: ImageDraw.ImageDraw, line: str, centre: tuple[float, float], font: ImageFont.FreeTypeFont
) -> None:
    ink = (40, 40, 40)
    x, middle = centre[0] - _width(line, font) / 2, centre[1]
    for word in line.split():
        if word == "→":
            tip, barb = x + font.size, font.size / 4
            draw.line([(x, middle), (tip, middle)], ink)
            for side in (-barb, barb):
                draw.line([(tip - barb, middle + side), (tip, middle)], ink)
            x = tip
        else:
            draw.text((x, middle), word, ink, font, anchor="lm")
            x += font.getlength(word)
        x += font.getlength(" ")
