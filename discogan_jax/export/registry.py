"""The export formats by name: each is a module of this package with the members of `format.Format`.

A new format is such a module and its name here; one of single files has its suffix here, too.
"""

from importlib import import_module
from typing import Any

from discogan_jax.errors import InputError

# The first one is the default of `discogan export`, which lists them without importing JAX.
FORMATS = ("stablehlo", "onnx", "savedmodel", "web")

# The formats of single files by their suffix; zips and all other files are of the first format.
SUFFIXES = {".onnx": "onnx"}

# What to install for those that import more than this library does.
_ONNX = "'discogan_jax[onnx]'"
_PACKAGES = {"onnx": _ONNX, "savedmodel": "tensorflow", "web": _ONNX}


def load(kind: str) -> Any:
    """Imports the module of a format.

    Raises:
      InputError: packages that it needs are not installed.
    """
    try:
        return import_module(f"discogan_jax.export.{kind}")
    except ImportError as error:
        raise InputError(
            f"The format {kind} needs more packages ({error}): pip install {_PACKAGES.get(kind)}"
        ) from None
