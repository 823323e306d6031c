"""`discogan card`: a run as a folder to hand on, with a model card."""

import argparse
from pathlib import Path
from typing import Any

from discogan_jax.cli.quiet import be_quiet


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "card",
        help="write a folder to hand on: model card and checkpoint",
        description="Writes a folder with a model card (README.md, with the head that a model hub "
        "reads), config, versions, evaluation and one checkpoint. It is a run directory itself: "
        "'discogan translate FOLDER' works wherever it is copied. The card says what was measured "
        "('discogan evaluate RUN' first) and nothing else. Paths of this machine stay out of it.",
    )
    command.add_argument("run", metavar="RUN", help="run directory, or one of its checkpoints")
    command.add_argument(
        "--out", type=Path, metavar="FOLDER", help="RUN/NAME-STEP-card if not given"
    )
    command.add_argument(
        "--samples",
        action="store_true",
        help="add the sample grid: only if you may publish its pictures (drawn ones always are)",
    )
    command.add_argument("--step", type=int, help="checkpoint to use; the last one if not given")
    command.set_defaults(function=_run)


def _run(arguments: argparse.Namespace) -> int:
    be_quiet()
    from discogan_jax import runs
    from discogan_jax.commands import card

    run = runs.open(arguments.run, arguments.step)
    print(card.write(run, arguments.out, samples=arguments.samples))
    return 0
