"""Files that are at all times either the old one or the new one, never a part."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from absl import logging

from discogan_jax.errors import InputError, causes

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
def replacing_folder(path: Path, keep: Callable[[], bool] | None = None) -> Iterator[Path]:
    """Lets a folder appear complete or not at all.

    Args:
      path: the folder; one that is there is replaced.
      keep: asked at the end whether to leave the folder that is there as it is.

    Yields:
      A hidden name beside it, to make; renamed once the body has ended without an error.
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


try:
    import fcntl
except ImportError:  # Windows: processes then do the same work side by side
    fcntl = None  # type: ignore[assignment]

_MIB = 1 << 20


def expanded(path: str | Path) -> Path:
    """A path with the home folder filled in.

    Raises:
      InputError: there is no such user, or the text can be no path.
    """
    if "\0" in str(path):
        raise InputError(f"{str(path)!r} can be no path: it holds a zero character.")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path} names no place ({error}); write out the path.") from error


def fingerprint(path: Path) -> str:
    """Tells a large gzip archive from another without reading all of it.

    The end of a gzip file holds the CRC-32 and the length of its whole content.

    Args:
      path: the file.

    Returns:
      16 hexadecimal digits of a hash over size, first and last MiB.

    Raises:
      InputError: if the file cannot be read.
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


def require_room(folder: Path, needed: int, name: str) -> None:
    """Refuses to start what cannot end.

    Args:
      folder: a folder on the disk in question; it exists.
      needed: bytes that must be free there.
      name: what needs them, for the message.

    Raises:
      InputError: names the bytes needed and the bytes free.
    """
    if shutil.disk_usage(folder).free < needed:
        raise no_room(folder, f"{needed} bytes free", name)


def no_room(folder: Path, wanted: str, name: str) -> InputError:
    """The error for a disk that is, or would be, full."""
    free = shutil.disk_usage(folder).free
    return InputError(
        f"{name} needs {wanted} in {folder}, which has {free}; make room or use another folder."
    )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Keeps other processes out of the work on `path` while the body runs; waits its turn.

    The lock is on the hidden file `.NAME.lock` beside it. It dies with its process; the empty
    file stays, as removing it would let two in.

    Args:
      path: what is worked on; need not exist, its folder is made.

    Yields:
      Whether this process really is alone: not every file system and platform has locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("ab") as file:
        yield _acquire(file.fileno(), path)


def _acquire(descriptor: int, path: Path) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logging.warning("waiting for another process that works on %s", path)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        logging.warning("%s: no locks on this file system (%s)", path, error)
        return False
    return True


_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def refusal(error: BaseException) -> str | None:
    """What the disk said, if an error or what it came from is of a disk that takes no more.

    Libraries in other languages tell it in their text alone.
    """
    for cause in causes(error):
        for number in _NUMBERS:
            said = os.strerror(number)
            if (isinstance(cause, OSError) and cause.errno == number) or said in str(cause):
                return said
    return None
