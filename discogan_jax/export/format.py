"""What an exported run says of itself."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jax import export
from jaxtyping import Float

from discogan_jax.host import versions
from discogan_jax.runs import Run

ABOUT_FILE = "about.json"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
INPUT, OUTPUT = "images", "translated"
"""Names of what goes in and comes out, where a format has names."""

About = Mapping[str, Any]
Program = Callable[[Any], Float[Any, "N S S 3"]]
"""Translates a batch of uint8 images."""


class Format(Protocol):
    """A kind of export: a module with these."""

    NAME: str
    ENDING: str
    """After the run's name and the step."""
    IS_FOLDER: bool
    FLOAT32_ONLY: bool
    """Runs of other precisions are exported, and checked, as they compute in float32."""
    READABLE: str
    """By whom, and for how long."""

    def write(self, run: Run, about: About, path: Path) -> None:
        """Writes a new file or folder."""

    def read(self, path: Path) -> tuple[About, Callable[[], Mapping[str, Program]]]:
        """Returns what it says of itself, and what loads its programs, by direction.

        Raises:
          OSError, ValueError, KeyError, TypeError: it is none, or damaged.
        """


def about(run: Run, form: Format, batch_size: int | None) -> dict[str, Any]:
    """All that someone has to know who has nothing else.

    Args:
      run: from `runs.open`.
      form: the format.
      batch_size: of the programs; None for any.
    """
    size = run.image_size
    return {
        "format": 1,
        "kind": form.NAME,
        "domains": run.domains,
        "directions": run.directions,
        "image_size": size,
        "batch_size": batch_size,
        "input": f"uint8 [batch, {size}, {size}, 3], RGB, not scaled or centred further",
        "preprocessing": "largest centred square, Hamming filter when shrinking, bilinear when "
        "enlarging (discogan_jax.images.fit)",
        "output": "float32, the same shape, "
        + ("0 and above" if run.settings.model.literal else "in [0, 1]"),
        "step": run.step,
        "parameters": "raw" if run.state.ema is None else "averaged",
        "precision": run.settings.train.precision,
        "readable": form.READABLE,
        "versions": versions(),
    }


def shape(run: Run, batch_size: int | None) -> jax.ShapeDtypeStruct:
    """Of the programs' input."""
    (batch,) = (batch_size,) if batch_size else export.symbolic_shape("batch")
    return jax.ShapeDtypeStruct((batch, run.image_size, run.image_size, 3), np.uint8)
