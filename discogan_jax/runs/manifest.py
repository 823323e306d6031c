"""Manifests: what a checkpoint's files were when it was saved, so that damage shows."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discogan_jax.files import replacing

MANIFEST_FILE = "manifest.json"

Tree = Mapping[str, tuple[tuple[int, ...], str]]
"""Of each array of a state, by path: shape and type."""


def steps(checkpoints: Path) -> list[int]:
    """Steps that a folder has checkpoints of, whole or not, in order; none if it is not there."""
    if not checkpoints.is_dir():
        return []
    folders = (p.name for p in checkpoints.iterdir() if p.is_dir())
    return sorted(int(name) for name in folders if name.isdecimal() and name == str(int(name)))


def seal(step: Path, tree: Tree) -> None:
    """Writes the manifest of a checkpoint; nothing may change in its folder any more.

    Args:
      step: the checkpoint's folder.
      tree: of the state in it.
    """
    names = sorted(p.relative_to(step).as_posix() for p in step.rglob("*") if p.is_file())
    files = {n: _measured(step / n) for n in names if not Path(n).name.startswith(".")}
    body = {"files": files, "tree": tree}
    with replacing(step / MANIFEST_FILE) as temporary:
        temporary.write_text(json.dumps(body | {"sha256": _digest(body)}, indent=1) + "\n")


def is_sealed(step: Path) -> bool:
    """Whether a checkpoint has a manifest, which is the last thing that a save writes."""
    return (step / MANIFEST_FILE).is_file()


def tree(step: Path) -> Tree:
    """The tree of the state in a checkpoint that `verify` has nothing to say against."""
    stored = json.loads((step / MANIFEST_FILE).read_text())["tree"]
    return {path: (tuple(shape), dtype) for path, (shape, dtype) in stored.items()}


def verify(step: Path, contents: bool = True) -> list[str]:
    """Compares a checkpoint's files with its manifest, byte for byte.

    Args:
      step: the checkpoint's folder.
      contents: look into the files; their sizes alone tell in no time what is missing or cut off.

    Returns:
      What is wrong, a file at a time; nothing if the checkpoint is whole.
    """
    if not any(step.glob("*")):
        return ["an empty folder"]
    if not is_sealed(step):
        return [f"no {MANIFEST_FILE}: its save was cut off, or is of an earlier version"]
    try:
        body = json.loads((step / MANIFEST_FILE).read_text())
        if body.pop("sha256") != _digest(body):
            raise ValueError("its own digest differs")
        files = body["files"].items()
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return [f"{MANIFEST_FILE} is damaged ({error})"]
    found = ((name, _complaint(step / name, expected, contents)) for name, expected in files)
    return [f"{name} {complaint}" for name, complaint in found if complaint]


def differences(there: Tree, now: Tree) -> list[str]:
    """How the trees of two states differ, array by array."""
    return [
        f"{path}: {_said(there.get(path))} there, {_said(now.get(path))} now"
        for path in sorted(there.keys() | now.keys())
        if there.get(path) != now.get(path)
    ]


def _complaint(path: Path, expected: Mapping[str, Any], contents: bool) -> str:
    try:
        size = path.stat().st_size
        if size != expected["size"]:
            return f"has {size:,} bytes, {expected['size']:,} were written"
        if not contents:
            return ""
        return "" if _measured(path) == expected else "has other content than was written"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _measured(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {
            "size": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _said(array: tuple[tuple[int, ...], str] | None) -> str:
    return "none" if array is None else f"{array[1]}{list(array[0])}"
