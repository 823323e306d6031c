"""Edges ↔ photos of one archive, unpaired by construction: 64 px, the published recipe.

    python -m experiments.edges_photos --config.data.archives=DIR

Based on `configs/official.py`.
"""

from ml_collections import ConfigDict

from discogan_jax.configs import official


def get_config() -> ConfigDict:
    """Takes the edges from one half of the training files and the photos from the other half."""
    config = official.get_config()
    config.domains = ("edges", "photos")
    config.data.source_a = "archive:edges2handbags/edges/first"
    config.data.source_b = "archive:edges2handbags/photo/second"
    return config
