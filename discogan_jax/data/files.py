"""What every room that keeps files on a disk needs: locks, room, a key of a file."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from discogan_jax.errors import InputError

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
