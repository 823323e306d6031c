"""The paper's rotation study (section 4.2): whether translations keep the angle of inputs.

    python -m experiments.rotation

Bags and shoes are drawn at angles of -75 to 75 degrees and saved in `data/rotation`. Networks are
trained to translate bags to shoes with each of the three objectives and the losses of the authors'
rotation tasks (`configs/rotation.py`, which has earlier results); the plain GAN has the adversarial
term alone. A probe that is trained on drawn shoes predicts the angles of translated ones. The table
has their correlation with the angles of the bags and the rms difference in degrees, for the better
of the two signs (preserved or mirrored) and without a constant offset, and both values for random
pairs as a reference.

The runs are in `runs/rotation`, with `rotation.png` (output against input angles, one panel per
objective, first seed), `sweep.md` and `sweep.json` (all measures). The same command skips finished
runs and resumes the others.
"""

import argparse
import sys

try:
    from discogan_jax import host
    from discogan_jax.commands import frame
except ModuleNotFoundError as error:
    sys.exit(f"{error}: start it with python -m experiments.rotation")
except KeyboardInterrupt:  # the frame is not there yet to end without a traceback
    sys.exit(130)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
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
        "--workdir",
        type=frame.path,
        default="runs/rotation",
        help="folder for runs, table and figure",
    )
    made.add_argument(
        "--data_dir",
        type=frame.path,
        default="data",
        help="data folder; the drawings are in its rotation/",
    )
    made.add_argument(
        "--seeds", type=int, default=3, help="number of runs per objective, with seeds 0, 1, ..."
    )
    made.add_argument(
        "--steps", type=int, help="steps per run; those of configs/rotation.py if not given"
    )
    made.add_work(run, verbose=True)
    return made


if __name__ == "__main__":
    sys.exit(frame.main(parser))
