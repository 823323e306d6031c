"""The source `folder:PATH`: pictures of any kind below a folder."""

import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from discogan_jax import images
from discogan_jax.data import decode
from discogan_jax.data.source import CachedSource, Places, Wanted
from discogan_jax.errors import InputError
from discogan_jax.files import expanded


class _Listing(NamedTuple):
    root: Path  # absolute, without links
    train: list[Path]
    val: list[Path] | None  # None: held out by a hash of the name


@dataclass(frozen=True)
class Folder(CachedSource):
    """Pictures of any kind below a folder."""

    kind = "folder"
    grammar = "folder:PATH"

    @property
    def label(self) -> str:
        """The name of the folder that the path leads to."""
        return f"folder:{self._listing.root.name}"

    @cached_property
    def _listing(self) -> _Listing:
        path = expanded(self.text)
        try:
            root = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: links that form a circle
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: there is no such folder ({why}); check the path.") from error
        if not root.is_dir():
            raise InputError(f"{root} is not a folder; name the folder that holds the pictures.")
        # Splits of its own are used only if it has both.
        held_out = next((root / name for name in ("val", "test") if (root / name).is_dir()), None)
        splits = [root / "train", held_out] if held_out and (root / "train").is_dir() else [root]
        found = [pictures_below(folder) for folder in splits if folder]
        for folder, files in zip(splits, found, strict=True):
            if not files:
                kinds = ", ".join(sorted(images.EXTENSIONS))
                raise InputError(f"{folder} holds no pictures ({kinds}), at any depth.")
        return _Listing(root, found[0], found[1] if len(found) == 2 else None)

    def facts(self, places: Places) -> dict[str, Any]:
        """Returns the path, and a hash of the files' names, sizes and modification times."""
        root, train, val = self._listing
        digest = hashlib.sha256()
        for file in chain(train, val or ()):
            try:
                status = file.stat()
                state = (status.st_size, status.st_mtime_ns)
            except OSError:  # a broken link; skipped and reported when it is to be read
                state = (-1, -1)
            digest.update(repr((str(file.relative_to(root)), *state)).encode())
        return {"folder": str(root), "listing": digest.hexdigest()}

    def write(self, folder: Path, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Decodes all pictures; about 5% are held out, unless the folder has a split for that."""
        root, train, val = self._listing
        files = [*train, *(val or ())]

        def held_out(readable: Sequence[int]) -> Collection[int]:
            if val is not None:
                return [row for row in readable if row >= len(train)]
            # By the name below the folder, so that moving the folder changes nothing.
            rows = {files[row].relative_to(root).as_posix(): row for row in readable}
            return [rows[name] for name in _held_out(rows)]

        prepare = self.preparation(wanted)
        return decode.write_pictures(
            folder, files, len(files), prepare, held_out=held_out, label=str(root)
        )


def pictures_below(folder: Path) -> list[Path]:
    """Lists the pictures at any depth, sorted; hidden files and folders are skipped.

    Raises:
      InputError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed ({error.strerror}).") from error

    found = []
    # Links to folders are not followed: they may form a circle.
    for where, folders, files in os.walk(folder, onerror=refuse):
        # Hidden ones are thumbnails and what archivers of other systems leave.
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [
            Path(where, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in images.EXTENSIONS
        ]
    return sorted(found)


def _held_out(names: Iterable[str]) -> list[str]:
    """Chooses about 5% by a hash: a name keeps its split when others are added or removed."""
    # The first eight bytes as a fraction of all that they can be.
    digests = ((hashlib.sha256(os.fsencode(name)).digest()[:8], name) for name in names)
    fractions = sorted((int.from_bytes(digest) / 2**64, name) for digest, name in digests)
    below = sum(fraction < decode.HELD_OUT for fraction, _ in fractions)
    return [name for _, name in fractions[: min(max(below, 1), decode.MAX_HELD_OUT)]]
