"""Atomic writes, JSON, locks, and full disks."""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import logging
from filelock import lock_descriptor

from discogan_jax import units
from discogan_jax.errors import InputError, causes

_MIB = 1 << 20
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


# Atomic writes: readers see the old file or the new one, never a partial one.


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replaces a file, or creates it, once it is complete.

    Args:
      path: the file.

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
def replacing_folder(path: Path, keep: Callable[[], bool] | None = None) -> Iterator[Path]:
    """Replaces a folder, or creates it, once it is complete.

    Args:
      path: the folder.
      keep: returns, at the end, whether an existing folder is kept instead.

    Yields:
      A hidden name beside it, to create; renamed once the body has ended without an error.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        if keep is None or not keep():
            if path.exists():
                remove_folder(path)
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Removes a folder; others see all of it, or nothing."""
    shutil.rmtree(path.rename(_temporary(path)))


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files and folders that killed processes have left in a folder.

    Args:
      folder: the folder, which need not exist; no other process may be writing there.
    """
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


# JSON


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


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file that holds an object.

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


def find_json(path: Path) -> dict[str, Any] | None:
    """Reads a JSON file; returns None if it does not exist or, with a warning, is damaged."""
    try:
        return read_json(path)
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
    try:
        with path.open("rb") as file:
            if tail is not None:
                file.seek(max(0, path.stat().st_size - tail))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    lines = []
    # A line that is not JSON was cut off, by the tail or by a killed process.
    for part in text.split("\n"):
        if containing not in part:
            continue
        try:
            line = json.loads(part)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """Keeps finite numbers that fit into a float; JSON's integers may have hundreds of digits."""
    largest = sys.float_info.max
    return {k: v for k, v in line.items() if isinstance(v, int | float) and abs(v) <= largest}


# Paths and locks


def expanded(path: str | Path) -> Path:
    """Expands ``~`` to the home folder.

    Raises:
      InputError: there is no such user, or the text cannot be a path.
    """
    if "\0" in str(path):
        raise InputError(f"{str(path)!r} cannot be a path: it contains a zero character.")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path} names no place ({error}); write out the path.") from error


def fingerprint(path: Path) -> str:
    """Hashes the size, the first and the last MiB of a file, to tell large gzip archives apart.

    The end of a gzip file holds the CRC-32 and the length of its whole content.

    Args:
      path: the file.

    Returns:
      16 hexadecimal digits.

    Raises:
      InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.sha256(str(size).encode())
            file.seek(0)
            digest.update(file.read(_MIB))
            file.seek(max(0, size - _MIB))
            digest.update(file.read(_MIB))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Keeps other processes from working on `path` while the body runs; waits for its turn.

    The lock is on the hidden file `.NAME.lock` beside it, and ends with its process. The file is
    kept: deleting it would let two processes hold the lock.

    Args:
      path: the file or folder to work on; need not exist, its folder is created.

    Yields:
      Whether other processes are kept out: not every file system has locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The warning comes before a wait, which may take as long as a download.
    with path.with_name(f".{path.name}.lock").open("ab") as file:
        try:
            if not lock_descriptor(file.fileno(), blocking=False):
                logging.warning("waiting for another process that works on %s", path)
                lock_descriptor(file.fileno())
            alone = True
        except OSError as error:
            logging.warning("%s: no locks on this file system (%s)", path, error)
            alone = False
        yield alone


# Disks


def folder_size(folder: Path) -> int:
    """Counts the bytes of a folder's files; 0 if there is none.

    Links in it are not followed, and files that vanish meanwhile do not count.
    """
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total


_DISK_FULL = [os.strerror(n) for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)]


def require_room(folder: Path, needed: int, name: str) -> None:
    """Refuses work for which the disk has no room.

    Args:
      folder: a folder on the disk; it exists.
      needed: bytes that must be free.
      name: the work, for the message.

    Raises:
      InputError: there is less room; the message has the bytes needed and the bytes free.
    """
    if shutil.disk_usage(folder).free < needed:
        raise no_room(folder, f"{units.size(needed)} free", name)


def no_room(folder: Path, wanted: str, name: str) -> InputError:
    """Creates the error for a disk that is, or would be, full."""
    free = units.size(shutil.disk_usage(folder).free)
    return InputError(
        f"{name} needs {wanted} in {folder}, which has {free}; make room or use another folder."
    )


def disk_full(error: BaseException) -> str | None:
    """Returns the system's message if a full or read-only disk caused an error, else None.

    Args:
      error: the error. Libraries in other languages report the cause in its text alone.
    """
    texts = map(str, causes(error))
    return next((why for text in texts for why in _DISK_FULL if why in text), None)
