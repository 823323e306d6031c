"""Paths that people name, and what tells one file from another."""

import hashlib
import os
from pathlib import Path

from discogan_jax.errors import InputError

_MIB = 1 << 20


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
