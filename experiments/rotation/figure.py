"""Draws the figure of the rotation study: angles of outputs over angles of inputs."""

import numpy as np
from jaxtyping import Float, UInt8

from discogan_jax.evaluation.attributes import tilt_error
from discogan_jax.evaluation.metrics.attribute_correlation import correlation
from experiments.plots import COLOURS, Plot

EXTENT = 90.0  # half the length of the axes, in degrees
TICKS = (-75, -50, -25, 0, 25, 50, 75)
DIAGONALS = (170, 170, 170)


def panel(
    name: str, tilts: Float[np.ndarray, "N"], found: Float[np.ndarray, "N"]
) -> UInt8[np.ndarray, "H W 3"]:
    """Draws a point per image; angles that are preserved or mirrored lie on a diagonal.

    Args:
      name: name of the run; the title also has the signed correlation and the error.
      tilts: angles of the inputs in degrees.
      found: angles of the outputs; points outside the axes are drawn at the border.
    """
    plot = Plot(EXTENT)
    for sign in (1, -1):
        plot.line((-EXTENT, -sign * EXTENT), (EXTENT, sign * EXTENT), DIAGONALS)
    for x, y in zip(tilts, np.clip(found, -EXTENT, EXTENT), strict=True):
        plot.dot((x, y), 2.5, fill=COLOURS[0])
    signed, error = correlation(tilts, found), tilt_error(tilts, found)
    title = f"{name}: correlation {signed:.2f}, rms error {error:.0f}°"
    return plot.framed(title, "input angle in degrees", "output angle in degrees", TICKS)
