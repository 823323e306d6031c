"""Any two folders of images: 64 px, the published recipe, random mirroring, averaged weights.

    python -m experiments.folders --a=DIR_A --b=DIR_B

Based on `configs/official.py`, and like it without a curriculum: folders mostly hold two kinds of
photographs, as bags ↔ shoes do, and may be trained for less than a curriculum of 10,000 updates.
`discogan train --a=DIR_A --b=DIR_B` uses it as well.
"""

from ml_collections import ConfigDict

from discogan_jax.configs import official


def get_config() -> ConfigDict:
    """Makes a config for a few hundred images per domain or more.

    A batch must not be larger than the training split of either domain.
    """
    config = official.get_config()
    config.domains = ("a", "b")  # `--a` and `--b` set the names of the folders
    config.data.source_a = "folder:a"
    config.data.source_b = "folder:b"
    config.data.batch_size = 64
    config.data.flip = True
    config.optim.ema_decay = 0.999
    return config
