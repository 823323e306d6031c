"""`discogan verify`: are the checkpoints whole?"""

import argparse
from pathlib import Path
from typing import Any

from discogan_jax.errors import EXIT_DAMAGED, InputError


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "verify",
        help="check the checkpoints of a run for damage",
        description="Compares the files of every checkpoint of a run with what was written; "
        "changes nothing. The run may still be training. Exit code 1 if any is not whole.",
    )
    command.add_argument("run", metavar="RUN", help="run directory")
    command.set_defaults(function=_run)


def _run(arguments: argparse.Namespace) -> int:
    from discogan_jax.runs import layout, manifest

    run = Path(arguments.run)
    folder = run / layout.CHECKPOINTS
    steps = manifest.steps(folder)
    if not steps:
        raise InputError(f"{run} has no checkpoints: {folder} is empty or not there")
    found = {step: manifest.verify(folder / str(step)) for step in steps}
    for step, complaints in found.items():
        print(f"{step}: {'; '.join(complaints) or 'whole'}")
    return EXIT_DAMAGED if any(found.values()) else 0
