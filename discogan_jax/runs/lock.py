"""The lock of a run directory: one process at a time trains in it."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from absl import logging
from filelock import lock_descriptor

from discogan_jax.errors import InputError
from discogan_jax.files import require_regular, require_replaceable

LOCK_FILE = ".lock"
_PROCESS = "process "
_MAX_CHARACTERS = 1000


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Keeps other processes from training in a directory while the body runs.

    The lock ends with its process, however that ends. The file is kept: deleting it would let two
    processes hold the lock. A file system without locks keeps nobody out; a warning says so.

    Args:
      directory: the run directory, created if it does not exist.

    Raises:
      InputError: another process trains there, or the directory cannot be written.
    """
    path = directory / LOCK_FILE
    require_replaceable(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # A link may lead to a file of somebody else, which the name would replace.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, 0o666), "a+")
    except OSError as error:
        if path.is_symlink():
            raise InputError(f"{path} must not be a link: remove it") from error
        raise InputError(
            f"--workdir={directory} cannot be written ({error.strerror}): make room or remove what "
            "is there, or name another one"
        ) from error
    with file:
        if not _text(file).startswith(_PROCESS) and _text(file):
            raise InputError(f"{path} is that of another program: name another --workdir")
        # The lock, if the file system has any.
        try:
            if not _acquired(file):
                raise InputError(
                    f"{directory} is in use: {_name_in(file)} trains there. Wait for it, stop it, "
                    "or name another --workdir"
                )
        except OSError as error:
            logging.warning("%s: no locks on this file system (%s)", directory, error)

        # The name, for whoever finds the directory in use; a full disk has no room for it.
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"{_PROCESS}{os.getpid()} on {socket.gethostname()}".encode())
        yield


def holder(directory: Path) -> str | None:
    """Returns who trains in a directory now; None if nobody does, or it cannot be found out."""
    path = directory / LOCK_FILE
    # NFS locks what is open for writing alone, but a lock that is only readable can be tried, too.
    mode = "r+" if os.access(path, os.W_OK) else "r"
    with contextlib.suppress(OSError, InputError):
        require_regular(path)
        with path.open(mode) as file:
            return None if _acquired(file) else _name_in(file)
    return None


def _acquired(file: IO[str]) -> bool:
    if lock_descriptor(file.fileno(), blocking=False):
        return True
    time.sleep(0.1)  # `holder` has it for a moment in another process
    return lock_descriptor(file.fileno(), blocking=False)


def _name_in(file: IO[str]) -> str:
    return _text(file).strip() or "another process"


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read(_MAX_CHARACTERS)
