"""Finds the pictures of a folder that go with pictures of your own: translated, then compared.

Each picture is translated, and the pictures of the catalogue are ordered by their distance from the
translation. The nearest are printed as lines of JSON; with --out, they are written into a folder,
with contact sheets. Files that cannot be read are reported and skipped; the exit code is 1 then.
"""

import argparse
import sys
from functools import partial

from discogan_jax.commands import frame, outputs
from discogan_jax.errors import EXIT_SKIPPED, InputError


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_run("run directory, one of its checkpoints, or an export")
    outputs.add_inputs(parser)
    parser.add_argument(
        "--catalogue",
        required=True,
        type=frame.path,
        metavar="FOLDER",
        help="folder of the pictures to find, at any depth; what is no picture is left out",
    )
    parser.add_argument(
        "--to", required=True, metavar="DOMAIN", help="domain of the catalogue's pictures: shoes"
    )
    parser.add_argument(
        "--count", type=int, default=6, metavar="N", help="number of pictures to find; %(default)s"
    )
    parser.add_argument(
        "--out",
        type=frame.path,
        metavar="FOLDER",
        help="folder for matches.jsonl and contact sheets: picture, translation, what was found; "
        "the lines are printed if not given",
    )
    parser.add_argument(
        "--fit",
        choices=("crop", "pad", "stretch"),
        help="how a picture of another shape is brought to the model's; as in training if not "
        "given",
    )
    outputs.add_data_dir(parser)
    outputs.add_overwrite(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    if arguments.count < 1:
        raise InputError(f"--count is {arguments.count}; it must be at least 1")
    from discogan_jax.commands import match_pictures, translate_pictures
    from discogan_jax.export import open_translator

    # What is printed for programs is not mixed with messages for people.
    say = partial(frame.say, file=sys.stderr if arguments.out is None else None)
    translator = open_translator(arguments.run, arguments.step)
    inputs, others, unlisted = translate_pictures.find(arguments.inputs)
    outcome, matched = match_pictures.match(
        translator,
        inputs,
        arguments.catalogue,
        arguments.to,
        arguments.out,
        count=arguments.count,
        fit=arguments.fit,
        side=arguments.pairs,
        data_dir=arguments.data_dir,
        overwrite=arguments.overwrite,
        say=say,
    )
    bad = len(inputs) - matched + unlisted
    for remark in translate_pictures.describe(translator, outcome, matched, others, bad):
        say(remark)
    return EXIT_SKIPPED if bad else 0
