"""The interface of an export format, and the metadata that all formats have."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jax import export
from jaxtyping import Float

from discogan_jax.host import versions
from discogan_jax.runs.run import Run

METADATA_FILE = "about.json"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
# Names of the programs' argument and result, in formats that have names.
INPUT, OUTPUT = "images", "translated"

Metadata = Mapping[str, Any]
# Translates a batch of uint8 images.
Program = Callable[[Any], Float[Any, "N S S 3"]]
# The metadata of an export, and a function that loads its programs, by direction.
Opened = tuple[Metadata, Callable[[], Mapping[str, Program]]]


class Format(Protocol):
    """A kind of export: a module with these members, which imports the packages that it needs.

    Attributes:
      ENDING: end of the file's name, after the run's name and the step.
      IS_FOLDER: whether an export is a folder.
      FLOAT32_ONLY: whether runs of other precisions are exported, and checked, in float32.
      READABLE: description of who can read an export, and for how long.
    """

    ENDING: str
    IS_FOLDER: bool
    FLOAT32_ONLY: bool
    READABLE: str

    def write(self, run: Run, metadata: Metadata, path: Path) -> None:
        """Writes a new file or folder."""

    def read(self, path: Path) -> Opened:
        """Reads the metadata and checks the files, of which nothing is executed yet.

        Raises:
          OSError, ValueError, KeyError, TypeError: the file is damaged or no such export.
        """


def metadata(run: Run, kind: str, readable: str, batch_size: int | None) -> dict[str, Any]:
    """Collects what is needed to use the export without this library.

    Args:
      run: from `runs.open`.
      kind: name of the format.
      readable: description of who can read the export.
      batch_size: of the programs; None for any.
    """
    size = run.image_size
    output_range = "0 and above" if run.settings.model.literal else "in [0, 1]"
    return {
        "format": 1,
        "kind": kind,
        "domains": run.domains,
        "directions": run.directions,
        "image_size": size,
        "batch_size": batch_size,
        "input": f"uint8 [batch, {size}, {size}, 3], RGB, not scaled or centred further",
        "preprocessing": "largest centred square, Hamming filter when shrinking, bilinear when "
        "enlarging (discogan_jax.images.fit)",
        "output": f"float32, the same shape, {output_range}",
        "step": run.step,
        "parameters": "raw" if run.state.ema is None else "averaged",
        "precision": run.settings.train.precision,
        "readable": readable,
        "versions": versions(),
    }


def input_shape(run: Run, batch_size: int | None) -> jax.ShapeDtypeStruct:
    """Describes the programs' argument; its first dimension is symbolic for any batch size."""
    (batch,) = (batch_size,) if batch_size else export.symbolic_shape("batch")
    return jax.ShapeDtypeStruct((batch, run.image_size, run.image_size, 3), np.uint8)
