"""Locks between processes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

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
