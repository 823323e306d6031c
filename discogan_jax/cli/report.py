"""`discogan report`: a page about runs."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "report",
        help="write a page about a run, or several side by side",
        description="Writes report.html into the first run: settings, curves, samples, evaluation. "
        "One file that loads nothing from anywhere. The runs may still be training.",
    )
    command.add_argument("runs", metavar="RUN", nargs="+", help="run directories")
    command.add_argument("--out", type=Path, metavar="FILE", help="the page, if not report.html")
    command.set_defaults(function=_run)


def _run(arguments: argparse.Namespace) -> int:
    from discogan_jax.runs import report

    print(report.write(arguments.runs, arguments.out))
    return 0
