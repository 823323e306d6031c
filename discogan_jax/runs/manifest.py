"""Manifests: size and digest of a checkpoint's files when it was saved, which reveal damage."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discogan_jax.errors import InputError
from discogan_jax.files import json_sha256, read_json, require_regular, sha256, write_json

MANIFEST_FILE = "manifest.json"

_SHAPE = {
    "step?": int,  # earlier versions did not write it
    "files": {str: {"size": int, "sha256": str}},
    "tree": {str: [[int], str]},
    "sha256": str,
}

Tree = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape and type of each array of a state, by path."""


def steps(checkpoints: Path) -> list[int]:
    """Lists the steps of a folder's checkpoints, intact or not, in order; none without a folder."""
    return sorted(int(p.name) for p in _named_like_steps(checkpoints) if p.is_dir())


def misplaced(checkpoints: Path) -> list[Path]:
    """Lists what has the name of a step and is no folder, such as a link to one that is gone."""
    return [p for p in _named_like_steps(checkpoints) if not p.is_dir()]


def _named_like_steps(checkpoints: Path) -> list[Path]:
    if not checkpoints.is_dir():
        return []
    with contextlib.suppress(FileNotFoundError):  # removed since
        there = [p for p in checkpoints.iterdir() if p.name.isdecimal()]
        return [p for p in there if p.name == str(int(p.name))]
    return []


def seal(step: Path, tree: Tree) -> None:
    """Writes the manifest of a checkpoint; nothing in its folder may change after that.

    Args:
      step: folder of the checkpoint.
      tree: tree of the state in it.
    """
    # Hidden files are temporary ones, or those of the file system.
    names = sorted(p.relative_to(step).as_posix() for p in step.rglob("*") if p.is_file())
    files = {n: _measured(step / n) for n in names if not Path(n).name.startswith(".")}
    body = {"step": int(step.name), "files": files, "tree": tree}
    write_json(step / MANIFEST_FILE, body | {"sha256": json_sha256(body)})


def is_sealed(step: Path) -> bool:
    """Returns whether a checkpoint has a manifest, the last file that a save writes."""
    return (step / MANIFEST_FILE).is_file()


def sealed_steps(checkpoints: Path) -> list[int]:
    """Lists the steps of a folder's checkpoints that have a manifest, in order."""
    return [step for step in steps(checkpoints) if is_sealed(checkpoints / str(step))]


def tree(step: Path) -> Tree:
    """Reads the tree of the state in a checkpoint in which `verify` found no problem."""
    stored = read_json(step / MANIFEST_FILE, _SHAPE)["tree"]
    return {path: (tuple(shape), dtype) for path, (shape, dtype) in stored.items()}


def verify_all(checkpoints: Path, contents: bool = True) -> dict[int, list[str]]:
    """Verifies all checkpoints of a folder, see `verify`; another process may be removing some.

    Returns:
      The problems by step, in order.
    """
    found = {step: verify(checkpoints / str(step), contents) for step in steps(checkpoints)}
    there = set(steps(checkpoints))
    return {step: problems for step, problems in found.items() if step in there}


def verify(step: Path, contents: bool = True) -> list[str]:
    """Compares a checkpoint's files with its manifest, byte for byte.

    Args:
      step: folder of the checkpoint.
      contents: read the files; sizes alone are fast, and reveal missing and truncated files.

    Returns:
      The problems, one a file; none if the checkpoint is intact.
    """
    # No manifest, or none that can be trusted itself.
    try:
        if not any(step.iterdir()):
            return ["an empty folder"]
        if not is_sealed(step):
            return [f"no {MANIFEST_FILE}: its save was cut off, or is of an earlier version"]
    except OSError as error:
        return [f"it cannot be read ({error.strerror})"]
    try:
        body = read_json(step / MANIFEST_FILE, _SHAPE)
        if body.pop("sha256") != json_sha256(body):
            raise ValueError("its own digest differs")
        files = body["files"].items()
        if (of := body.get("step", int(step.name))) != int(step.name):
            return [f"it is a copy of the checkpoint of step {of}"]
    except (OSError, ValueError) as error:
        return [f"{MANIFEST_FILE} is damaged ({error})"]

    # The files that it lists.
    found = ((name, _problem(step / name, expected, contents)) for name, expected in files)
    return [f"{name} {problem}" for name, problem in found if problem]


def differences(there: Tree, now: Tree) -> list[str]:
    """Lists the differences between the trees of two states, array by array."""
    return [
        f"{path}: {_shown(there.get(path))} there, {_shown(now.get(path))} now"
        for path in sorted(there.keys() | now.keys())
        if there.get(path) != now.get(path)
    ]


def _problem(path: Path, expected: Mapping[str, Any], contents: bool) -> str:
    try:
        require_regular(path)
        size = path.stat().st_size
        if size != expected["size"]:
            return f"has {size:,} bytes, {expected['size']:,} were written"
        same = not contents or _measured(path) == expected
        return "" if same else "has other content than was written"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except InputError:
        return "is no file"


def _measured(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": sha256(path)}


def _shown(array: tuple[tuple[int, ...], str] | None) -> str:
    return "none" if array is None else f"{array[1]}{list(array[0])}"
