"""Translates pictures with a trained run and writes the results as files.

A picture is prepared as those that the run was trained on, and the result has the size of the
run's networks; --fit and --size change that. Files that cannot be read, or whose result cannot
be written, and folders that cannot be listed are reported and skipped; the exit code is 1 then.
"""

import argparse
from typing import TYPE_CHECKING

from discogan_jax.commands import frame, outputs
from discogan_jax.errors import EXIT_SKIPPED, InputError

if TYPE_CHECKING:
    from discogan_jax.images.preparation import Restored

MAX_SIDE = 1 << 14
"""Longest side that --size takes."""


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_run("run directory, one of its checkpoints, or an export")
    outputs.add_inputs(parser)
    parser.add_argument(
        "--to", required=True, metavar="DOMAIN", help="domain to translate to: shoes"
    )
    parser.add_argument(
        "--out",
        required=True,
        type=frame.path,
        metavar="PATH",
        help="folder of the results; for one picture also a file: .png, .jpg or .tif",
    )
    parser.add_argument(
        "--size",
        default="model",
        help="size of the results: model, input (that of each picture, or of the part cut out of "
        "it), a number for the longer side, or height and width (96x64); %(default)s if not given",
    )
    parser.add_argument(
        "--fit",
        choices=("crop", "pad", "stretch"),
        help="how a picture of another shape is brought to the model's; pad and stretch translate "
        "the whole picture, and the result has its shape; as in training if not given",
    )
    parser.add_argument(
        "--keep_aspect",
        "--keep-aspect",
        action="store_const",
        const="stretch",
        dest="fit",
        help="the same as --fit=stretch",
    )
    parser.add_argument(
        "--depth",
        type=int,
        choices=(8, 16),
        default=8,
        help="16 writes grey results with the values of the target's pictures, as 16-bit PNG or "
        "TIFF, or as floating-point TIFF; %(default)s if not given",
    )
    parser.add_argument(
        "--grid",
        action="store_true",
        help="also write contact sheets: input, translation, the way back",
    )
    outputs.add_overwrite(parser)
    parser.add_argument(
        "--skip_existing",
        "--skip-existing",
        action="store_true",
        help="leave out pictures that have a result of this program in the folder, of whatever "
        "run: goes on where a call was interrupted",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from discogan_jax.commands import translate_pictures
    from discogan_jax.export import open_translator

    if arguments.skip_existing and (arguments.grid or arguments.overwrite):
        raise InputError(
            "--skip_existing writes neither contact sheets nor over files: leave out "
            "--grid and --overwrite, or --skip_existing"
        )
    size = _size(arguments.size)
    translator = open_translator(arguments.run, arguments.step)
    inputs, others, unlisted = translate_pictures.find(arguments.inputs)
    made = translate_pictures.translate(
        translator,
        inputs,
        arguments.to,
        arguments.out,
        size=size,
        fit=arguments.fit,
        deep=arguments.depth == 16,
        side=arguments.pairs,
        sheet=arguments.grid,
        overwrite=arguments.overwrite,
        skip_existing=arguments.skip_existing,
    )
    written, there = len(made.written), len(made.there)
    bad = len(inputs) - written - there + unlisted
    results = _results(arguments.size, made.preparation.fit)
    frame.say(f"{written} translated into {arguments.out}: {made.preparation}; results {results}")
    if there:
        frame.say(f"{there} left out, they have a result there: the first is {made.there[0]}")
    for sheet in made.sheets:
        frame.say(f"contact sheet: {sheet}")
    for remark in translate_pictures.describe(translator, made, written, others, bad):
        frame.say(remark)
    return EXIT_SKIPPED if bad else 0


def _results(size: str, fit: str) -> str:
    """Describes the size of the results."""
    if size not in ("model", "input"):
        return f"scaled to {size} px"
    if fit == "crop":
        part = "scaled to the size of the part that was cut out"
        return "of that size" if size == "model" else part
    longer = "in the input's shape, the longer side as long as the model's"
    return longer if size == "model" else "scaled to the input's size"


def _size(text: str) -> "Restored":
    from discogan_jax.images import Size

    if text in ("model", "input"):
        return text  # type: ignore[return-value]
    try:
        size = Size.of(text)
    except ValueError as error:
        raise InputError(f"--size is model, input, or a size in pixels: {error}") from error
    if not 0 < min(size) <= max(size) <= MAX_SIDE:
        raise InputError(f"--size={text}: sides are from 1 to {MAX_SIDE:,} pixels")
    return size.height if text.isdecimal() else size
