"""Writes the generators of a run, with all that is needed to use them without this code.

Formats are a file that jax.export reads (stablehlo), a folder of ONNX files, one per direction
(onnx), a TensorFlow SavedModel (savedmodel), and a page for any static server that translates in
the browser (web). Nothing is written unless its own runtime translates held-out pictures as the run
does. 'discogan translate' takes all of them. JAX reads its files for six months: keep the run.
"""

import argparse

from discogan_jax import units
from discogan_jax.commands import frame, outputs
from discogan_jax.errors import InputError
from discogan_jax.export import FORMATS


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_run()
    parser.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0], help="%(default)s if not given"
    )
    parser.add_argument(
        "--out",
        type=frame.path,
        metavar="PATH",
        help="file or folder; RUN/NAME-STEP.discogan, -onnx, -savedmodel or -web if not given",
    )
    outputs.add_overwrite(parser)
    parser.add_argument(
        "--runtime",
        type=frame.path,
        metavar="DIR",
        help="of web: the folder of onnxruntime-web; the one that npm has installed if not given",
    )
    parser.add_argument("--batch", type=int, metavar="N", help="fixed batch size; any if not given")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    if arguments.batch is not None and arguments.batch < 1:
        raise InputError(f"--batch is {arguments.batch}; it must be at least 1")
    if arguments.runtime and arguments.format != "web":
        raise InputError(f"--runtime is for --format web; {arguments.format} needs none")
    from discogan_jax import export, runs
    from discogan_jax.runs.translating import describe

    opened = runs.open(arguments.run, arguments.step)
    path, parity = export.write(
        opened,
        arguments.out,
        kind=arguments.format,
        batch_size=arguments.batch,
        overwrite=arguments.overwrite,
        **({"runtime": arguments.runtime} if arguments.runtime else {}),
    )
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    frame.say(parity)
    frame.say(f"left to whoever runs it (discogan translate does it): {describe(opened)}")
    frame.say(f"{path}, {units.size(sum(file.stat().st_size for file in files))}")
    return 0
