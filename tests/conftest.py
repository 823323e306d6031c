"""What every test relies on: strict shapes, strict dtypes, one quiet CPU."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from jaxtyping import install_import_hook

# Shapes and types of arguments and results are checked in the rooms of arrays, all but `state`: JAX
# fills its classes with shapes, shardings and other stand-ins for arrays.
_ROOMS = [
    "layers",
    "models",
    "losses",
    "steps",
    "sharding",
    "interop",
    "images",
    "measures",
    "evaluation",
    "inception",
    "data",
]
_hook = install_import_hook([f"discogan_jax.{room}" for room in _ROOMS], "beartype.beartype")
