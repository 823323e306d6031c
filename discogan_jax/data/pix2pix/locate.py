"""Finds the file of a published archive on this machine, or downloads it."""

from pathlib import Path

from discogan_jax.data.pix2pix import archives
from discogan_jax.errors import InputError
from discogan_jax.files import fingerprint


def locate(name: str, given: Path | None, data_dir: Path) -> Path:
    """Finds the tar.gz file of an archive; downloads it only where no place for it is given.

    Args:
      name: a key of `archives.ARCHIVES`.
      given: the folder that holds NAME.tar.gz, or the file itself; no network is used then.
      data_dir: the folder whose `downloads` has, or gets, the file where `given` is None.

    Returns:
      The file's path.

    Raises:
      InputError: the file is not there, or cannot be downloaded; the message says where to get it
        and where to put it.
    """
    archive = archives.find(name)
    # In a place that is given, it must be there.
    if given is not None:
        try:
            path = given if given.is_file() else given / archive.file
            if path.is_file():
                return path
            found = _contents(path.parent)
        except OSError as error:  # a name too long, a folder without permission
            raise InputError(f"{str(given)[:200]} cannot be read: {error.strerror}.") from error
        raise InputError(f"{archive.file} is not at {path} ({found}). {_advice(archive, path)}")
    # Else it was downloaded before, or is downloaded now.
    path = data_dir / "downloads" / archive.file
    if path.is_file():
        return path
    # Late: most runs download nothing, and requests takes a while to import.
    from discogan_jax.data.download import fetch

    advice = _advice(archive, path)
    return fetch(archive.url, path, expected_bytes=archive.bytes, magic=b"\x1f\x8b", by_hand=advice)


def origin(name: str, given: Path | None, data_dir: Path) -> str:
    """Returns a key of an archive: the fingerprint of a given file, or else 'published'.

    Args:
      name: as for `locate`.
      given: as for `locate`.
      data_dir: as for `locate`.

    Raises:
      InputError: the file is not there, or cannot be read.
    """
    return fingerprint(locate(name, given, data_dir)) if given else "published"


def _contents(folder: Path) -> str:
    """Describes what a folder holds, for the message about what it does not hold."""
    if not folder.is_dir():
        return "there is no such folder"
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"the folder holds {', '.join(names[:8]) or 'nothing'}{more}"


def _advice(archive: archives.PublishedArchive, path: Path) -> str:
    return (
        f"Fetch {archive.url} by hand and put it at {path}, or name the folder that holds it: "
        "--config.data.archives=DIR. `discogan train sample` needs neither archive nor network."
    )
