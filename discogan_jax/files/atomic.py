"""Atomic writes: readers see the old file or the new one, never a partial one."""

import contextlib
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from discogan_jax.files.opening import naming
from discogan_jax.files.ours import require_replaceable

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replaces a file, or creates it, once it is complete.

    Args:
      path: the file.

    Yields:
      A hidden name beside it to write to; renamed once the body has ended without an error.

    Raises:
      InputError: a pipe or a device is there. A link is replaced, not what it leads to.
    """
    require_replaceable(path)
    temporary = _temporary(path)
    with naming(path, temporary):
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)  # of a read-only disk, an error even if none is there


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
    """Removes a folder, or a link to one; others see all of it, or nothing."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path.rename(_temporary(path)))


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files and folders that killed processes have left in a folder.

    Args:
      folder: the folder, which need not exist; no other process may be writing there.
    """
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    # Also beside a name that is as long as names may be.
    return path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex}.tmp")
