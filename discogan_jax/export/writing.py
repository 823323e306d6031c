"""Writes a run in one of the formats, and checks that the result translates as the run does."""

import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.export import symbolic_shape
from jaxtyping import UInt8

from discogan_jax import steps
from discogan_jax.config import build
from discogan_jax.errors import InputError
from discogan_jax.export import registry
from discogan_jax.export.exported import Exported
from discogan_jax.export.format import METADATA_FILE, has_digests, metadata
from discogan_jax.files import (
    check_folder,
    digests,
    read_json,
    replacing,
    replacing_folder,
    require_our_folder,
    require_ours,
    sealed,
    write_json,
)
from discogan_jax.runs import demo
from discogan_jax.runs.run import Run

# Number of held-out images that are translated by both and compared.
CHECKED = 8

# Largest difference allowed between the two, of images in [0, 1], by the run's precision,
# or that of weights that a format rounds.
TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 3e-2}


# Of the files of folders that are exports.
_PARTS = (
    *(METADATA_FILE, "ab.onnx", "ba.onnx", "saved_model.pb", "fingerprint.pb"),
    *("index.html", "ort.wasm.bundle.min.js", "ort-wasm-simd-threaded.wasm"),
    *("variables/*", "assets/*"),
)


def write(
    run: Run,
    path: Path | None = None,
    *,
    kind: str = "stablehlo",
    batch_size: int | None = None,
    overwrite: bool = False,
    **options: Any,
) -> tuple[Path, str]:
    """Exports a run and checks that the result translates as the run does.

    Args:
      run: from `runs.open`.
      path: the file or folder; `NAME-STEP` with the format's ending in the run directory if None.
        An existing export is replaced, unless it was changed.
      kind: one of `registry.FORMATS`.
      batch_size: of the programs; None for any.
      overwrite: replace a file whatever it is, or an export that was changed.
      **options: further arguments of the format's `write`.

    Returns:
      The file or folder, and the result of the check.

    Raises:
      InputError: it does not translate as the run does, the format's packages are missing, or it
        cannot be written; or something else is there.
    """
    form = registry.load(kind)
    if form.FLOAT32_ONLY and run.settings.train.precision != "float32":
        # The same parameters, in networks that compute in float32.
        gan = replace(run.gan, generator=run.gan.generator.clone(dtype=jnp.float32))  # type: ignore[call-arg]
        train = replace(run.settings.train, precision="float32")
        run = replace(run, gan=gan, settings=replace(run.settings, train=train))
    path = path or demo.results(run.path) / f"{run.path.name}-{run.step}{form.ENDING}"
    if form.IS_FOLDER:
        require_our_folder(path, METADATA_FILE, _PARTS, _check_folder, overwrite=overwrite)
    else:
        require_ours(path, _is_our_file, overwrite=overwrite)
    # Where any batch size will do, the first dimension of the images is symbolic.
    (count,) = (batch_size,) if batch_size else symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((count, *build.image_shape(run.settings)), np.uint8)
    translate = partial(steps.translate, run.gan, run.state)
    programs = {d: partial(translate, direction=d) for d in run.directions}
    about = metadata(run, kind, form.READABLE, batch_size)
    # The export replaces an earlier one only if it passes the check.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (replacing_folder if form.IS_FOLDER else replacing)(path) as temporary:
            form.write(programs, images, about, temporary, **options)
            if form.IS_FOLDER:
                write_json(temporary / METADATA_FILE, sealed(about, digests(temporary)))
            return path, _check(run, Exported(path, *form.read(temporary)), half=form.HALF_WEIGHTS)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def _is_our_file(path: Path) -> bool:
    return zipfile.is_zipfile(path) and Exported.open(path).metadata["kind"] == "stablehlo"


def _check_folder(path: Path) -> None:
    # Those of earlier versions have the names alone.
    about = read_json(path / METADATA_FILE)
    if has_digests(about):
        check_folder(path, METADATA_FILE)
    elif "directions" not in about:
        raise ValueError(f"{METADATA_FILE} is not that of an export")


def _check(run: Run, exported: Exported, *, half: bool) -> str:
    """Compares the translations of both, and describes the largest difference.

    Raises:
      InputError: they differ.
    """
    # Differences are relative to the range of the images, which is 1 but for literal networks.
    images, what = _images(run)
    differences = []
    for direction in exported.directions:
        x = images[direction[0]]
        expected = run.apply(x, direction)
        scale = np.maximum(1.0, expected.max())
        differences.append(np.abs(exported.apply(x, direction) - expected).max() / scale)
    worst = float(np.max(differences))  # NaN if any is, which Python's `max` would ignore
    allowed = TOLERANCE["float16" if half else run.settings.train.precision]
    if not worst <= allowed:
        raise InputError(
            f"{exported.path} is not written: its translations differ from the run's by up to "
            f"{worst:.2g}, where {allowed:.2g} is allowed. Please report this, with the versions."
        )
    return f"largest difference to the run on {what}: {worst:.1e}"


def _images(run: Run) -> tuple[dict[str, UInt8[np.ndarray, "N H W C"]], str]:
    try:
        loaded = run.images()
        return {d: np.asarray(x.val[:CHECKED]) for d, x in loaded.items()}, "held-out pictures"
    except InputError:  # the run was made elsewhere
        rng = np.random.default_rng(0)
        shape = (CHECKED, *build.image_shape(run.settings))
        noise = {d: rng.integers(256, size=shape, dtype=np.uint8) for d in "ab"}
        return noise, "pictures of noise, since the run's images are not here"
