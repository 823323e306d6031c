"""The paper's rotation study (section 4.2): do translations keep the angle of their inputs?

    python -m experiments.rotation

Bags and shoes are drawn at angles of -75 to 75 degrees, into `data/rotation`, and three objectives
learn to translate bags to shoes, with the loss of the published rotation tasks
(`configs/rotation.py`, which has the expected result). A probe that was trained on drawn shoes
predicts the angles of translated ones; the table has their correlation with the bags' angles, and
the rms difference in degrees, mirrored or not and without a constant offset, beside the values of
random pairs.

The runs are in `runs/rotation`, with `rotation.png` (output against input angles, one panel per
objective, first seed), `sweep.md` and `sweep.json` (all measures). The same command skips finished
runs and resumes the others.
"""

import argparse
import sys
from pathlib import Path

from discogan_jax import host
from discogan_jax.commands import frame


def run(arguments: argparse.Namespace) -> int:
    """Does the work of the command."""
    host.use_compile_cache()
    from discogan_jax.configs import rotation
    from experiments.rotation import study

    steps = rotation.get_config().train.steps if arguments.steps is None else arguments.steps
    study.compare(arguments.workdir, arguments.data_dir, arguments.seeds, steps, say=frame.say)
    return 0


def parser() -> frame.Parser:
    """Makes the parser of the command."""
    made = frame.Parser(description=__doc__, epilog=frame.EXIT_CODES)
    made.add_argument(
        "--workdir", type=Path, default="runs/rotation", help="folder for runs, table and figure"
    )
    made.add_argument(
        "--data_dir", type=Path, default="data", help="the drawings go into rotation/ there"
    )
    made.add_argument(
        "--seeds", type=int, default=3, help="runs of each objective, with seeds 0, 1, ..."
    )
    made.add_argument("--steps", type=int, help="length of a run; that of configs/rotation.py")
    made.add_work(run)
    return made


if __name__ == "__main__":
    sys.exit(frame.main(parser()))
