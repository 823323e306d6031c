"""What this program wrote, and so replaces without being asked; all else needs ``--overwrite``.

It knows its files by a mark in their first bytes, and its folders by their list of digests: one
that was added to, or changed, is not replaced either. What file managers leave in a folder is
nobody's work.
"""

import fnmatch
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from discogan_jax.errors import InputError

MARK = "Written by discogan_jax"
"""What the marks of all files begin with; the kind of file follows."""

OF_FILE_MANAGERS = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Names of files that file managers write into the folders that they show."""

_FLAG = "name another place, or replace it with --overwrite"
_HEAD = 4096  # bytes that a mark is looked for in


def has_mark(path: Path, mark: str) -> bool:
    """Whether a mark is in the first bytes of a file."""
    return mark in read_mark(path)


def read_mark(path: Path) -> str:
    """Reads the first bytes of a file, where a mark would be, as text."""
    with path.open("rb") as file:
        return file.read(_HEAD).decode(errors="replace")


def require_ours(
    path: Path, is_ours: Callable[[Path], bool], *, overwrite: bool | None = False
) -> None:
    """Refuses to replace what is no file of this program: call it before anything is computed.

    Args:
      path: the file that is to be written; it need not exist.
      is_ours: whether this program wrote a regular file; errors stand for no.
      overwrite: replace any regular file; None where there is no such flag.

    Raises:
      InputError: another file is there, or no regular one.
    """
    mode = _mode_of_result(path)
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder; name a file.")
    if mode and not overwrite and not _holds(is_ours, path):
        way = "name another place" if overwrite is None else _FLAG
        raise InputError(
            f"{path} is there and was not written by this command, or has changed since: {way}."
        )


def require_our_folder(
    path: Path,
    listing: str,
    parts: Sequence[str],
    check: Callable[[Path], None],
    *,
    overwrite: bool = False,
) -> None:
    """Refuses to replace a folder other than one of this program's; an empty one may be replaced.

    Args:
      path: the folder that is to be written; it need not exist.
      listing: name of the file that all folders of the kind have.
      parts: patterns of the files' names; a folder with others is not even replaced with
        `overwrite`.
      check: raises an `OSError` or a `ValueError` that says what in such a folder is not as this
        program wrote it.
      overwrite: replace a folder of the kind that was changed.

    Raises:
      InputError: another folder is there, or no folder.
    """
    mode = _mode_of_result(path)
    if mode and not stat.S_ISDIR(mode):
        raise InputError(f"{path} is a file; name a folder.")
    names = _names(path) if mode else []
    others = [name for name in names if not any(fnmatch.fnmatch(name, part) for part in parts)]
    if names and listing not in names:
        raise InputError(f"{path} is there and has no {listing}: name another folder.")
    if others:
        raise InputError(
            f"{path} also holds {others[0]}, which would be lost: name another folder."
        )
    if names and not overwrite:
        try:
            check(path)
        except (OSError, ValueError) as error:
            problem = f"is not as this program wrote it ({error})"
            raise InputError(f"{path} {problem}: {_FLAG}.") from error


def require_replaceable(path: Path) -> None:
    """Refuses to write over a pipe or a device."""
    mode = _mode(path)
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise InputError(f"{path} is a pipe or a device; name a file.")


def _mode(path: Path) -> int:
    """Returns what is at a path; 0 for nothing, or where writing will say why it cannot be."""
    try:
        return path.lstat().st_mode
    except (OSError, ValueError):
        return 0


def _mode_of_result(path: Path) -> int:
    require_replaceable(path)
    mode = _mode(path)
    if stat.S_ISLNK(mode):
        raise InputError(f"{path} is a link; name what it leads to, or remove it.")
    return mode


def _holds(is_ours: Callable[[Path], bool], path: Path) -> bool:
    try:
        return is_ours(path)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _names(folder: Path) -> list[str]:
    """Lists all below a folder but folders that are no links, as paths from there.

    What file managers have left there is left out.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed ({error.strerror}).") from error

    found = []
    for where, folders, files in os.walk(folder, onerror=refuse):
        links = [name for name in folders if Path(where, name).is_symlink()]
        found += [Path(where, name).relative_to(folder).as_posix() for name in files + links]
    return [name for name in found if Path(name).name not in OF_FILE_MANAGERS]
