"""`discogan export`: a run as something that needs nothing else."""

import argparse
from pathlib import Path
from typing import Any

from discogan_jax.cli.quiet import be_quiet
from discogan_jax.errors import InputError

_FORMATS = ("stablehlo", "onnx", "savedmodel")


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "export",
        help="write a run for use without this code: StableHLO, ONNX or SavedModel",
        description="Writes the generators, with all that is needed to use them, as a file that "
        "jax.export reads (stablehlo), a folder of ONNX files, one per direction (onnx), or a "
        "TensorFlow SavedModel. Nothing is written unless its own runtime translates held-out "
        "pictures as the run does. 'discogan translate' takes all three. JAX reads its files for "
        "six months: keep the run.",
    )
    command.add_argument("run", metavar="RUN", help="run directory, or one of its checkpoints")
    command.add_argument(
        "--format", choices=_FORMATS, default=_FORMATS[0], help="%(default)s if not given"
    )
    command.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="file or folder; RUN/NAME-STEP.discogan, -onnx or -savedmodel if not given",
    )
    command.add_argument(
        "--batch", type=int, metavar="N", help="fixed batch size; any if not given"
    )
    command.add_argument("--step", type=int, help="checkpoint to use; the last one if not given")
    command.set_defaults(function=_run)


def _run(arguments: argparse.Namespace) -> int:
    be_quiet()
    if arguments.batch is not None and arguments.batch < 1:
        raise InputError(f"--batch is {arguments.batch}; it must be at least 1")
    from discogan_jax import export, runs

    run = runs.open(arguments.run, arguments.step)
    path, said = export.write(run, arguments.out, kind=arguments.format, batch_size=arguments.batch)
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    print(said)
    print(f"{path}, {sum(file.stat().st_size for file in files) / 2**20:,.1f} MiB")
    return 0
