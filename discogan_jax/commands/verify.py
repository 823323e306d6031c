"""Compares every checkpoint of a run with what was written, and its pictures; changes nothing.

Every file of the checkpoints is read, and the arrays that its pictures were decoded to, if they are
here. The run may still be training. Of an export, the programs are compared with their digests. The
exit code is 1 if anything is not whole.
"""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from discogan_jax.commands import frame
from discogan_jax.errors import EXIT_DAMAGED, InputError


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("run", metavar="RUN", type=frame.path, help="run directory, or an export")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from discogan_jax.runs import layout, manifest

    path = arguments.run
    folder = path / layout.CHECKPOINTS
    found = {str(step): "; ".join(said) for step, said in manifest.verify_all(folder).items()}
    if not found:
        found = _export(path)
    if not found:
        raise InputError(f"{path} has no checkpoints: {folder} is empty or not there")
    for what, problem in (found | dict(_pictures(path))).items():
        frame.say(f"{what}: {problem or 'whole'}")
        found[what] = problem
    return EXIT_DAMAGED if any(found.values()) else 0


def _export(path: Path) -> dict[str, str]:
    """Says what is wrong with an export; nothing is said of anything else."""
    from discogan_jax.export.exported import Exported, is_exported

    if not is_exported(path):
        return {}
    try:
        remarks = Exported.open(path).remarks
    except InputError as error:
        return {path.name: str(error)}
    return {path.name: "; ".join(remarks)}


def _pictures(path: Path) -> Iterator[tuple[str, str]]:
    """Says what is wrong with the decoded pictures of a run, of each domain that has some here."""
    from discogan_jax.config import build
    from discogan_jax.data import cache, sources
    from discogan_jax.runs import layout, pictures

    with contextlib.suppress(InputError, OSError):  # neither run nor sources need to be here
        s = layout.read_settings(path)
        for d, source in build.sources_of(s, pictures.known(path)).items():
            folder = sources.identify(**source)
            altered = cache.is_altered(folder)
            if altered is not None:
                problem = f"{folder} was altered; 'discogan prepare' makes it anew"
                yield f"pictures of {s.domains.name(d)}", problem if altered else ""
