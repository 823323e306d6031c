"""Draws the toy experiment's figure with Pillow: planes with axes, shading and coloured points."""

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from discogan_jax import toy

# Okabe and Ito's colours, which colour-blind people can tell apart.
COLOURS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167))
EXTENT = 1.6  # of the axes, either way
SIDE = 400  # of a panel, in pixels
FINE = 2  # drawn larger by this and scaled down: Pillow's shapes have hard edges
INK = (30, 30, 30)
LEVELS = 10  # of the shading: the borders between them are contour lines
SHOWN = 100  # points of a mode


def plane() -> Float[np.ndarray, "N 2"]:
    """The points, row by row from the top left, at which a panel's shading is given."""
    axis = (np.arange(SIDE) + 0.5) / SIDE * 2 * EXTENT - EXTENT
    return np.stack(np.meshgrid(axis, -axis), -1).reshape(-1, 2).astype(np.float32)


def _font(size: int) -> Any:
    return ImageFont.load_default(size=size * FINE)


def _shades(real: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Grey for "false", white for "real", in steps."""
    steps_ = np.floor(np.clip(real, 0, 1 - 1e-6) * LEVELS) / (LEVELS - 1)
    return np.repeat((130 + 125 * steps_)[..., None], 3, -1).astype(np.uint8)


def panel(
    title: str,
    domain: str,
    real: Float[np.ndarray, "H W"],
    groups: Float[np.ndarray, "modes N 2"],
    targets: Float[np.ndarray, "targets M 2"] | None,
) -> UInt8[np.ndarray, "H W 3"]:
    """One plane with its axes: shading, real points of B in black, coloured points on top."""
    left, top, right, bottom = (x * FINE for x in (58, 34, 12, 48))
    side = SIDE * FINE
    canvas = Image.new("RGB", (left + side + right, top + side + bottom), "white")
    ground = Image.fromarray(_shades(real)).resize((side, side), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(ground)

    def pixel(x: float, y: float) -> tuple[float, float]:
        return (x + EXTENT) / (2 * EXTENT) * side, (EXTENT - y) / (2 * EXTENT) * side

    def dot(point: Any, radius: float, **how: Any) -> None:
        u, v = pixel(*point)
        r = radius * FINE
        draw.ellipse((u - r, v - r, u + r, v + r), **how)

    if targets is not None:
        reach = toy.REACH / (2 * EXTENT) * SIDE
        for centre, points in zip(toy.MODES_B, targets, strict=True):
            dot(centre, reach, outline=INK, width=FINE)
            for point in points[:SHOWN]:
                dot(point, 1, fill=INK)
    for group, colour in zip(groups, COLOURS, strict=True):
        for point in group:
            dot(point, 2.2, fill=colour)
    canvas.paste(ground, (left, top))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((left, top, left + side, top + side), outline=INK, width=FINE)
    draw.text((left + side / 2, top / 2), title, INK, _font(17), anchor="mm")
    for tick in (-1, 0, 1):
        u, v = pixel(tick, tick)
        edge, tall = top + side, 6 * FINE
        draw.line((left + u, edge, left + u, edge + tall), INK, FINE)
        draw.text((left + u, edge + tall * 1.3), str(tick), INK, _font(14), anchor="mt")
        draw.line((left - tall, top + v, left, top + v), INK, FINE)
        draw.text((left - tall * 1.5, top + v), str(tick), INK, _font(14), anchor="rm")
    draw.text((left + side / 2, canvas.height - 4), f"{domain}, x", INK, _font(15), anchor="mb")
    draw.text((left / 4, top + side / 4), f"{domain}, y", INK, _font(15), anchor="lm")
    return _scaled_down(canvas)


def legend(height: int) -> UInt8[np.ndarray, "H W 3"]:
    """What the shading and the marks mean."""
    top, bar, side = 34 * FINE, 22 * FINE, (SIDE - 130) * FINE
    canvas = Image.new("RGB", (170 * FINE, height * FINE), "white")
    ramp = np.linspace(1, 0, side)[:, None].repeat(bar, 1)
    canvas.paste(Image.fromarray(_shades(ramp)), (8 * FINE, top))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((8 * FINE, top, 8 * FINE + bar, top + side), outline=INK, width=FINE)
    for share, text in ((0, "1: real"), (0.5, "0.5"), (1, "0: translated")):
        draw.text((38 * FINE, top + share * side), text, INK, _font(14), anchor="lm")
    y = top + side + 22 * FINE
    notes = ("shading: verdict of B's", "discriminator", "black: points of B")
    for i, text in enumerate((*notes, "circles: B's modes", "colours: mode of A")):
        draw.text((8 * FINE, y + i * 20 * FINE), text, INK, _font(14), anchor="lm")
    return _scaled_down(canvas)


def _scaled_down(canvas: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    size = (canvas.width // FINE, canvas.height // FINE)
    return np.asarray(canvas.resize(size, Image.Resampling.BOX))
