"""Any two folders of images: 64 px, the published recipe, mirrored at random, averaged weights.

python -m experiments.folders --a=DIR_A --b=DIR_B
"""

from ml_collections import ConfigDict

from discogan_jax.configs import official


def get_config() -> ConfigDict:
    """Sized for a few hundred images a domain and up: a batch must not be larger than a domain."""
    config = official.get_config()
    config.domains = ("a", "b")  # `experiments.folders` puts the folders' names
    config.data.source_a = "folder:a"
    config.data.source_b = "folder:b"
    config.data.batch_size = 64
    config.data.flip = True
    config.optim.ema_decay = 0.999
    return config
