"""A TensorFlow SavedModel with one signature per direction, and `about.json` in its folder.

Inside is the program of `jax.export`, as one `XlaCallModule` operation per direction.
"""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tensorflow as tf
from jax.experimental import jax2tf

from discogan_jax import host
from discogan_jax.export import format as formats
from discogan_jax.export.format import INPUT, METADATA_FILE, OUTPUT, Metadata, Opened, Programs
from discogan_jax.export.stablehlo import PLATFORMS
from discogan_jax.files import read_json, sha256

ENDING = "-savedmodel"
FLOAT32_ONLY = False
HALF_WEIGHTS = False
IS_FOLDER = True
READABLE = "by TensorFlow of the version that checked it and later ones"


def write(programs: Programs, images: jax.ShapeDtypeStruct, metadata: Metadata, path: Path) -> None:
    """Writes the folder; see `format.Format`."""
    host.tensorflow()  # leaves accelerators to JAX
    module = tf.Module()
    signatures = {direction: _function(f, images.shape) for direction, f in programs.items()}
    for direction, function in signatures.items():
        setattr(module, direction, function)
    tf.saved_model.save(module, str(path), signatures)


def read(path: Path) -> Opened:
    """Opens the folder; see `format.Format`."""
    metadata = read_json(path / METADATA_FILE)
    formats.check_shape(metadata)
    if not (path / "saved_model.pb").is_file():
        raise ValueError("it has no saved_model.pb")
    formats.check_digests(metadata, lambda name: sha256(path / name))

    def load() -> Programs:
        host.tensorflow()
        model = tf.saved_model.load(str(path))

        def apply(direction: str, x: Any) -> Any:  # refers to the model, to keep it alive
            images = {INPUT: tf.constant(np.asarray(x))}
            return model.signatures[direction](**images)[OUTPUT].numpy()

        return {direction: partial(apply, direction) for direction in metadata["directions"]}

    return metadata, load


def _function(program: Any, shape: tuple[Any, ...]) -> Any:
    translate = jax2tf.convert(
        program,
        polymorphic_shapes=[str(shape)],
        with_gradient=False,
        native_serialization_platforms=PLATFORMS,
    )
    sizes = [size if isinstance(size, int) else None for size in shape]
    return tf.function(
        lambda images: {OUTPUT: translate(images)},
        input_signature=[tf.TensorSpec(sizes, tf.uint8, INPUT)],
        autograph=False,
    )
