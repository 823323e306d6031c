"""JSON files, and files of JSON lines."""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging

from discogan_jax.files import shapes
from discogan_jax.files.atomic import replacing
from discogan_jax.files.opening import naming, require_regular

MAX_BYTES = 256 << 20
"""Size of the largest JSON file that is read."""


def finite(value: Any) -> Any:
    """Replaces numbers that are not finite, which JSON lacks, by None; in any depth."""
    if isinstance(value, Mapping):
        return {key: finite(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [finite(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically; numbers that are not finite become null."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(finite(value), indent=2, allow_nan=False) + "\n")


def read_json(path: Path, shape: shapes.Shape = dict) -> dict[str, Any]:
    """Reads a JSON file that holds an object.

    Args:
      path: the file.
      shape: what the object must hold, see `shapes.Shape`.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is damaged, no regular file, or has another shape.
    """
    require_regular(path, MAX_BYTES)
    try:
        with naming(path):
            value = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    shapes.check(value, shape)
    return value


def find_json(path: Path, shape: shapes.Shape = dict) -> dict[str, Any] | None:
    """Reads a JSON file; returns None if it does not exist or, with a warning, is damaged.

    Args:
      path: the file.
      shape: what the object must hold, see `shapes.Shape`.
    """
    try:
        return read_json(path, shape)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logging.warning("%s cannot be read (%s): ignored", path, error)
        return None


def read_lines(path: Path, tail: int | None = None, containing: str = "") -> list[dict[str, Any]]:
    """Reads the whole lines of a file of JSON lines; none if the file does not exist.

    Args:
      path: the file.
      tail: number of bytes to read, from the end of the file; all if None.
      containing: text of the lines that are read; the others are skipped.
    """
    # A line that is not JSON was cut off, by the tail or by a killed process.
    found = (_line(part) for part in _parts(path, tail) if containing in part)
    return [line for line in found if line is not None]


def read_lines_counting_damage(
    path: Path, containing: str = ""
) -> tuple[list[dict[str, Any]], int]:
    """Reads the whole lines of a file of JSON lines, and counts those that are damaged.

    What follows the last newline does not count: it is being written, or a killed process left it.

    Args:
      path: the file.
      containing: text of the lines that are read; of the others, those that lack their first or
        last character are damaged.
    """
    *whole, last = _parts(path) or [""]
    wanted = [part for part in whole if containing in part or part[:1] + part[-1:] != "{}"]
    found = [_line(part) for part in wanted]
    damaged = found.count(None)
    found += [_line(last)] if containing in last else []
    return [line for line in found if line is not None], damaged


def damage(path: Path, lines: int) -> str:
    """Says how many lines of a file are damaged; "" if none is."""
    which = "1 line is" if lines == 1 else f"{lines:,} lines are"
    return f"{path.name}: {which} damaged" if lines else ""


def _parts(path: Path, tail: int | None = None) -> list[str]:
    """Reads a file, or its last bytes, and splits it at newlines; none if it does not exist."""
    try:
        require_regular(path)
        with naming(path), path.open("rb") as file:
            if tail is not None:
                file.seek(max(0, path.stat().st_size - tail))
            return file.read().decode(errors="replace").split("\n")
    except FileNotFoundError:
        return []


def _line(text: str) -> dict[str, Any] | None:
    """Returns the object of a line, which has a step, or None."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else None


def numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """Keeps finite numbers that fit into a float; JSON's integers may have hundreds of digits."""
    largest = sys.float_info.max
    return {k: v for k, v in line.items() if isinstance(v, int | float) and abs(v) <= largest}
