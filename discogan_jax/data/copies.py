"""Finds and removes decoded pictures that their source does not use any more."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from discogan_jax import files
from discogan_jax.data import cache
from discogan_jax.data.source import DECODE_VERSION, CachedSource, Places, Wanted


class Copy(NamedTuple):
    """A cache folder.

    Attributes:
      folder: the folder.
      megabytes: its size.
      reason: what has changed since it was made.
    """

    folder: Path
    megabytes: float
    reason: str


def outdated(source: CachedSource, places: Places) -> Iterator[Copy]:
    """Finds the copies of a source that it uses for no size, fit or depth.

    Those of other sources are left alone, and so are those of the same pictures.

    Args:
      source: the source.
      places: locations of its files and of the copies.

    Raises:
      InputError: the files behind the source are not found.
    """
    for folder in sorted(places.arrays.glob("[!.]*")):
        about = cache.recorded(folder)
        if about.get("source") != f"{source.kind}:{source.text}":
            continue
        if about.get("decode_version", DECODE_VERSION) < DECODE_VERSION:
            reason = "decoded by an earlier version"
        elif "listing" in about and _changed(about, source, places):
            reason = "pictures have changed since"
        else:
            continue
        size = sum(file.stat().st_size for file in folder.iterdir())
        yield Copy(folder, size / 1e6, reason)


def remove(copy: Copy) -> bool:
    """Removes a copy; returns False for one that a process uses, which is kept."""
    with files.locked(copy.folder):
        if any(files.is_in_use(copy.folder / f"{split}.npy") for split in cache.SPLITS):
            return False
        if copy.folder.is_dir():
            files.remove_folder(copy.folder)
        return True


def _changed(about: Mapping[str, Any], source: CachedSource, places: Places) -> bool:
    # A run of an earlier version lists other files.
    wanted = Wanted(1, max_held_out=about.get("max_held_out"))
    now = source.facts(wanted, places)
    return about["folder"] == now["folder"] and about["listing"] != now["listing"]
