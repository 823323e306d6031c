"""Decoded pictures as two NumPy files in a folder, written once and mapped into memory after that.

Nothing here imports more than NumPy: a training run whose arrays are cached needs no decoder.
"""

import hashlib
import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt8

from discogan_jax import files
from discogan_jax.errors import InputError

_ABOUT = "about.json"


@dataclass(frozen=True)
class Images:
    """The pictures of one domain.

    Attributes:
      train: what is learnt from.
      val: what is held out, never trained on.
    """

    train: UInt8[np.ndarray, "N S S 3"]
    val: UInt8[np.ndarray, "M S S 3"]


def folder_name(label: str, facts: Mapping[str, Any]) -> str:
    """Names a cache folder: a part to read, and a key of everything that shaped the arrays.

    Args:
      label: what a person calls it.
      facts: what the key is made of; anything that JSON can hold.

    Returns:
      Such as `archive-edges2shoes-photo-64-0f3c…`.
    """
    slug = re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.")[-80:].strip("-.")
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return f"{slug}-{key}"


def open_arrays(folder: Path, image_size: int) -> Images:
    """Maps `train.npy` and `val.npy` of a folder into memory.

    Args:
      folder: where they are.
      image_size: side that the pictures must have.

    Returns:
      The pictures; read from disk as they are used.

    Raises:
      InputError: if a file is missing or is no uint8 array of that shape.
    """
    return Images(*(_open(folder / f"{split}.npy", image_size) for split in ("train", "val")))


def create(path: Path, count: int, image_size: int) -> UInt8[np.memmap, "N S S 3"]:
    """Makes a `.npy` file to be filled, so that no more memory is needed than a few pictures.

    Args:
      path: the file.
      count: number of pictures, at least one.
      image_size: their side.

    Returns:
      The array; its rows are zero until they are written.

    Raises:
      InputError: if the disk has no room for it.
    """
    shape = (count, image_size, image_size, 3)
    # The file is sparse: a disk that fills up later would kill the process with no message.
    # The folder it is in is a temporary one, which no message should name.
    files.require_room(path.parent.parent, int(np.prod(shape)), path.name)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def gather(array: UInt8[np.ndarray, "N S S 3"], rows: Sequence[int], path: Path) -> None:
    """Writes chosen rows of an array, in the order given, to a file.

    Args:
      array: where they are taken from.
      rows: which ones, at least one.
      path: the `.npy` file.
    """
    out = create(path, len(rows), array.shape[1])
    for start in range(0, len(rows), 1024):
        out[start : start + 1024] = array[np.asarray(rows[start : start + 1024])]
    out.flush()


def cached(
    folder: Path,
    image_size: int,
    write: Callable[[Path], None],
    about: Mapping[str, Any],
) -> Images:
    """Opens a cache folder, and has it written first if it is not there.

    The folder appears complete or not at all. Of several processes that want it at the same
    time one writes, the others wait for it.

    Args:
      folder: the cache folder.
      image_size: side of the pictures.
      write: writes `train.npy` and `val.npy` into the folder that it is given.
      about: what is recorded beside the arrays; its `source` names them in the log.

    Returns:
      The pictures.

    Raises:
      InputError: if the folder cannot be written; whatever `write` raises.
    """
    if not (folder / _ABOUT).is_file():
        try:
            with files.locked(folder) as alone:
                # Another process may have finished it while this one waited.
                if not (folder / _ABOUT).is_file():
                    _write(folder, write, about, alone)
        except OSError as error:
            raise InputError(
                f"{folder} could not be made: {error}. Is the disk full, or data_dir not writable?"
            ) from error
    return open_arrays(folder, image_size)


def _write(
    folder: Path, write: Callable[[Path], None], about: Mapping[str, Any], alone: bool
) -> None:
    if alone:  # so these can only be of processes that died
        for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        if folder.exists():  # somebody deleted a part of it
            shutil.rmtree(folder)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    start = time.monotonic()
    try:
        write(temporary)
        counts = {
            split: len(np.load(temporary / f"{split}.npy", mmap_mode="r"))
            for split in ("train", "val")
        }
        record = json.dumps({**about, **counts}, indent=2) + "\n"
        (temporary / _ABOUT).write_text(record, encoding="utf-8")
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / _ABOUT).is_file():
                raise
            return  # without locks, another process was first; its arrays are the same
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    took = time.monotonic() - start
    logging.info(
        "%s: cached %d + %d pictures in %s (%.1f s, %.0f a second).",
        about.get("source", folder.name),
        counts["train"],
        counts["val"],
        folder,
        took,
        sum(counts.values()) / max(took, 1e-9),
    )


def _open(path: Path, image_size: int) -> UInt8[np.ndarray, "N S S 3"]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; a folder of arrays has it.") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no NumPy array that can be mapped: {error}.") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise InputError(f"{path} is an archive of arrays (.npz); save one array with np.save.")
    expected = (image_size, image_size, 3)
    if array.dtype != np.uint8 or array.shape[1:] != expected or not len(array):
        raise InputError(
            f"{path} holds {array.dtype} {list(array.shape)}; needed is "
            f"uint8 [N, {image_size}, {image_size}, 3] with N at least 1."
        )
    return array
