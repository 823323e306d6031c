"""Edges ↔ photos of the same kind of thing, from one pix2pix archive, without using its pairs.

    python -m experiments.edges_photos --config.data.archives=DIR

The archive's images are pairs, an edge map beside its photo. To train without pairs, the edges come
from one half of the training files and the photos from the other: no photo's own edges are ever
seen. The held-out images keep their pairs, so that translations can be compared with the truth.
Another archive: `--config.data.source_a=archive:edges2shoes/edges/first
--config.data.source_b=archive:edges2shoes/photo/second`.
"""

import sys

from discogan_jax.commands import frame, train

if __name__ == "__main__":
    sys.exit(frame.main(train.experiment(__doc__, "edges_photos")))
