"""Handbags ↔ shoes, the main experiment.

    python -m experiments.bags_shoes --config=configs/default.py --config.data.archives=DIR

`DIR` contains `edges2handbags.tar.gz` and `edges2shoes.tar.gz`; without it they are downloaded
(8 GB and 2 GB). The run directory is `runs/default`; its `samples/` shows held-out images and their
translations in both directions, from step 0 on. The same command resumes the run.
"""

import sys

try:
    from discogan_jax.commands import frame, train
except ModuleNotFoundError as error:
    sys.exit(f"{error}: start it with python -m experiments.bags_shoes")
except KeyboardInterrupt:  # the frame is not there yet to end without a traceback
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(frame.main(lambda: train.experiment(__doc__, "default")))
