"""bags ↔ shoes on a GPU: the published recipe in bfloat16, batch 256, 100,000 cycles.

    python -m experiments.bags_shoes --config=configs/gpu.py --config.data.archives=DIR

Based on `configs/official.py`, and like it without a curriculum. Not yet run on a GPU. Layers
compute in bfloat16; parameters, batch statistics, losses and the optimizer remain float32.
docs/performance.md has the effect on losses and measures.
"""

from ml_collections import ConfigDict

from discogan_jax.configs import official


def get_config() -> ConfigDict:
    """Makes `official` in bfloat16, with a larger batch and more cycles."""
    config = official.get_config()
    config.data.batch_size = 256
    config.train.precision = "bfloat16"
    config.train.steps = 100_000
    return config
