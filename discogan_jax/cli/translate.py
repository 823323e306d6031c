"""`discogan translate`: pictures of people's own."""

import argparse
import sys
from pathlib import Path
from typing import Any

from discogan_jax.cli.quiet import be_quiet
from discogan_jax.errors import EXIT_SKIPPED


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "translate",
        help="translate pictures of your own",
        description="Translates pictures with a trained run and writes the results as PNG. Each is "
        "cut to its largest centred square and scaled, as in training. What cannot be read is "
        "named and passed over; the exit code is 1 then.",
    )
    command.add_argument(
        "run", metavar="RUN", help="run directory, one of its checkpoints, or an export"
    )
    command.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="files, folders (with all below them), glob patterns, or - for standard input",
    )
    command.add_argument("--to", required=True, metavar="DOMAIN", help="what they become: shoes")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="where to")
    command.add_argument(
        "--pairs",
        choices=("left", "right"),
        help="inputs show two pictures side by side, as the pix2pix archives do: take this one",
    )
    command.add_argument(
        "--keep-aspect",
        action="store_true",
        help="translate the whole picture, squeezed into a square, and give the result its shape",
    )
    command.add_argument(
        "--grid",
        action="store_true",
        help="also write contact sheets: input, translation, the way back",
    )
    command.add_argument("--step", type=int, help="checkpoint to use; the last one if not given")
    command.set_defaults(function=_run)


def _run(arguments: argparse.Namespace) -> int:
    be_quiet()
    from discogan_jax import export
    from discogan_jax.commands import translate

    run = export.open_translator(arguments.run, arguments.step)
    outcome = translate.translate(
        run,
        translate.find(arguments.inputs),
        arguments.to,
        arguments.out,
        half=arguments.pairs,
        keep_aspect=arguments.keep_aspect,
        sheet=arguments.grid,
        say=lambda line: print(line, file=sys.stderr),
    )
    for line in translate.lines(outcome, arguments.out, run, arguments.keep_aspect):
        print(line)
    return EXIT_SKIPPED if outcome.bad else 0
