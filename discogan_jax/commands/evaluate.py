"""Measures a run on its held-out images, prints the main numbers, and writes all into the run.

They go to evaluation.json, and with --step or --raw to a file of their own; the run's report.html
shows them. The run may still be training.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from discogan_jax.commands import frame
from discogan_jax.errors import InputError

if TYPE_CHECKING:
    from discogan_jax.runs import Run


_ROOM = 1 << 16  # bytes; an evaluation has less


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_run()
    parser.add_argument(
        "--raw", action="store_true", help="measure the parameters themselves, not their averages"
    )
    parser.add_argument("--all", action="store_true", help="print all measures")
    parser.add_argument(
        "--inception",
        type=frame.path,
        metavar="FILE",
        help="add FID and KID, in features of this file "
        "(discogan_jax/evaluation/metrics/inception.py says which); needs the extra 'fid'",
    )
    parser.add_argument(
        "--out",
        type=frame.path,
        metavar="FILE",
        help="JSON file for the result, of a run that cannot be written; only an earlier result is "
        "replaced",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from discogan_jax import runs
    from discogan_jax.config import measures
    from discogan_jax.evaluation import evaluate
    from discogan_jax.evaluation.metrics import inception
    from discogan_jax.evaluation.table import as_text
    from discogan_jax.runs import report

    say = partial(frame.say, file=sys.stderr)
    opened = runs.open(arguments.run, arguments.step)
    path = _place(arguments, opened)
    opened = opened.raw if arguments.raw else opened
    extractor = inception.load(arguments.inception) if arguments.inception else None
    references = evaluate.references_of(opened, say=say)
    rows = evaluate.measure(opened, references, extractor=extractor, say=say)
    headlines = measures.headlines(*opened.domains, {row.name for row in rows})
    text = as_text(rows, None if arguments.all else headlines)
    frame.say("\n".join([text, *evaluate.remarks(rows, references)]))
    evaluate.write(opened, rows, references, path)
    page = None if arguments.out else report.refresh(opened.path)
    shown = f", {page} shows them" if page else ""
    frame.say(f"step {opened.step}: all {len(rows)} measures are in {path}{shown}")
    return 0


def _place(arguments: argparse.Namespace, opened: "Run") -> Path:
    """Returns the file for the result, which can be written: measuring takes minutes."""
    from discogan_jax import files
    from discogan_jax.runs import demo, layout

    chosen = arguments.step is not None or arguments.run.absolute() != opened.path
    name = layout.evaluation_file(opened.step if chosen else None, raw=arguments.raw)
    path: Path = arguments.out or demo.results(opened.path) / name
    if arguments.out:
        files.require_ours(path, layout.is_evaluation, overwrite=None)
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(_ROOM))
        return path
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}): name another file with --out, or "
            "evaluate a copy of the run"
        ) from error
