"""Measures a run on its held-out images, prints a table, and writes evaluation.json into the run.

The run may still be training. Where its folder cannot be written, the table is printed all the
same, and the exit code is 2.
"""

import argparse

from discogan_jax.commands import frame
from discogan_jax.errors import InputError


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_run()
    parser.add_argument(
        "--raw", action="store_true", help="measure the parameters themselves, not their averages"
    )
    parser.add_argument(
        "--inception",
        type=frame.path,
        metavar="FILE",
        help="add FID and KID, in features of this file "
        "(discogan_jax/evaluation/metrics/inception.py says which); needs the extra 'fid'",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from discogan_jax import runs
    from discogan_jax.evaluation import evaluate
    from discogan_jax.evaluation.metrics import inception
    from discogan_jax.evaluation.table import as_text

    opened = runs.open(arguments.run, arguments.step)
    opened = opened.raw if arguments.raw else opened
    extractor = inception.load(arguments.inception) if arguments.inception else None
    references = evaluate.references_of(opened)
    rows = evaluate.measure(opened, references, extractor=extractor)
    frame.say("\n".join([as_text(rows), *evaluate.remarks(rows, references)]))
    try:
        path = evaluate.write(opened, rows, references)
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be written ({error.strerror}), so the table is kept nowhere: "
            "to keep it, evaluate a copy of the run in a folder that can be written"
        ) from error
    frame.say(f"step {opened.step}; written to {path}")
    return 0
