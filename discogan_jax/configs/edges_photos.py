"""Edges ↔ photos of one archive, unpaired by construction: 64 px, the published recipe.

    python -m experiments.edges_photos --config.data.archives=DIR

Based on `configs/official.py`, with the curriculum that the authors' code has for this task:
reconstruction at a rate of 0.01 for the first 10,000 updates of either player, 3,334 cycles. A run
that is not much longer needs a smaller `--config.loss.rate_updates`. On small sets of the same
sources `configs/best.py` is ahead of it: docs/results.md.
"""

from ml_collections import ConfigDict

from discogan_jax.configs import official


def get_config() -> ConfigDict:
    """Takes the edges from one half of the training files and the photos from the other half."""
    config = official.get_config()
    config.domains = ("edges", "photos")
    config.data.source_a = "archive:edges2handbags/edges/first"
    config.data.source_b = "archive:edges2handbags/photo/second"
    # The images come first, then the correspondence.
    config.loss.rate_start = 0.01
    config.loss.rate_updates = 10_000
    return config
