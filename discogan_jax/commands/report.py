"""Writes report.html into the first run: settings, curves, samples, evaluation of all runs given.

The page is one file that loads nothing from anywhere. The runs may still be training.
"""

import argparse

from discogan_jax.commands import frame, outputs


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("runs", metavar="RUN", nargs="+", type=frame.path, help="run directories")
    parser.add_argument(
        "--out", type=frame.path, metavar="FILE", help="the page, if not report.html"
    )
    outputs.add_overwrite(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from discogan_jax.runs import report

    frame.say(str(report.write(arguments.runs, arguments.out, overwrite=arguments.overwrite)))
    return 0
