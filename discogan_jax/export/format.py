"""The interface of an export format, and the metadata that all formats have."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
from jaxtyping import Float

from discogan_jax.config import build
from discogan_jax.files import check_seal, shapes
from discogan_jax.host import versions
from discogan_jax.runs.run import Run
from discogan_jax.runs.translating import describe

METADATA_FILE = "about.json"
VERSION = 2
"""Of the metadata; those of 1 have no digests."""
# Names of the programs' argument and result, in formats that have names.
INPUT, OUTPUT = "images", "translated"

Metadata = Mapping[str, Any]
_SHAPE = {
    "domains": [str],
    "directions": [str],
    "image_size": (int, str, [int]),
    "batch_size": (int, type(None)),
    "format?": int,
    "preparation?": (dict, type(None)),
    "readable?": str,
}
# Functions that translate a batch of uint8 images, by direction.
Programs = Mapping[str, Callable[[Any], Float[Any, "N H W C"]]]
# The metadata of an export, and a function that loads its programs.
Opened = tuple[Metadata, Callable[[], Programs]]


class Format(Protocol):
    """A kind of export: a module with these members, which imports the packages that it needs.

    Attributes:
      ENDING: end of the file's name, after the run's name and the step.
      IS_FOLDER: whether an export is a folder.
      FLOAT32_ONLY: whether runs of other precisions are exported, and checked, in float32.
      HALF_WEIGHTS: whether weights are rounded to float16, and the check allows for it.
      READABLE: description of who can read an export, and for how long.
    """

    ENDING: str
    IS_FOLDER: bool
    FLOAT32_ONLY: bool
    HALF_WEIGHTS: bool
    READABLE: str

    def write(
        self, programs: Programs, images: jax.ShapeDtypeStruct, metadata: Metadata, path: Path
    ) -> None:
        """Writes a new file with the metadata in it, or a folder, which gets `about.json` later.

        The metadata are sealed with the digests of the programs, see `files.sealed`.

        Args:
          programs: functions that JAX can trace.
          images: shape of their argument; the first dimension is symbolic if any number will do.
          metadata: content of `about.json`.
          path: the file or folder.
        """

    def read(self, path: Path) -> Opened:
        """Reads the metadata and checks the files, of which nothing is executed yet.

        Raises:
          Exception: the file is damaged or no such export.
        """


def check_shape(metadata: Any) -> None:
    """Checks that metadata are such, before they are used.

    Raises:
      ValueError: they are not; the message says what is wrong.
    """
    shapes.check(metadata, _SHAPE)


def check_digests(metadata: Metadata, digest_of: Callable[[str], str]) -> None:
    """Checks the digests in metadata, see `files.check_seal`; earlier versions wrote none."""
    if has_digests(metadata):
        check_seal(metadata, digest_of)


def has_digests(metadata: Metadata) -> bool:
    """Whether an export can be checked for damage: those of earlier versions cannot."""
    return metadata.get("format") != 1 or "sha256" in metadata


def metadata(run: Run, kind: str, readable: str, batch_size: int | None) -> dict[str, Any]:
    """Collects what is needed to use the export without this library.

    Args:
      run: from `runs.open`.
      kind: name of the format.
      readable: description of who can read the export.
      batch_size: of the programs; None for any.
    """
    shape = ", ".join(map(str, build.image_shape(run.settings)))
    colours = {1: "grey", 3: "RGB"}.get(run.settings.data.channels, "as trained")
    output_range = "0 and above" if run.settings.model.literal else "in [0, 1]"
    return {
        "format": VERSION,
        "kind": kind,
        "domains": run.domains,
        "directions": run.directions,
        "image_size": run.image_size.plain,
        "batch_size": batch_size,
        "input": f"uint8 [batch, {shape}], {colours}; the program itself scales 0..255 to [0, 1]",
        "preparation": {d: x.to_json() for d, x in run.preparations.items()},
        # The same in words: what is left to whoever runs the program.
        "steps": {d[0]: run.preparations[d[0]].steps() for d in run.directions},
        "preprocessing": describe(run),
        "output": f"float32, the same shape, {output_range}",
        "step": run.step,
        "parameters": "raw" if run.state.ema is None else "averaged",
        "precision": run.settings.train.precision,
        "readable": readable,
        "versions": versions(),
    }
