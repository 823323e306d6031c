"""Any two folders of images: the recipe `best`, 32 px, 64 px on an accelerator.

    python -m experiments.folders --a=DIR_A --b=DIR_B

`discogan train --a=DIR_A --b=DIR_B` uses it as well. A new run on an accelerator has 64 px unless
`--config.data.image_size` is given, and says so. A run that is there goes on with its own settings,
whatever this file says now, and whatever machine it goes on with.
"""

from ml_collections import ConfigDict

from discogan_jax.configs import best


def get_config() -> ConfigDict:
    """Makes `best` for two folders, at a size that a CPU trains in reasonable time.

    A batch must not be larger than the training split of either domain.
    """
    config = best.get_config()
    config.domains = ("a", "b")  # `--a` and `--b` set the names of the folders
    config.data.source_a = "folder:a"
    config.data.source_b = "folder:b"
    config.data.image_size = 32
    # Of earlier checkpoints, the last ones are enough.
    config.train.keep_every = 0
    return config
