"""bags ↔ shoes, the book's recipe at full size: 64 px, batch 256, 100,000 steps.

    python -m experiments.bags_shoes --config=configs/default.py --config.data.archives=DIR

Meant for a GPU; not yet run at full length. At a size that is feasible on two CPU cores (32 px,
half the width, batch 16, 1,000 steps) it is clearly worse than `official` on bags ↔ footwear and on
edges ↔ photos, and collapses: docs/tables.md. It is the default because this library started from
the book; for good results use `configs/best.py` or `configs/official.py`.
"""

from ml_collections import ConfigDict

from discogan_jax.config import validate
from discogan_jax.config.schema import Settings


def get_config() -> ConfigDict:
    """Makes a config of all fields of `config/schema.py`; the other configs change some."""
    return validate.defaults(Settings)
