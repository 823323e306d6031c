"""Paints objects from their outlines, and finds the edges of a picture; pure functions."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from discogan_jax.data.catalogue.outlines import Part, Points, sample

Colour = tuple[int, ...]
Place = Callable[[float, float], tuple[float, float]]
Draw = ImageDraw.ImageDraw

SIDE = 256

# Objects are painted at twice the size and averaged, for smooth outlines. Soft light needs no
# detail: a quarter of the size is enough.
_FINE, _COARSE = 2 * SIDE, SIDE // 4

# What the colour of an object's outline is mixed with.
_RIM = (20, 16, 24)

# The least change of colour over two pixels that is an edge.
_FAINTEST = 36


def paint(
    parts: Sequence[Part], colours: dict[str, Colour], pattern: str, place: Place
) -> UInt8[np.ndarray, "256 256 3"]:
    """Paints one object on white, lit from the upper left, with a faint shadow.

    Args:
      parts: parts of the object, the hindmost first.
      colours: a colour for every role, and for 'pattern'.
      pattern: 'plain', 'stripes', 'dots' or 'checks'.
      place: maps object units to pixels of the finished picture.

    Returns:
      The picture.
    """
    unit = 2 * math.dist(place(0.0, 0.0), place(0.0, 1.0))
    parts = [part._replace(width=part.width * unit, dash=part.dash * unit) for part in parts]

    def fine(x: float, y: float) -> tuple[float, float]:
        x, y = place(x, y)
        return 2 * x, 2 * y

    drawn = [[fine(x, y) for x, y in sample(part.path)] for part in parts]
    canvas = _backdrop(parts, drawn)
    draw = ImageDraw.Draw(canvas)
    light = Image.new("L", (SIDE, SIDE), 128)
    over = _pattern(pattern, fine, unit) if pattern != "plain" else None
    for part, points in zip(parts, drawn, strict=True):
        colour = colours[part.role]
        rim = tuple(round(0.55 * x + 0.45 * y) for x, y in zip(colour, _RIM, strict=True))
        # Stitches and thin lines are flat.
        if part.dash:
            _dashes(draw, part, points, colour)
            continue
        if not part.relief:
            _ink(draw, part, points, colour)
            continue
        # All else is rounded. The rim of a cord is a wider line beneath it.
        if part.width:
            _ink(draw, part, points, rim, extra=3)
        box = _window(points, part.width)
        left, top = box[:2]
        mask = Image.new("L", (box[2] - left, box[3] - top))
        inside = [(x - left, y - top) for x, y in points]
        _ink(ImageDraw.Draw(mask), part, inside, 255)
        _ink(draw, part, points, colour)
        if part.patterned and over:
            canvas.paste(colours["pattern"], box, ImageChops.multiply(mask, over.crop(box)))
        if not part.width:
            draw.line([*points, points[0], points[1]], rim, 3, joint="curve")
        # Light hides that of the parts behind.
        half = mask.reduce(2)
        light.paste(_relief(half, part, (left, top)), (left // 2, top // 2), half)
    # Light is applied to the colours at the size of the finished picture.
    lit = ImageChops.hard_light(canvas.reduce(2), Image.merge("RGB", (light, light, light)))
    return np.array(lit, np.uint8)


def edges(photo: UInt8[np.ndarray, "256 256 3"]) -> UInt8[np.ndarray, "256 256 3"]:
    """Finds the edges of a picture: dark and thin on white, as on the left of pix2pix's images.

    The gradient over all three channels, so that edges between colours of equal brightness are
    found, is thinned to its ridges.

    Args:
      photo: the picture.

    Returns:
      The edge map; its three channels are equal.
    """
    # Only where the picture is not white, which saves most of the work.
    edge_map = np.full_like(photo, 255)
    if box := ImageChops.invert(Image.fromarray(photo)).getbbox():
        left, top, right, bottom = box
        part = np.s_[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3]
        edge_map[part][_lines(photo[part])] = 24
    return edge_map


def _lines(photo: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
    # The structure tensor of the smoothed picture, summed over the channels.
    smooth = Image.fromarray(photo).filter(ImageFilter.BoxBlur(1))
    padded = np.pad(np.asarray(smooth, np.float32), ((1, 1), (1, 1), (0, 0)), "edge")
    across = padded[1:-1, 2:] - padded[1:-1, :-2]
    down = padded[2:, 1:-1] - padded[:-2, 1:-1]
    slopes = ((across, across), (down, down), (across, down))
    xx, yy, xy = (np.einsum("hwc,hwc->hw", one, other) for one, other in slopes)

    # A ridge is at least as strong as its neighbours on either side.
    strength = xx + yy
    around = np.pad(strength, 1)
    height, width = strength.shape

    def ridge(dy: int, dx: int) -> np.ndarray:
        one = around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        other = around[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        return (strength >= one) & (strength > other)

    # Neighbours are compared along the gradient, in the nearest of four directions.
    slanted = 2 * np.abs(xy) > np.abs(xx - yy)
    upright = np.where(xx >= yy, ridge(0, 1), ridge(1, 0))
    oblique = np.where(xy >= 0, ridge(1, 1), ridge(1, -1))
    return (strength > _FAINTEST**2) & np.where(slanted, oblique, upright)


def _ink(draw: Draw, part: Part, points: Points, colour: Colour | int, extra: int = 0) -> None:
    if not part.width:
        draw.polygon(points, colour)
        return
    width = max(1, round(part.width)) + 2 * extra
    draw.line(points, colour, width, joint="curve")
    for x, y in (points[0], points[-1]):
        draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], colour)


def _dashes(draw: Draw, part: Part, points: Points, colour: Colour) -> None:
    corners = np.array(points)
    along = np.concatenate([[0], np.hypot(*np.diff(corners, axis=0).T).cumsum()])
    width, step = max(2, round(part.width)), part.dash
    starts = np.arange(0.0, max(along[-1] - step / 2, step), step)
    ends = np.stack([starts, starts + 0.6 * step], axis=1)
    for line in np.stack([np.interp(ends, along, corners[:, axis]) for axis in (0, 1)], axis=-1):
        draw.line([tuple(point) for point in line], colour, width)


def _backdrop(parts: Sequence[Part], drawn: Sequence[Points]) -> Image.Image:
    """Paints the object's faint, soft shadow on white, a little to the lower right."""
    shape = Image.new("L", (_FINE, _FINE))
    draw = ImageDraw.Draw(shape)
    for part, points in zip(parts, drawn, strict=True):
        _ink(draw, part, points, 255)
    soft = shape.reduce(8).filter(ImageFilter.GaussianBlur(1.6))
    soft = ImageChops.offset(soft, 1, 2).point([255 - round(0.17 * value) for value in range(256)])
    return Image.merge("RGB", (soft.resize((_FINE, _FINE), Image.Resampling.BILINEAR),) * 3)


def _window(points: Points, width: float) -> tuple[int, int, int, int]:
    """Returns the part's surroundings in whole steps of the coarse grid, to work on no more."""
    step, corners = _FINE // _COARSE, np.array(points)
    low = np.floor((corners.min(0) - width / 2) / step).astype(int) - 3
    high = np.ceil((corners.max(0) + width / 2) / step).astype(int) + 3
    low = low.clip(0, _COARSE - 1)
    (left, top), (right, bottom) = (step * low, step * high.clip(low + 1, _COARSE))
    return int(left), int(top), int(right), int(bottom)


def _relief(mask: Image.Image, part: Part, corner: tuple[int, int]) -> Image.Image:
    """Shades a rounded surface: light where its outline faces the upper left, dark opposite."""
    blur = ImageFilter.GaussianBlur(1.0 if part.width else 2.6)
    small = np.asarray(mask.reduce(4).filter(blur), np.float32) / 255
    rows, columns = np.ogrid[: small.shape[0], : small.shape[1]]
    slope = np.zeros_like(small)
    slope[2:-2, 1:-1] = small[4:, 2:] - small[:-4, :-2]
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
