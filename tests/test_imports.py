"""The core modules import quickly, so that other JAX work can use them by themselves."""

import subprocess
import sys

LIGHT = [
    "models",
    "losses",
    "state",
    "steps",
    "sharding",
    "ops.layers",
    "interop",
    "data.feed",
    "data.order",
]
HEAVY = ["tensorflow", "tensorflow_datasets", "clu", "orbax", "PIL", "ml_collections"]


def test_light_rooms_load_nothing_heavy():
    code = "import sys, " + ", ".join(f"discogan_jax.{room}" for room in LIGHT)
    code += f"; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
