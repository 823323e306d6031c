"""The room on a disk, and full disks."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

from discogan_jax import units
from discogan_jax.errors import InputError, causes

_DISK_FULL = [os.strerror(n) for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)]


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


def reserve(path: Path, named: Path) -> None:
    """Takes the blocks of the disk for all of a sparse file.

    Where the file system cannot, the C library writes a byte to each block. One that compresses or
    copies what is written may still fill up later.

    Args:
      path: the file.
      named: the folder that a message names.

    Raises:
      InputError: the disk has no room for it.
    """
    size = path.stat().st_size
    try:
        with path.open("r+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS
                for start in range(0, size, 4096):
                    os.pwrite(file.fileno(), os.pread(file.fileno(), 1, start), start)
    except OSError as error:
        if disk_full(error):
            raise no_room(named, units.size(size), path.name) from error
        raise


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
