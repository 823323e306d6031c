"""Draws the figure of the toy experiment: planes with axes, shading and coloured points."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from experiments.plots import COLOURS, FINE, INK, SIDE, Plot, font, scaled_down
from experiments.toy import system

EXTENT = 1.6  # half the length of the axes
LEVELS = 10  # of the shading, whose steps look like contour lines
SHOWN = 100  # points per mode


def plane() -> Float[np.ndarray, "N 2"]:
    """Lists the points of a panel's shading, row by row from the top left."""
    axis = (np.arange(SIDE) + 0.5) / SIDE * 2 * EXTENT - EXTENT
    return np.stack(np.meshgrid(axis, -axis), -1).reshape(-1, 2).astype(np.float32)


def _shades(real: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Converts outputs to shades in steps, from grey for "translated" to white for "real"."""
    steps_ = np.floor(np.clip(real, 0, 1 - 1e-6) * LEVELS) / (LEVELS - 1)
    return np.repeat((130 + 125 * steps_)[..., None], 3, -1).astype(np.uint8)


def panel(
    title: str,
    domain: str,
    real: Float[np.ndarray, "H W"],
    groups: Float[np.ndarray, "modes N 2"],
    targets: Float[np.ndarray, "targets M 2"] | None,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draws a plane with axes: shading, real points of B in black, coloured points on top."""
    plot = Plot(EXTENT, _shades(real))
    if targets is not None:
        reach = system.REACH / (2 * EXTENT) * SIDE
        for centre, points in zip(system.MODES_B, targets, strict=True):
            plot.dot(centre, reach, outline=INK, width=FINE)
            for point in points[:SHOWN]:
                plot.dot(point, 1, fill=INK)
    for group, colour in zip(groups, COLOURS, strict=True):
        for point in group:
            plot.dot(point, 2.2, fill=colour)
    return plot.framed(title, f"{domain}, x", f"{domain}, y", (-1, 0, 1))


def legend(height: int) -> UInt8[np.ndarray, "H W 3"]:
    """Draws the legend of the shading and the marks."""
    top, bar, side = 34 * FINE, 22 * FINE, (SIDE - 130) * FINE
    canvas = Image.new("RGB", (170 * FINE, height * FINE), "white")
    ramp = np.linspace(1, 0, side)[:, None].repeat(bar, 1)
    canvas.paste(Image.fromarray(_shades(ramp)), (8 * FINE, top))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((8 * FINE, top, 8 * FINE + bar, top + side), outline=INK, width=FINE)
    for share, text in ((0, "1: real"), (0.5, "0.5"), (1, "0: translated")):
        draw.text((38 * FINE, top + share * side), text, INK, font(14), anchor="lm")
    y = top + side + 22 * FINE
    notes = ("shading: output of", "B's discriminator", "black: points of B")
    for i, text in enumerate((*notes, "circles: modes of B", "colours: modes of A")):
        draw.text((8 * FINE, y + i * 20 * FINE), text, INK, font(14), anchor="lm")
    return scaled_down(canvas)
