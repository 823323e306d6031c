"""TensorFlow for decoding, feeding and writing events, kept off the accelerators."""

import contextlib
from typing import Any


def tensorflow() -> Any:
    """Imports TensorFlow so that it never takes an accelerator's memory from JAX.

    Returns:
      The module.
    """
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # in use already: whatever it took is taken
        tf.config.set_visible_devices([], "GPU")
    return tf
