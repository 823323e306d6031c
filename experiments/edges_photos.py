"""Edges ↔ photos of the same kind of thing, from one pix2pix archive, without using its pairs.

    python -m experiments.edges_photos --config.data.archives=DIR

The archive's images are pairs, an edge map beside its photo. To train without pairs, the edges come
from one half of the training files and the photos from the other: no photo's own edges are ever
seen. The held-out images keep their pairs, so that translations can be compared with the truth.
Another archive: `--config.data.source_a=archive:edges2shoes/edges/first
--config.data.source_b=archive:edges2shoes/photo/second`.
"""

from discogan_jax.train import launch

if __name__ == "__main__":
    launch.run("edges_photos.py")
