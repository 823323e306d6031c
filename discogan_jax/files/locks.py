"""Locks between processes."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from absl import logging
from filelock import lock_descriptor


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
    # A link may lead to somebody else's file, and a pipe would wait for a reader.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path.with_name(f".{path.name}.lock"), flags, 0o666)
    try:
        try:
            if not lock_descriptor(descriptor, blocking=False):
                logging.warning("waiting for another process that works on %s", path)
                lock_descriptor(descriptor)
            alone = True
        except OSError as error:
            logging.warning("%s: no locks on this file system (%s)", path, error)
            alone = False
        yield alone
    finally:
        os.close(descriptor)


def mark_in_use(path: Path) -> IO[bytes]:
    """Opens a file; `is_in_use` says so of it, in any process, until it is closed."""
    file = path.open("rb")
    with contextlib.suppress(OSError):  # not every file system has locks
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return file


def is_in_use(path: Path) -> bool:
    """Whether a process has marked a file, as far as the file system knows."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
