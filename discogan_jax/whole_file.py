"""Files that are at all times either the old one or the new one, never a part."""

import contextlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lets a file appear complete or not at all.

    Args:
      path: the file; one that is there is replaced.

    Yields:
      A hidden name beside it to write to; renamed once the body has ended without an error.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Lets a folder appear complete or not at all.

    Args:
      path: the folder; one that is there is replaced.

    Yields:
      A hidden name beside it, to make; renamed once the body has ended without an error.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        if path.exists():
            remove_folder(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is damaged, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"it holds no object but a {type(value).__name__}")
    return value


def read_lines(path: Path, tail: int | None = None) -> list[dict[str, Any]]:
    """The whole lines of a file of JSON lines, which may not exist.

    Args:
      path: the file.
      tail: read so many bytes from the end of the file; all if None.
    """
    try:
        with path.open("rb") as file:
            if tail is not None:
                file.seek(max(0, path.stat().st_size - tail))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    lines = []
    for part in text.split("\n"):
        try:
            line = json.loads(part)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file that is at all times either the old one or the new one."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def remove_folder(path: Path) -> None:
    """Lets a folder disappear as a whole or not at all."""
    shutil.rmtree(path.rename(_temporary(path)))


def remove_leftovers(folder: Path) -> None:
    """Removes what processes that were killed have left of the above, in a folder or none.

    Nobody else may be writing there.
    """
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
