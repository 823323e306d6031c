"""Square scatter plots around the origin, drawn with Pillow: axes, dots, lines, a title."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

# Okabe and Ito's palette, which is safe for colour-blind readers.
COLOURS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167))
FINE = 2  # factor of supersampling, since Pillow does not antialias shapes
INK = (30, 30, 30)
LEFT, TOP, RIGHT, BOTTOM = 58, 34, 12, 48  # margins around the plane, in pixels
SIDE = 400  # of the plane, in pixels


class Plot:
    """A plane to draw on; shapes are clipped at its border."""

    def __init__(self, extent: float, ground: UInt8[np.ndarray, "SIDE SIDE 3"] | None = None):
        """Creates an empty plane.

        Args:
          extent: half the length of both axes, which are centred at 0.
          ground: a background picture; white if None.
        """
        self._extent = extent
        side = (SIDE * FINE,) * 2
        if ground is None:
            self._plane = Image.new("RGB", side, "white")
        else:
            self._plane = Image.fromarray(ground).resize(side, Image.Resampling.NEAREST)
        self._draw = ImageDraw.Draw(self._plane)

    def dot(self, point: Sequence[float], radius: float, **how: Any) -> None:
        """Draws a circle; `radius` is in pixels, and `how` goes to Pillow's `ellipse`."""
        u, v = self._at(*point)
        r = radius * FINE
        self._draw.ellipse((u - r, v - r, u + r, v + r), **how)

    def line(self, start: Sequence[float], end: Sequence[float], colour: Any) -> None:
        """Draws a thin line between two points."""
        self._draw.line((*self._at(*start), *self._at(*end)), colour, FINE)

    def framed(
        self, title: str, across: str, up: str, ticks: Sequence[float]
    ) -> UInt8[np.ndarray, "H W 3"]:
        """Draws axes and a title around the plane.

        Args:
          title: text above the plane.
          across: label of the horizontal axis.
          up: label of the vertical axis.
          ticks: values that are marked on both axes.
        """
        left, top, right, bottom, side = (x * FINE for x in (LEFT, TOP, RIGHT, BOTTOM, SIDE))
        canvas = Image.new("RGB", (left + side + right, top + side + bottom), "white")
        canvas.paste(self._plane, (left, top))
        draw = ImageDraw.Draw(canvas)
        draw.rectangle((left, top, left + side, top + side), outline=INK, width=FINE)
        draw.text((left + side / 2, top / 2), title, INK, font(17), anchor="mm")
        edge, tall = top + side, 6 * FINE
        for tick in ticks:
            u, v = self._at(tick, tick)
            draw.line((left + u, edge, left + u, edge + tall), INK, FINE)
            draw.text((left + u, edge + tall * 1.3), f"{tick:g}", INK, font(14), anchor="mt")
            draw.line((left - tall, top + v, left, top + v), INK, FINE)
            draw.text((left - tall * 1.5, top + v), f"{tick:g}", INK, font(14), anchor="rm")
        draw.text((left + side / 2, canvas.height - 4), across, INK, font(15), anchor="mb")
        upright = Image.new("RGB", (side, 22 * FINE), "white")
        ImageDraw.Draw(upright).text((side / 2, 11 * FINE), up, INK, font(15), anchor="mm")
        canvas.paste(upright.rotate(90, expand=True), (0, top))
        return scaled_down(canvas)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        scale = SIDE * FINE / (2 * self._extent)
        return (self._extent + x) * scale, (self._extent - y) * scale


def font(size: int) -> Any:
    """Loads Pillow's built-in font; `size` is in pixels of the final picture."""
    return ImageFont.load_default(size=size * FINE)


def scaled_down(canvas: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    """Scales a picture that was drawn at `FINE` times its size down."""
    size = (canvas.width // FINE, canvas.height // FINE)
    return np.asarray(canvas.resize(size, Image.Resampling.BOX))
