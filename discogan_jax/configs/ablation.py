"""Drawn bags ↔ drawn shoes, 32 px, the published networks, 300 steps.

    python -m experiments.ablation

trains the variants of it that the experiment's docstring describes.
"""

from ml_collections import ConfigDict

from discogan_jax.configs import official


def get_config() -> ConfigDict:
    """Makes a config with the published networks at half the width, and an identity term.

    The hues of the drawings are uniformly distributed, so any consistent recolouring is as good a
    bijection as keeping the colour; the identity term selects the latter. Runs are short, without
    samples, and have one checkpoint, at the end.
    """
    config = official.get_config()
    # Drawn images, and networks to match.
    config.data.source_a = "catalogue:bags"
    config.data.source_b = "catalogue:shoes"
    config.data.image_size = 32
    config.data.batch_size = 16
    config.model.width = 32
    # Equal weights of the terms that a discriminator judges; colours are kept.
    config.loss.adversarial = 0.5
    config.loss.feature = 0.5
    config.loss.identity = 0.5
    config.optim.learning_rate = 1e-3
    config.optim.ema_decay = 0.99
    config.train.steps = 300
    config.train.sample_every = 0
    config.train.evaluate_every = 0
    config.train.checkpoint_every = 300
    config.train.keep_every = 0
    return config
