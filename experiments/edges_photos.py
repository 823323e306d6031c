"""Edges ↔ photos of the same kind of object, from one pix2pix archive, without using its pairs.

    python -m experiments.edges_photos --config.data.archives=DIR

The images of the archive are pairs, an edge map and its photo side by side. To train without pairs,
the edges come from one half of the training files and the photos from the other: training never
sees the edges of a photo that it uses. Held-out images remain pairs, so that translations can be
compared with the true ones. For another archive add
`--config.data.source_a=archive:edges2shoes/edges/first
--config.data.source_b=archive:edges2shoes/photo/second`.
"""

import sys

try:
    from discogan_jax.commands import frame, train
except ModuleNotFoundError as error:
    sys.exit(f"{error}: start it with python -m experiments.edges_photos")
except KeyboardInterrupt:  # the frame is not there yet to end without a traceback
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(frame.main(lambda: train.experiment(__doc__, "edges_photos")))
