"""Opens regular files only: a pipe would wait for a writer, and a device may never end."""

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

from discogan_jax import units
from discogan_jax.errors import InputError


@contextlib.contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Names a file in the errors of the system that name none, as those of reading and writing do.

    Args:
      path: the file.
      temporary: a name that it has meanwhile, which nobody knows.
    """
    try:
        yield
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise


def require_regular(path: Path, limit: int | None = None) -> None:
    """Refuses what is not to be opened; call it before any file that people name is read.

    Args:
      path: the file.
      limit: bytes of the largest file that is read; None for any.

    Raises:
      OSError: there is no such file, or it cannot be reached.
      InputError: it is a folder, a pipe or a device, or larger than the limit.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder; name a file.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is a pipe or a device; name a file.")
    if limit is not None and status.st_size > limit:
        found = f"{path} has {units.size(status.st_size)}"
        raise InputError(f"{found}; of such files at most {units.size(limit)} are read.")


def require_regular_below(folder: Path) -> None:
    """Refuses a folder, for a library that opens all of it, with pipes and devices at any depth.

    Raises:
      OSError: there is a link that leads nowhere.
      InputError: there is a pipe or a device.
    """
    for path in folder.rglob("*"):
        if not path.is_dir():
            require_regular(path)
