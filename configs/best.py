"""bags ↔ shoes, the recipe that this library recommends: 64 px, batch 64, 30,000 cycles.

python -m experiments.bags_shoes --config=configs/best.py --config.data.archives=DIR

What differs from `configs/official.py` was chosen by short runs on photographs of 32 px, each
change by what it did to held-out images: docs/results.md has the numbers and what did not help.
"""

from ml_collections import ConfigDict

from configs import official


def get_config() -> ConfigDict:
    """The published networks, judged without batch norm, and no checkerboard."""
    config = official.get_config()
    config.data.batch_size = 64
    config.model.recipe = "best"
    config.loss.adversarial = 0.5
    config.loss.feature = 0.5
    config.loss.identity = 2.0
    config.loss.rate_start = 0.5
    config.loss.rate_updates = 0
    config.optim.learning_rate = 1e-3
    config.optim.ema_decay = 0.99
    return config
