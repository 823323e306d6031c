"""File names of a run directory, and its small files read and written; imports no JAX by itself."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discogan_jax.errors import InputError
from discogan_jax.files import find_json, read_json

if TYPE_CHECKING:
    from discogan_jax.config.schema import Settings

CONFIG_FILE = "config.json"
VERSIONS_FILE = "versions.json"
METRICS_FILE = "metrics.jsonl"
EVALUATION_FILE = "evaluation.json"
REPORT_FILE = "report.html"
CHECKPOINTS = "checkpoints"
WEIGHTS_FILE = "weights.npz"
"""Generators alone, in place of the checkpoints, see `demo`."""
SAMPLES = "samples"
DATA_FILE = "data.json"
DIGESTS_FILE = "digests.npz"
CHANGES_FILE = "changes.jsonl"
FILES = (CONFIG_FILE, VERSIONS_FILE, METRICS_FILE, DATA_FILE, DIGESTS_FILE, CHANGES_FILE)
"""What every run has or may have from its beginning on."""
WRITTEN = (*FILES, EVALUATION_FILE, REPORT_FILE, CHECKPOINTS, SAMPLES)
"""Files and folders that a run writes."""
_EVALUATION = re.compile(r"evaluation(-step-(\d+))?(-raw)?\.json")
_VERSIONS = {"packages": {"discogan_jax": str}}


def require_free(directory: Path) -> None:
    """Refuses a folder of runs, and one with files of others that a run there would replace.

    Args:
      directory: a folder that has no run; it need not exist.

    Raises:
      InputError: the message names a run or the files in it.
    """
    names = [name for name in WRITTEN if os.path.lexists(directory / name)]
    # Folders that are empty are left behind by runs that did not begin.
    found = [name for name in names if not _is_empty_folder(directory / name)]
    # A run without a config is about to begin, or its config was removed to use another.
    if find_json(directory / VERSIONS_FILE, _VERSIONS) is not None:
        return
    # The sweeps in a folder of runs have theirs one level below.
    runs = [path.parent for at in ("*", "*/*") for path in directory.glob(f"{at}/{CONFIG_FILE}")]
    if any(os.path.lexists(run / CHECKPOINTS) for run in runs):
        raise InputError(
            f"{directory} is a folder of runs ({min(runs)} is one), no run itself: name a new "
            f"folder, such as --workdir={directory / 'another'}"
        )
    if found:
        raise InputError(
            f"{directory} has no run, and {', '.join(found)} of something else that a run would "
            "replace: name another --workdir"
        )


def evaluation_file(step: int | None = None, *, raw: bool = False) -> str:
    """Returns the name of an evaluation's file.

    Args:
      step: the step that somebody chose; None for the newest one.
      raw: whether the parameters themselves are measured, where a run has averages of them.
    """
    return f"evaluation{'' if step is None else f'-step-{step}'}{'-raw' if raw else ''}.json"


def evaluation_files(run: Path) -> list[str]:
    """Lists the evaluations of a run: that of the newest step first, then by step."""
    found = [
        match
        for path in run.glob("evaluation*.json")
        if (match := _EVALUATION.fullmatch(path.name))
    ]
    return [match[0] for match in sorted(found, key=lambda m: (bool(m[3]), int(m[2] or -1)))]


def is_evaluation(path: Path) -> bool:
    """Whether a file is an evaluation, or raises an error where it is none."""
    return bool(read_json(path, _SHAPES[EVALUATION_FILE]))


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


_NUMBER, _TEXT = (float, type(None)), (str, type(None))
_SHAPES: Mapping[str, Any] = {
    VERSIONS_FILE: {"packages?": {str: str}},
    # Earlier versions wrote rows without names, intervals and reasons.
    EVALUATION_FILE: {
        "step": int,
        "parameters?": str,
        "held_out?": {str: int},
        "rows": [
            {
                "name?": str,
                "what?": str,
                "value": _NUMBER,
                "reference?": _NUMBER,
                "beside?": _TEXT,
                "better?": _TEXT,
                "interval?": ([float, float], type(None)),
                "reason?": _TEXT,
            }
        ],
        "remarks?": [str],
        "other_pictures?": [str],
    },
}
"""What readers need to find in the files that a run has written for people and programs."""


def find(run: Path, name: str) -> tuple[dict[str, Any] | None, list[str]]:
    """Reads an evaluation or the versions of a run.

    Args:
      run: the run directory.
      name: the name of the file, see `evaluation_file`.

    Returns:
      The content, or None if there is no such file or it cannot be used; and why not, in a
      sentence, if it cannot.
    """
    try:
        return read_json(run / name, _SHAPES.get(name, _SHAPES[EVALUATION_FILE])), []
    except FileNotFoundError:
        return None, []
    except (OSError, ValueError) as error:
        return None, [f"{name} cannot be used ({error})"]


def read_settings(run: Path) -> "Settings":
    """Reads the settings of a run.

    Raises:
      InputError: there is no run, or its config is damaged.
    """
    from discogan_jax.config import schema  # imports JAX

    path = run / CONFIG_FILE
    try:
        return schema.from_config(read_json(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{run} is no run directory: it has no {CONFIG_FILE}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error})") from error
