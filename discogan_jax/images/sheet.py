"""Contact sheets: pictures in labelled columns."""

import math
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont


def grid(
    columns: Sequence[tuple[str, UInt8[np.ndarray, "N h w _"]]], *, cell: int = 96, gap: int = 4
) -> UInt8[np.ndarray, "H W 3"]:
    """Tiles pictures: one labelled column per entry, one row per picture.

    Small pictures are enlarged a whole number of times without smoothing, so that every pixel
    of the original can be seen.

    Args:
      columns: label and pictures of each column. Of three channels and more the first three are
        shown as RGB, of fewer the first as grey.
      cell: least width of a picture; narrower ones are enlarged until they reach it.
      gap: white pixels between pictures and around them.

    Returns:
      The grid, dark text above pictures on white.

    Raises:
      ValueError: there are no columns, or they differ in the number or size of their pictures.
    """
    # The layout: how large the cells are, and where they begin below the labels.
    shapes = {np.shape(pictures)[:3] for _, pictures in columns}
    if len(shapes) != 1:
        raise ValueError(f"Columns must be alike [N, H, W, C] arrays, not {sorted(shapes)}.")
    number, height, width = shapes.pop()
    scale = max(1, math.ceil(cell / width))
    height, width = height * scale, width * scale
    headers = [_header(label, width) for label, _ in columns]
    top = gap + max(header.height for header in headers)

    # The cells: enlarged, with a gap to the right and below, in columns.
    cells = np.stack([_rgb(pictures) for _, pictures in columns], axis=1)
    cells = cells.repeat(scale, axis=2).repeat(scale, axis=3)
    cells = np.pad(cells, [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)], constant_values=255)
    rows = cells.swapaxes(1, 2).reshape(number * (height + gap), len(columns) * (width + gap), 3)
    sheet = Image.fromarray(np.pad(rows, [(top + gap, 0), (gap, 0), (0, 0)], constant_values=255))

    # Short labels stand at the bottom, next to their pictures.
    for column, header in enumerate(headers):
        middle = gap + column * (width + gap) + (width - header.width) // 2
        sheet.paste(header, (middle, top - header.height))
    return np.array(sheet)


def _rgb(pictures: UInt8[np.ndarray, "N h w C"]) -> UInt8[np.ndarray, "N h w 3"]:
    """Returns the channels that are shown."""
    pictures = np.asarray(pictures)
    return pictures[..., :3] if pictures.shape[-1] > 2 else pictures[..., :1].repeat(3, axis=-1)


def _header(label: str, width: int) -> Image.Image:
    """Draws a label: one line, or one for each arrow; what is still too wide is scaled down."""
    # The built-in face is ASCII: accents are dropped, and what is left over becomes '?'.
    letters = unicodedata.normalize("NFKD", label.replace("→", "->"))
    text = "".join(c if c.isascii() else "?" for c in letters if not unicodedata.combining(c))
    font = ImageFont.load_default(size=14)
    lines = [text]
    if font.getlength(text) > width:  # an arrow stays with its target
        lines = re.split(r" (?=-> )", text)
    wide = max(1, math.ceil(max(map(font.getlength, lines))))
    header = Image.new("L", (wide, 18 * len(lines)), "white")
    ImageDraw.Draw(header).text((0, 0), "\n".join(lines), 40, font, align="center")
    header.thumbnail((width, header.height), Image.Resampling.LANCZOS)
    return header
