"""bags ↔ shoes, the published recipe (Kim et al. 2017): 64 px, batch 200.

    python -m experiments.bags_shoes --config=configs/official.py --config.data.archives=DIR

The loss is that of the authors' README for this task, with a starting rate of 0.5: reconstruction
has its weight from the first update on (`configs/edges_photos.py` has the curriculum). The batch is
the paper's, the L2 penalty that of the authors' code, the 30,000 cycles are ours: docs/recipes.md.
A run begun when this config had the curriculum resumes with `--config.loss.rate_start=0.01
--config.loss.rate_updates=10000`.

Meant for a GPU, and not yet run at full length. After 1,000 steps at 32 px, batch 16 and half the
width on 1,000 bags and shoes, which a CPU can do, it reconstructs held-out photographs at 15.5 dB,
with hue errors of 46° and a coverage of 0.19: docs/results.md has the command and further results.
`--config.loss.identity=0.5`, which the paper does not have, makes the colours match.
"""

from ml_collections import ConfigDict

from discogan_jax.configs import default


def get_config() -> ConfigDict:
    """Makes a config with the published networks, losses and optimizer."""
    config = default.get_config()
    config.data.batch_size = 200
    config.model.recipe = "official"
    config.model.width = 64
    # Feature matching outweighs the adversarial term; reconstruction has its weight throughout.
    config.loss.adversarial = 0.1
    config.loss.feature = 0.9
    config.loss.discriminator = 0.5
    config.loss.rate_start = 0.5
    config.loss.rate = 0.5
    config.loss.rate_updates = 0
    config.optim.b1 = 0.5
    config.optim.l2 = 1e-5
    config.train.steps = 30_000
    return config
