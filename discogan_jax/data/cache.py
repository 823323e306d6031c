"""Decoded pictures as two NumPy files in a folder: written once, then mapped into memory."""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt8

from discogan_jax import files
from discogan_jax.errors import InputError

SPLITS = ("train", "val")
_ABOUT = "about.json"  # written last: a folder that has it is complete


@dataclass(frozen=True)
class Splits:
    """The pictures of one domain.

    Attributes:
      train: pictures to train on.
      val: held-out pictures, never trained on.
    """

    train: UInt8[np.ndarray, "N S S 3"]
    val: UInt8[np.ndarray, "M S S 3"]


def folder_name(label: str, facts: Mapping[str, Any]) -> str:
    """Names a cache folder by a readable part and a key of everything that determines the arrays.

    Args:
      label: the readable part.
      facts: the content of the key; anything that JSON can hold.

    Returns:
      A name such as `archive-edges2shoes-photo-64-0f3c…`.
    """
    slug = re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.")[-80:].strip("-.")
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return f"{slug}-{key}"


def open_arrays(folder: Path, image_size: int) -> Splits:
    """Maps `train.npy` and `val.npy` of a folder into memory.

    Args:
      folder: the folder.
      image_size: side that the pictures must have.

    Returns:
      The pictures; read from disk as they are used.

    Raises:
      InputError: a file is missing or is not a uint8 array of that shape.
    """
    return Splits(*(_open(folder / f"{split}.npy", image_size) for split in SPLITS))


def create_array(path: Path, count: int, image_size: int) -> UInt8[np.memmap, "N S S 3"]:
    """Creates a `.npy` file to be filled through a mapping, so that few pictures are in memory.

    Args:
      path: the file.
      count: number of pictures, at least one.
      image_size: their side.

    Returns:
      The array; its rows are zero until they are written.

    Raises:
      InputError: the disk has no room for it.
    """
    shape = (count, image_size, image_size, 3)
    # The file is sparse: a disk that fills up later would kill the process without a message.
    # The parent's parent, since the folder itself is a temporary one, which no message should name.
    files.require_room(path.parent.parent, int(np.prod(shape)), path.name)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def write_rows(array: UInt8[np.ndarray, "N S S 3"], rows: Sequence[int], path: Path) -> None:
    """Writes chosen rows of an array, in the order given, to a file.

    Args:
      array: the array.
      rows: numbers of the rows, at least one.
      path: the `.npy` file.
    """
    out = create_array(path, len(rows), array.shape[1])
    np.take(array, rows, axis=0, out=out, mode="clip")  # any other mode would copy all of it
    out.flush()


def cached(
    folder: Path, image_size: int, write: Callable[[Path], None], about: dict[str, Any]
) -> Splits:
    """Opens a cache folder; has it written first if it does not exist.

    The folder appears complete or not at all. Of several processes that need it at the same time
    one writes, the others wait for it.

    Args:
      folder: the cache folder.
      image_size: side of the pictures.
      write: writes `train.npy` and `val.npy` into the folder that it is given.
      about: what is recorded beside the arrays; its `source` names them in the log.

    Returns:
      The pictures.

    Raises:
      InputError: the folder cannot be written; whatever `write` raises.
    """
    about_file = folder / _ABOUT
    if not about_file.is_file():
        try:
            with files.locked(folder) as alone:
                # Another process may have finished it while this one waited.
                if not about_file.is_file():
                    _write(folder, write, about, alone)
        except OSError as error:
            advice = "Is the disk full, or data_dir not writable?"
            raise InputError(f"{folder} could not be made: {error}. {advice}") from error
    return open_arrays(folder, image_size)


def _write(folder: Path, write: Callable[[Path], None], about: dict[str, Any], alone: bool) -> None:
    # Where this process is alone, any leftovers are of killed ones.
    for leftover in folder.parent.glob(f".{folder.name}.*.tmp") if alone else ():
        shutil.rmtree(leftover, ignore_errors=True)
    start = time.monotonic()
    # Without locks another one may still finish first, and map what it has written.
    keep = None if alone else (folder / _ABOUT).is_file
    with files.replacing_folder(folder, keep) as temporary:
        temporary.mkdir()
        write(temporary)
        arrays = (np.load(temporary / f"{split}.npy", mmap_mode="r") for split in SPLITS)
        counts = dict(zip(SPLITS, map(len, arrays), strict=True))
        files.write_json(temporary / _ABOUT, {**about, **counts})
    seconds = time.monotonic() - start
    text = "%s: cached %d + %d pictures in %s (%.1f s, %.0f a second)."
    rate = sum(counts.values()) / max(seconds, 1e-9)
    logging.info(text, about.get("source"), *counts.values(), folder, seconds, rate)


def _open(path: Path, image_size: int) -> UInt8[np.ndarray, "N S S 3"]:
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; a folder of arrays has it.") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no NumPy array that can be mapped: {error}.") from error
    expected = (image_size, image_size, 3)
    if array.dtype != np.uint8 or array.shape[1:] != expected or not len(array):
        needed = f"uint8 [N, {image_size}, {image_size}, 3] with N at least 1"
        raise InputError(f"{path} holds {array.dtype} {list(array.shape)}; needed is {needed}.")
    return array
