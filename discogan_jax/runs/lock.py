"""One process at a time trains in a run directory."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from absl import logging

from discogan_jax.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: nobody is kept out
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Keeps other processes from training in a directory while the body runs.

    The lock dies with its process, whatever ends it; the file stays, as removing it would let two
    in. Where the file system has no locks, that is said and nobody is kept out.

    Args:
      directory: made if it is not there.

    Raises:
      InputError: another process has it, or it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / LOCK_FILE).open("a+")
    except OSError as error:
        raise InputError(
            f"--workdir={directory} cannot be written ({error.strerror}): name another one"
        ) from error
    with file:
        try:
            _lock(file)
        except BlockingIOError as error:
            raise InputError(
                f"{directory} is in use: {_named(file)} trains there. Wait for it, stop it, or "
                "name another --workdir"
            ) from error
        except OSError as error:
            logging.warning("%s: no locks on this file system (%s)", directory, error)
        with contextlib.suppress(OSError):  # a full disk has no room for a name
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield


def holder(directory: Path) -> str | None:
    """Who trains in a directory now; None if nobody does, or it cannot be told."""
    try:
        with (directory / LOCK_FILE).open() as file:
            try:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _named(file)
    except OSError:  # no lock file, or a file system without locks
        pass
    return None


def _lock(file: TextIO) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.1)  # `holder` has it for a moment, to ask who does
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _named(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip() or "another process"
