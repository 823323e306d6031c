"""Opens whatever translates: a run, one of its checkpoints, or what was exported from it."""

from pathlib import Path

from discogan_jax import export, runs
from discogan_jax.errors import InputError
from discogan_jax.runs import Translator


def open(path: str | Path, step: int | None = None) -> Translator:
    """Opens a run directory, one of its checkpoints, or what was exported from it.

    Args:
      path: to it.
      step: of the checkpoint; the last whole one if None. An export has no others.

    Raises:
      InputError: nothing that translates is there, or no such checkpoint, or it is damaged.
    """
    if not export.is_exported(path):
        return runs.open(path, step)
    if step is not None:
        raise InputError(f"{path} is an export and has no checkpoints: leave out the step")
    return export.Exported.open(path)
