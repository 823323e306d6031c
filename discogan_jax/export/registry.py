"""The export formats by name: each is a module of this package with the members of `format.Format`.

A new format is such a module and its name here.
"""

from importlib import import_module
from typing import Any

# The first one is the default of `discogan export`, which lists them without importing JAX.
FORMATS = ("stablehlo", "onnx", "savedmodel")


def load(kind: str) -> Any:
    """Imports the module of a format."""
    return import_module(f"discogan_jax.export.{kind}")
