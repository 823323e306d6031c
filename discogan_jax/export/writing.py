"""Writes a run in one of the formats, once its own runtime has translated as the run does."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
from flax import linen as nn

from discogan_jax.errors import InputError
from discogan_jax.export import parity
from discogan_jax.export.exported import FORMATS, Exported, is_exported
from discogan_jax.export.facts import about
from discogan_jax.runs import Run
from discogan_jax.whole_file import replacing, replacing_folder


def write(
    run: Run, path: Path | None = None, *, kind: str = "stablehlo", batch_size: int | None = None
) -> tuple[Path, str]:
    """Exports a run and checks that the result translates as the run does.

    Args:
      run: from `runs.open`.
      path: the file or folder; `NAME-STEP` with the format's ending in the run directory if None.
        An export that is there is replaced.
      kind: one of `FORMATS`.
      batch_size: of the programs; None leaves it open.

    Returns:
      The file or folder, and what the check found.

    Raises:
      InputError: it does not translate as the run does, the format's packages are missing, or it
        cannot be written.
    """
    form = FORMATS[kind]
    if form.FLOAT32_ONLY:
        run = _in_float32(run)
    path = path or run.path / f"{run.path.name}-{run.step}{form.ENDING}"
    if form.IS_FOLDER and path.exists() and not (path.is_dir() and is_exported(path)):
        raise InputError(f"{path} is there and is no exported folder: name another --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (replacing_folder if form.IS_FOLDER else replacing)(path) as temporary:
            form.write(run, about(run, form, batch_size), temporary)
            return path, parity.check(run, Exported(path, *form.read(temporary)), path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def _in_float32(run: Run) -> Run:
    """The run with the same parameters, computing in float32."""
    generator: nn.Module = run.gan.generator.clone(dtype=jnp.float32)
    train = replace(run.settings.train, precision="float32")
    settings = replace(run.settings, train=train)
    return replace(run, gan=replace(run.gan, generator=generator), settings=settings)
