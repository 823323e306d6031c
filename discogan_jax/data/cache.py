"""Decoded pictures as two NumPy files in a folder: written once, then mapped into memory."""

import contextlib
import hashlib
import re
import shutil
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from absl import logging
from jaxtyping import UInt8, UInt64

from discogan_jax import files, host
from discogan_jax.errors import InputError
from discogan_jax.host import usable_cores
from discogan_jax.images import Size

SPLITS = ("train", "val")
_ABOUT = "about.json"  # written last: a folder that has it is complete
_IDENTITY = "identity.json"
_DIGESTS = "digests.npz"

# What is read of these files, where it is there.
_SHAPES = {
    _IDENTITY: {"files": {str: [int]}, "counts": {str: int}, "digest?": str},
    _ABOUT: {
        **{f"{name}?": str for name in ("source", "folder", "listing", "layout", "values")},
        **{f"{name}?": float for name in ("cut", "grey", "clipped")},
        **{f"{name}?": int for name in ("decode_version", "unused_pages", "clear")},
        "max_held_out?": (int, type(None)),
        "preparation?": dict,
        "sizes?": [str],
        "left_out?": {str: {"count": int, "names": [str]}},
    },
}

_AT_ONCE = 1024  # pictures whose digests a thread takes

SAMPLED = 16
"""Pictures of an array that are compared with their digests where its file has not changed."""


class DamagedError(InputError):
    """Arrays cannot be read, or are not those that were cached."""


@dataclass(frozen=True)
class Splits:
    """The pictures of one domain.

    Attributes:
      train: pictures to train on.
      val: held-out pictures, never trained on.
      about: what is known of them, see `census.describe`.
      digests: per split, a digest of each picture; empty where they were not asked for.
    """

    train: UInt8[np.ndarray, "N H W C"]
    val: UInt8[np.ndarray, "M H W C"]
    about: dict[str, Any] = field(default_factory=dict)
    digests: Mapping[str, UInt64[np.ndarray, "K"]] = field(default_factory=dict)


def folder_name(label: str, facts: Mapping[str, Any]) -> str:
    """Names a cache folder by a readable part and a key of everything that determines the arrays.

    Args:
      label: the readable part.
      facts: the content of the key; anything that JSON can hold.

    Returns:
      A name such as `archive-edges2shoes-photo-64-0f3c…`.
    """
    slug = re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.")[-80:].strip("-.")
    key = files.json_sha256(facts)[:16]
    return f"{slug}-{key}"


def recorded(folder: Path) -> dict[str, Any]:
    """Returns what is recorded beside the arrays of a folder; empty if that is nothing."""
    return files.find_json(folder / _ABOUT, _SHAPES[_ABOUT]) or {}


def open_arrays(folder: Path, size: Size, channels: int, identity: Path | None = None) -> Splits:
    """Maps `train.npy` and `val.npy` of a folder into memory.

    Args:
      folder: the folder.
      size: height and width that the pictures must have.
      channels: channels that they must have.
      identity: folder in which digests of the pictures are kept, where others may alter the arrays;
        None for `folder` itself, where nobody may.

    Returns:
      The pictures; read from disk as they are used.

    Raises:
      DamagedError: a file is missing or is not a uint8 array of that shape, or what `folder` holds
        has been altered.
    """
    shape = (*size, channels)
    arrays = {split: _open(folder / f"{split}.npy", shape) for split in SPLITS}
    counts, digests = _identified(folder, arrays, identity)
    return Splits(**arrays, about=recorded(folder) | counts, digests=digests)


def _identified(
    folder: Path, arrays: Mapping[str, np.ndarray], identity: Path | None
) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """Returns counts and digests of pictures: those that are kept, if they still hold.

    All pictures are looked at where size, time or inode of a file has changed, else a few.
    """
    status = {split: (folder / f"{split}.npy").stat() for split in SPLITS}
    states = {split: [x.st_size, x.st_mtime_ns, x.st_ino] for split, x in status.items()}
    kept = identity or folder
    known = files.find_json(kept / _IDENTITY, _SHAPES[_IDENTITY]) or {}
    was = known.get("digest")
    with contextlib.suppress(OSError, ValueError):
        digests = read_digests(kept / _DIGESTS, SPLITS)
        found = _digest_of_all(folder, digests)
        was = was or found  # earlier versions kept no digest of all; or that file is gone
        if known.get("files") == states and was == found and _samples_agree(arrays, digests):
            if "digest" not in known:
                _keep(kept, known | {"digest": found}, digests)
            return known["counts"], digests
    digests = _digests(arrays)
    found = _digest_of_all(folder, digests)
    unchanged = known.get("digest") == found
    if identity is None and was not in (None, found):
        raise DamagedError(f"{folder} is damaged or was altered since it was made")
    counts = known["counts"] if unchanged else _counts(arrays, digests)
    _keep(kept, {"files": states, "counts": counts, "digest": found}, digests)
    return counts, digests


