"""Finds the files of a folder of pictures, and which of them are for training."""

import hashlib
import mimetypes
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from discogan_jax import images
from discogan_jax.errors import InputError
from discogan_jax.files import expanded

# Names of folders with held-out pictures, the first that is there counts; in any case.
_TRAIN, _HELD_OUT = "train", ("val", "valid", "validation", "dev", "test", "testing")

# What systems and network storage leave beside pictures: thumbnails, copies of deleted files.
_NOT_OURS = {
    *("__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "lost+found"),
    *("system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini"),
}

# Earlier versions went by the names of files and folders alone.
_FORMER_HELD_OUT = ("val", "test")
_FORMER_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class Listing(NamedTuple):
    """The files of a set; which of them are pictures is known when they are read.

    Attributes:
      root: the folder, absolute and without links.
      base: folder that names of files begin at: `root`, or the one above if `val` is beside it.
      train: files of the training split; all, if `val` is None.
      val: files that are held out; None if a part of `train` is to be.
      folders: the folders that were searched, absolute and without links.
      layout: description of the folders that are splits, and of those that are not; may be empty.
    """

    root: Path
    base: Path
    train: list[Path]
    val: list[Path] | None
    folders: frozenset[Path]
    layout: str

    @property
    def files(self) -> list[Path]:
        """All files, those to train on first."""
        return [*self.train, *(self.val or ())]

    def name(self, file: Path) -> str:
        """Returns the path of a file below `base`."""
        return file.relative_to(self.base).as_posix()


def list_folder(text: str, *, former: bool = False) -> Listing:
    """Finds the files of a set of pictures.

    A folder is a set of its own, with a part to hold out; or its `train` and `val` are the splits;
    or it is the `trainA` of CycleGAN, whose held-out pictures are in the `testA` beside it.

    Args:
      text: path of the folder.
      former: whether to find what earlier versions did.

    Raises:
      InputError: there is no such folder, it cannot be listed, it holds no files, or two domains.
    """
    root = existing(text)
    base, splits, layout = (_former_splits if former else _splits)(root)
    found = [_walk(folder, former=former) for folder in splits]
    for folder, (files, _) in zip(splits, found, strict=True):
        if not files:
            raise InputError(f"{folder} holds no pictures, at any depth.")
    (train, seen), *more = found
    searched = frozenset(seen).union(*(folders for _, folders in more))
    return Listing(root, base, train, more[0][0] if more else None, searched, layout)


def parts(text: str) -> list[Path]:
    """Returns the folders that are searched for a set of pictures, at any depth.

    Args:
      text: path of the folder.

    Raises:
      InputError: there is no such folder, it cannot be listed, or it holds two domains.
    """
    _, splits, _ = _splits(existing(text))
    return list(splits)


class Below(NamedTuple):
    """What lies below a folder at any depth; hidden files and those of the system are left out.

    Attributes:
      pictures: files that begin as pictures of any kind do, are named like one, or cannot be
        opened; sorted.
      others: other files.
      unlisted: why folders could not be listed, in a sentence each.
    """

    pictures: list[Path]
    others: list[Path]
    unlisted: list[str]


def pictures_below(folder: Path) -> Below:
    """Lists the files below a folder.

    Raises:
      InputError: the folder itself cannot be listed.
    """
    errors: list[OSError] = []
    files, seen = _walk(folder, errors.append)
    if errors and not seen:
        _refuse(errors[0])
    others = [file for file in files if not _may_be_picture(file)]
    return Below(sorted(set(files).difference(others)), others, [*map(_unlisted, errors)])


def digest(files: Iterable[tuple[str, Path]], *, exact: bool = False) -> str:
    """Hashes the names of files, their sizes and modification times.

    Args:
      files: names and paths.
      exact: whether to hash what a copy does not keep, too: then files that exchanged their names
        are noticed.
    """
    kept = "st_size", "st_mtime_ns", *(("st_ino", "st_ctime_ns") if exact else ())
    found = hashlib.sha256()
    for name, file in files:
        try:
            status = file.stat()
            state = [getattr(status, field) for field in kept]
        except OSError:  # a broken link; left out and counted when it is to be read
            state = [-1] * len(kept)
        found.update(repr((name, *state)).encode())
    return found.hexdigest()


def two_domains(root: Path) -> tuple[Path, Path] | None:
    """Returns the folders of A and B if a folder is the root of a data set as CycleGAN's are."""
    here, _ = _contents(root) if root.is_dir() else ({}, [])
    a, b = here.get("traina"), here.get("trainb")
    return (a, b) if a and b else None


def is_named_as_picture(name: str) -> bool:
    """Whether a file is named like a picture, and so should be one."""
    return (mimetypes.guess_type(name)[0] or "").startswith("image/")


def _may_be_picture(file: Path) -> bool:
    try:
        return is_named_as_picture(file.name) or images.kind(file) is not None
    except InputError:
        return True


def existing(text: str) -> Path:
    """Returns a folder, absolute and without links.

    Raises:
      InputError: there is no such folder.
    """
    path = expanded(text)
    try:
        root = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links that form a circle
        why = f" ({getattr(error, 'strerror', None) or error})"
        said = "" if isinstance(error, FileNotFoundError) else why
        raise InputError(f"{path}: there is no such folder{said}; check the path.") from error
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; name the folder that holds the pictures.")
    return root


def _splits(root: Path) -> tuple[Path, list[Path], str]:
    """Returns where names begin, the folders of the splits, and a description."""
    if domains := two_domains(root):
        a, b = domains
        raise InputError(
            f"{root} holds two domains; name it for both, --a={root} --b={root}, or write "
            f"folder:{a} and folder:{b}."
        )
    # trainA and testA, side by side.
    if domain := re.fullmatch(r"train([ab])", root.name, re.IGNORECASE):
        beside, _ = _contents(root.parent)
        names = (f"{name}{domain[1]}".lower() for name in _HELD_OUT)
        if val := next((beside[name] for name in names if name in beside), None):
            return root.parent, [root, val], f"folder {val.name}"
        return root, [root], ""
    # train and val, one below the other folder.
    here, pictures = _contents(root)
    train = here.pop(_TRAIN, None)
    val = next((here.pop(name) for name in _HELD_OUT if name in here), None)
    others = [folder.name for folder in here.values()]
    if not train:
        return root, [root], ""
    if val:
        others += ["pictures beside them"] if pictures else []
        unused = f"; not used: {', '.join(others)}" if others else ""
        return root, [train, val], f"folder {val.name}{unused}"
    all_of = f"{', '.join([train.name, *others])} are one set: " if others else ""
    return root, [root], f"{all_of}no val or test beside {train.name}"


def _former_splits(root: Path) -> tuple[Path, list[Path], str]:
    held_out = next((root / name for name in _FORMER_HELD_OUT if (root / name).is_dir()), None)
    own = held_out is not None and (root / _TRAIN).is_dir()
    return root, [root / _TRAIN, held_out] if held_out and own else [root], ""


def _walk(
    root: Path, onerror: Callable[[OSError], None] | None = None, *, former: bool = False
) -> tuple[list[Path], set[Path]]:
    """Returns the files at any depth, sorted, and all folders, without links."""

    def ours(name: str) -> bool:
        return not name.startswith((".", "__MACOSX")) if former else _ours(name)

    found: list[Path] = []
    seen: set[Path] = set()
    # Links come last, so that a picture's name does not depend on links to its folder.
    starts = [root]
    for start in starts:
        for where, folders, names in os.walk(start, onerror=onerror or _refuse):
            folder = Path(where).resolve()
            # A link to a folder around it is a circle.
            circle = start != root and start.parent.resolve().is_relative_to(folder)
            if circle or folder in seen:
                folders.clear()
                continue
            seen.add(folder)
            folders[:] = sorted(filter(ours, folders))
            links = [Path(where, name) for name in folders if Path(where, name).is_symlink()]
            starts += [] if former else links
            found += [Path(where, name) for name in filter(ours, names)]
    if former:
        found = [file for file in found if file.suffix.lower() in _FORMER_SUFFIXES]
    return sorted(found), seen


def _contents(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Returns the folders in a folder by their names in lower case, and the names of its files."""
    _, folders, files = next(os.walk(folder, onerror=_refuse))
    # Of names that differ in case alone, the last one counts: that in lower case.
    found = {name.lower(): folder / name for name in sorted(filter(_ours, folders))}
    return found, [*filter(_ours, files)]


def _refuse(error: OSError) -> None:
    raise InputError(_unlisted(error)) from error


def _unlisted(error: OSError) -> str:
    return f"{error.filename} cannot be listed ({error.strerror})."


def _ours(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NOT_OURS
