"""`discogan doctor`: what there is to train with."""

import argparse
from pathlib import Path
from typing import Any

from discogan_jax.cli.quiet import be_quiet


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "doctor",
        help="say what there is to train with, and what is missing",
        description="Looks at packages, devices, data and disk, and says how to mend what is "
        "missing. Exit code 1 if training cannot work.",
    )
    command.add_argument(
        "--data_dir", type=Path, default="data", help="config.data.data_dir; data if not given"
    )
    command.set_defaults(function=_run)


def _run(arguments: argparse.Namespace) -> int:
    be_quiet()
    from discogan_jax.commands import doctor

    code = 0
    for finding in doctor.examine(arguments.data_dir):
        print(finding, flush=True)
        code = max(code, int(finding.verdict == "problem"))
    return code
