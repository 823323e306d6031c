"""The published pix2pix archives: what each is, and where it is or comes from.

Source: Isola et al. 2017, http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/
"""

from dataclasses import dataclass
from pathlib import Path

from discogan_jax.errors import InputError
from discogan_jax.files import expanded

BASE = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
REQUIRED = ("train", "val")


@dataclass(frozen=True)
class Archive:
    """One published archive: `left` and `right` name the halves of its images."""

    name: str
    left: str
    right: str
    splits: tuple[str, ...] = REQUIRED
    width: int = 512
    height: int = 256
    bytes: int | None = None

    @property
    def file(self) -> str:
        """The published file name."""
        return f"{self.name}.tar.gz"

    @property
    def url(self) -> str:
        """Where it is published."""
        return f"{BASE}/{self.file}"


ARCHIVES = {
    archive.name: archive
    for archive in (
        Archive("edges2shoes", "edges", "photo"),
        Archive("edges2handbags", "edges", "photo"),
        Archive("facades", "photo", "labels", (*REQUIRED, "test"), bytes=30_168_306),
        Archive("maps", "photo", "map", width=1200, height=600),
        Archive("night2day", "night", "day", (*REQUIRED, "test")),
        Archive("cityscapes", "photo", "labels"),
    )
}


def find(name: str) -> Archive:
    """The archive of that name.

    Raises:
        InputError: there is none; names those there are.
    """
    if name not in ARCHIVES:
        raise InputError(f"There is no archive {name!r}; there are {', '.join(sorted(ARCHIVES))}.")
    return ARCHIVES[name]


def _advice(archive: Archive, path: Path) -> str:
    return (
        f"Fetch {archive.url} by hand and put it at {path}, or name the folder that holds it: "
        "--config.data.archives=DIR. `make demo` needs neither an archive nor the network."
    )


def missing(archive: Archive, path: Path) -> str:
    """The message for an archive that is not at `path`."""
    found = "there is no such folder"
    if path.parent.is_dir():
        names = sorted(entry.name for entry in path.parent.iterdir())
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        found = f"the folder holds {', '.join(names[:8]) or 'nothing'}{more}"
    return f"{archive.file} is not at {path} ({found}). {_advice(archive, path)}"


def locate(name: str, archives: Path | None, data_dir: Path) -> Path:
    """Finds the tar.gz, and downloads it only where no place for it is given.

    Args:
        name: a key of `ARCHIVES`.
        archives: the folder that holds NAME.tar.gz, or the file itself; no network is used then.
        data_dir: without `archives`, the file is, or comes, under `data_dir/downloads`.

    Returns:
        The file's path.

    Raises:
        InputError: it is not there or cannot be downloaded; says where to get and to put it.
    """
    archive = find(name)
    if archives is not None:
        given = expanded(archives)
        try:
            path = given if given.is_file() else given / archive.file
            if path.is_file():
                return path
            message = missing(archive, path)
        except OSError as error:  # a name too long, a folder that may not be looked into
            raise InputError(f"{str(given)[:200]} is no place: {error.strerror}.") from error
        raise InputError(message)
    path = expanded(data_dir) / "downloads" / archive.file
    if path.is_file():
        return path
    from discogan_jax.data.download import fetch

    return fetch(
        archive.url,
        path,
        expected_bytes=archive.bytes,
        magic=b"\x1f\x8b",
        by_hand=_advice(archive, path),
    )
