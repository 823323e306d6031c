"""bags ↔ shoes, the recipe that this library recommends.

python -m experiments.bags_shoes --config=configs/best.py --config.data.archives=DIR
"""

from ml_collections import ConfigDict

from configs import official


def get_config() -> ConfigDict:
    """The published networks with what docs/results.md found to help."""
    config = official.get_config()
    config.data.batch_size = 16
    config.model.width = 32
    config.loss.adversarial = 0.5
    config.loss.feature = 0.5
    config.loss.identity = 0.5
    config.loss.rate_start = 0.5
    config.loss.rate_updates = 0
    config.optim.learning_rate = 1e-3
    config.optim.ema_decay = 0.99
    return config