def doubt(folder: Path) -> None:
    """Has all pictures of a cache folder compared with their digests when it is opened next."""
    with contextlib.suppress(OSError, ValueError):  # as where nothing can be written
        known = files.find_json(folder / _IDENTITY, _SHAPES[_IDENTITY])
        if known and (folder / _ABOUT).is_file():
            files.write_json(folder / _IDENTITY, known | {"files": {}})


def is_altered(folder: Path) -> bool | None:
    """Compares all pictures of a cache folder with what was written; changes nothing.

    Returns:
      Whether they differ; None where nothing is, or nothing tells what was written.
    """
    known = files.find_json(folder / _IDENTITY, _SHAPES[_IDENTITY]) or {}
    if "digest" not in known or not (folder / _ABOUT).is_file():
        return None
    try:
        arrays = {split: np.load(folder / f"{split}.npy", mmap_mode="r") for split in SPLITS}
    except (OSError, ValueError, EOFError):
        return True
    return _digest_of_all(folder, _digests(arrays)) != known["digest"]


def _samples_agree(
    arrays: Mapping[str, np.ndarray], digests: Mapping[str, UInt64[np.ndarray, "_"]]
) -> bool:
    """Compares the first, the last, and some pictures drawn anew with their digests."""
    if any(len(x) != len(digests[split]) for split, x in arrays.items()):
        return False
    draw = np.random.default_rng()
    return all(
        _digest(x[row]) == digests[split][row]
        for split, x in arrays.items()
        for row in (0, -1, *draw.choice(len(x), min(len(x), SAMPLED - 2), replace=False))
    )


def _digest_of_all(folder: Path, digests: Mapping[str, UInt64[np.ndarray, "_"]]) -> str:
    """Returns a digest of all pictures and of what is recorded of them."""
    about = folder / _ABOUT
    digest = hashlib.sha256(about.read_bytes() if about.is_file() else b"")
    for split in SPLITS:
        digest.update(f"{split} {len(digests[split])}".encode() + digests[split].tobytes())
    return digest.hexdigest()


def _counts(
    arrays: Mapping[str, np.ndarray], digests: Mapping[str, UInt64[np.ndarray, "_"]]
) -> dict[str, int]:
    # Of equal pictures, equal digests; of blank ones, one value.
    counts = {split: len(x) for split, x in arrays.items()}
    counts["distinct"] = len(np.unique(np.concatenate([*digests.values()])))
    counts["blank"] = sum(_count_blank(x, digests[split]) for split, x in arrays.items())
    counts["leaked"] = int(np.isin(digests["val"], digests["train"]).sum())
    return counts


def _count_blank(pictures: np.ndarray, digests: UInt64[np.ndarray, "_"]) -> int:
    # Few pictures are equal in the middle and in a corner; of equal ones, one is looked at.
    middle = pictures[:, pictures.shape[1] // 2, pictures.shape[2] // 2]
    (rows,) = (middle == pictures[:, 0, 0]).all(1).nonzero()
    _, first, times = np.unique(digests[rows], return_index=True, return_counts=True)
    blank = [bool((x == x[0, 0]).all()) for x in map(pictures.__getitem__, rows[first])]
    return int(times[blank].sum())


def _keep(folder: Path, identity: dict[str, Any], digests: Mapping[str, np.ndarray]) -> None:
    # Where nothing can be written, they are taken anew next time.
    with contextlib.suppress(OSError, InputError):
        folder.mkdir(parents=True, exist_ok=True)
        write_digests(folder / _DIGESTS, digests)
        files.write_json(folder / _IDENTITY, identity)


def _digests(arrays: Mapping[str, np.ndarray]) -> dict[str, UInt64[np.ndarray, "_"]]:
    def taken(pictures: np.ndarray) -> UInt64[np.ndarray, "_"]:
        return np.fromiter(map(_digest, pictures), np.uint64, len(pictures))

    def of_all(pictures: np.ndarray) -> UInt64[np.ndarray, "_"]:
        parts = (pictures[i : i + _AT_ONCE] for i in range(0, len(pictures), _AT_ONCE))
        return np.concatenate([np.zeros(0, np.uint64), *pool.map(taken, parts)])

    with ThreadPoolExecutor(usable_cores()) as pool:
        return {split: of_all(x) for split, x in arrays.items()}


def _digest(picture: np.ndarray) -> int:
    return int.from_bytes(hashlib.blake2b(picture.ravel().data, digest_size=8).digest())


def write_digests(path: Path, digests: Mapping[str, UInt64[np.ndarray, "_"]]) -> None:
    """Writes digests of pictures by name."""
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **digests)  # type: ignore[arg-type]


