"""Compares the files of every checkpoint of a run with what was written; changes nothing.

The run may still be training. The exit code is 1 if any checkpoint is not whole.
"""

import argparse
from pathlib import Path

from discogan_jax.commands import frame
from discogan_jax.errors import EXIT_DAMAGED, InputError


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("run", metavar="RUN", type=frame.path, help="run directory")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from discogan_jax.runs import layout, manifest

    folder = Path(arguments.run) / layout.CHECKPOINTS
    steps = manifest.steps(folder)
    if not steps:
        raise InputError(f"{arguments.run} has no checkpoints: {folder} is empty or not there")
    found = {step: manifest.verify(folder / str(step)) for step in steps}
    for step, complaints in found.items():
        frame.say(f"{step}: {'; '.join(complaints) or 'whole'}")
    return EXIT_DAMAGED if any(found.values()) else 0
