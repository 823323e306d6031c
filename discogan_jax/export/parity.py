"""Whether an exported run translates as the run does."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from discogan_jax import build
from discogan_jax.errors import InputError
from discogan_jax.export.exported import Exported
from discogan_jax.runs import Run

CHECKED = 8
"""So many held-out pictures are translated by both and compared."""

TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}
"""Largest difference allowed between the two, of images in [0, 1], by the run's precision."""


def check(run: Run, exported: Exported, place: Path) -> str:
    """Compares what both make of held-out pictures.

    Args:
      run: the run.
      exported: from it, loaded into its own runtime.
      place: where it is to be written, for the message.

    Returns:
      What was found.

    Raises:
      InputError: they differ.
    """
    pictures, what = _pictures(run)
    differences = []
    for direction in exported.directions:
        x = pictures[direction[0]]
        expected = run.apply(x, direction)
        scale = np.maximum(1.0, expected.max())  # the book's literal images have no upper end
        differences.append(np.abs(exported.apply(x, direction) - expected).max() / scale)
    worst = float(np.max(differences))  # NaN if any is, which Python's `max` would pass over
    allowed = TOLERANCE[run.settings.train.precision]
    if not worst <= allowed:
        raise InputError(
            f"{place} is not written: it translates otherwise than the run, by up to "
            f"{worst:.2g} where {allowed:.2g} is allowed. Please report this, with the versions."
        )
    return f"largest difference to the run on {what}: {worst:.1e}"


def _pictures(run: Run) -> tuple[dict[str, UInt8[np.ndarray, "N S S 3"]], str]:
    try:
        loaded = build.images(run.settings)
        return {d: np.asarray(x.val[:CHECKED]) for d, x in loaded.items()}, "held-out pictures"
    except InputError:  # the run was made elsewhere
        rng = np.random.default_rng(0)
        shape = (CHECKED, run.image_size, run.image_size, 3)
        noise = {d: rng.integers(256, size=shape, dtype=np.uint8) for d in "ab"}
        return noise, "pictures of noise, since the run's images are not here"