def read_digests(
    path: Path, names: Iterable[str], *, others: Iterable[str] = ()
) -> dict[str, UInt64[np.ndarray, "_"]]:
    """Reads what `write_digests` wrote.

    Args:
      path: the file.
      names: the names that it has.
      others: names that it may have; none are read there if it has not.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is damaged, or lacks a name.
    """
    try:
        files.require_regular(path)
        with path.open("rb") as file, np.load(file) as saved:
            found = {name: saved[name] for name in names}
            none = np.zeros(0, np.uint64)
            found |= {name: saved.get(name, none) for name in others}
    except (EOFError, KeyError, BadZipFile) as error:
        raise ValueError(str(error)) from error
    if any(x.dtype != np.uint64 or x.ndim != 1 for x in found.values()):
        raise ValueError(f"{path} holds no digests")
    return found


def create_array(path: Path, shape: tuple[int, ...]) -> UInt8[np.memmap, "N H W C"]:
    """Creates a `.npy` file to be filled through a mapping, so that few pictures are in memory.

    Args:
      path: the file.
      shape: number of pictures, at least one, their height, width and channels.

    Returns:
      The array; its rows are zero until they are written.

    Raises:
      InputError: the disk has no room for it.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    # A disk that fills up while a mapping is written would kill the process without a message.
    # The parent's parent, since the folder itself is a temporary one, which no message should name.
    files.reserve(path, path.parent.parent)
    return array


def write_rows(array: UInt8[np.ndarray, "N H W C"], rows: Sequence[int], path: Path) -> None:
    """Writes chosen rows of an array, in the order given, to a file.

    Args:
      array: the array.
      rows: numbers of the rows, at least one.
      path: the `.npy` file.
    """
    out = create_array(path, (len(rows), *array.shape[1:]))
    np.take(array, rows, axis=0, out=out, mode="clip")  # any other mode would copy all of it
    out.flush()


def cached(
    folder: Path,
    size: Size,
    channels: int,
    write: Callable[[Path], dict[str, Any]],
    about: dict[str, Any],
) -> Splits:
    """Opens a cache folder; has it written first if it does not exist, or is damaged.

    The folder appears complete or not at all. Of several processes that need it at the same time
    one writes, the others wait for it.

    Args:
      folder: the cache folder.
      size: height and width of the pictures.
      channels: their channels.
      write: writes `train.npy` and `val.npy` into the folder that it is given, and returns what it
        has found.
      about: what else is recorded beside the arrays; its `source` names them in the log.

    Returns:
      The pictures.

    Raises:
      InputError: the folder cannot be written; whatever `write` raises.
    """

    def whole() -> Splits | DamagedError | None:
        try:
            there = (folder / _ABOUT).is_file()
            return open_arrays(folder, size, channels) if there else None
        except DamagedError as error:
            return error

    found = whole()
    if not isinstance(found, Splits):
        try:
            with files.locked(folder) as alone:
                # Another process may have finished it while this one waited.
                found = whole()
                if isinstance(found, DamagedError):
                    logging.warning("%s; it is made anew", found)
                if not isinstance(found, Splits):
                    # Without locks another one may still finish first, and map what it has written.
                    keep = None if alone else lambda: isinstance(whole(), Splits)
                    _write(folder, write, about, keep)
        except OSError as error:
            advice = "Is the disk full, or data_dir not writable?"
            raise InputError(f"{folder} could not be made: {error}. {advice}") from error
    return found if isinstance(found, Splits) else open_arrays(folder, size, channels)


def _write(
    folder: Path,
    write: Callable[[Path], dict[str, Any]],
    about: dict[str, Any],
    keep: Callable[[], bool] | None,
) -> None:
    # Where this process is alone, any leftovers are of killed ones.
    for leftover in folder.parent.glob(f".{folder.name}.*.tmp") if keep is None else ():
        shutil.rmtree(leftover, ignore_errors=True)
    with files.replacing_folder(folder, keep) as temporary:
        temporary.mkdir()
        found = write(temporary)
        arrays = {s: np.load(temporary / f"{s}.npy", mmap_mode="r") for s in SPLITS}
        counts = {split: len(x) for split, x in arrays.items()}
        files.write_json(temporary / _ABOUT, {**about, **found, **counts})
        _identified(temporary, arrays, None)
    text = "%s: cached %d + %d pictures in %s"
    logging.info(text, about.get("source"), *counts.values(), folder)


def _open(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "N H W C"]:
    try:
        files.require_regular(path)
        array = np.lib.format.open_memmap(path, mode="r")
        # As long as any part of the mapping is used.
        weakref.finalize(array._mmap, files.mark_in_use(path).close)  # type: ignore[attr-defined]
    except FileNotFoundError:
        raise DamagedError(f"{path}: there is no such file; a folder of arrays has it.") from None
    except Exception as error:  # what a damaged header makes NumPy raise is of any kind
        if host.out_of_memory(error):
            raise
        raise DamagedError(f"{path} is no NumPy array that can be mapped: {error}.") from error
    if array.dtype != np.uint8 or array.shape[1:] != shape or not len(array):
        needed = f"uint8 [N, {', '.join(map(str, shape))}] with N at least 1"
        raise DamagedError(
            f"{path} holds {array.dtype} {list(array.shape)}; needed is {needed}, by "
            "config.data.image_size and config.data.channels."
        )
    return array
