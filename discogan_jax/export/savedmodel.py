"""A TensorFlow SavedModel with one signature per direction, and `about.json` in its folder.

Inside is the program of `jax.export`, as one `XlaCallModule` operation per direction.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from jax.experimental import jax2tf

from discogan_jax import host, steps
from discogan_jax.export.format import (
    INPUT,
    METADATA_FILE,
    OUTPUT,
    PLATFORMS,
    Metadata,
    Opened,
    Program,
)
from discogan_jax.files import read_json, write_json
from discogan_jax.runs.run import Run

ENDING = "-savedmodel"
FLOAT32_ONLY = False
IS_FOLDER = True
READABLE = "by TensorFlow of the version that checked it and later ones"


def write(run: Run, metadata: Metadata, path: Path) -> None:
    """Writes the folder; see `format.Format`."""
    host.tensorflow()  # leaves accelerators to JAX
    module = tf.Module()
    signatures = {d: _function(run, d, metadata["batch_size"]) for d in run.directions}
    for direction, function in signatures.items():
        setattr(module, direction, function)
    tf.saved_model.save(module, str(path), signatures)
    write_json(path / METADATA_FILE, metadata)


def read(path: Path) -> Opened:
    """Opens the folder; see `format.Format`."""
    metadata = read_json(path / METADATA_FILE)
    if not (path / "saved_model.pb").is_file():
        raise ValueError("it has no saved_model.pb")

    def load() -> Mapping[str, Program]:
        host.tensorflow()
        model = tf.saved_model.load(str(path))

        def apply(direction: str, x: Any) -> Any:  # refers to the model, to keep it alive
            images = {INPUT: tf.constant(np.asarray(x))}
            return model.signatures[direction](**images)[OUTPUT].numpy()

        return {direction: partial(apply, direction) for direction in metadata["directions"]}

    return metadata, load


def _function(run: Run, direction: str, batch_size: int | None) -> Any:
    translate = jax2tf.convert(
        partial(steps.translate, run.gan, run.state, direction=direction),
        polymorphic_shapes=[None if batch_size else "batch, ..."],
        with_gradient=False,
        native_serialization_platforms=PLATFORMS,
    )
    shape = (batch_size, run.image_size, run.image_size, 3)
    return tf.function(
        lambda images: {OUTPUT: translate(images)},
        input_signature=[tf.TensorSpec(shape, tf.uint8, INPUT)],
        autograph=False,
    )
