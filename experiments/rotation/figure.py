"""Draws the rotation study's figure: at which angle things go in, and at which they come out."""

import numpy as np
from jaxtyping import Float, UInt8

from discogan_jax.evaluation.attributes import tilts_kept
from discogan_jax.evaluation.metrics import attributes
from experiments.plots import COLOURS, Plot

EXTENT = 90.0  # of the axes, degrees either way
TICKS = (-75, -50, -25, 0, 25, 50, 75)
DIAGONALS = (170, 170, 170)


def panel(
    name: str, tilts: Float[np.ndarray, "N"], found: Float[np.ndarray, "N"]
) -> UInt8[np.ndarray, "H W 3"]:
    """One point an image; on a diagonal lie angles that are kept, or mirrored.

    Args:
      name: of what translated; correlation (with its sign) and error follow it in the title.
      tilts: of the inputs, in degrees.
      found: of the outputs; what lies outside the axes is drawn at the border.
    """
    plot = Plot(EXTENT)
    for sign in (1, -1):
        plot.line((-EXTENT, -sign * EXTENT), (EXTENT, sign * EXTENT), DIAGONALS)
    for x, y in zip(tilts, np.clip(found, -EXTENT, EXTENT), strict=True):
        plot.dot((x, y), 2.5, fill=COLOURS[0])
    correlation, error = (
        attributes.correlation(tilts, found),
        tilts_kept(tilts, found)["rmse"].value,
    )
    title = f"{name}: correlation {correlation:.2f}, rms error {error:.0f}°"
    return plot.framed(title, "input angle in degrees", "output angle in degrees", TICKS)
