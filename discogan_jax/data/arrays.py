"""The source `arrays:DIR`: two NumPy files, used as they are; pictures in memory become one."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Shaped

from discogan_jax.data import cache
from discogan_jax.data.cache import SPLITS, Splits
from discogan_jax.data.folder import held_out
from discogan_jax.data.source import Places, Source, Wanted
from discogan_jax.errors import InputError
from discogan_jax.files import expanded

InMemory: TypeAlias = Shaped[Any, "..."] | tuple[Shaped[Any, "..."], ...]
"""uint8 ``[N, H, W, C]``, or a pair of such arrays: those to train on, and those held out."""


@dataclass(frozen=True)
class Arrays(Source):
    """A folder with `train.npy` and `val.npy`; nothing is decoded and nothing cached."""

    kind = "arrays"
    grammar = "arrays:DIR"

    def shared_with(self, other: Source) -> Path | None:
        """Returns the folder, if it is that of both."""
        folder = expanded(self.text)
        alike = isinstance(other, Arrays) and expanded(other.text).absolute() == folder.absolute()
        return folder if alike else None

    def cache_folder(self, wanted: Wanted, places: Places) -> Path:
        """Returns the folder itself."""
        return expanded(self.text)

    def load(self, wanted: Wanted, places: Places) -> Splits:
        """Maps the two arrays into memory."""
        folder = expanded(self.text)
        # Nothing is written into a folder that is not ours.
        name = cache.folder_name(folder.name, {"arrays": os.path.realpath(folder)})
        kept = places.arrays / name
        return cache.open_arrays(folder, wanted.size, wanted.channels, kept)


def keep(pictures: InMemory, wanted: Wanted, places: Places) -> str:
    """Writes pictures that are in memory to a folder, once; returns that as a source.

    Args:
      pictures: the pictures. Of a single array, about 5% are held out, chosen by their content.
      wanted: the size and channels that they must have.
      places: locations of the arrays; equal pictures have one folder there.

    Raises:
      InputError: they are not such pictures, or cannot be written.
    """
    arrays = [np.asarray(x) for x in (pictures if isinstance(pictures, tuple) else (pictures,))]
    _check(arrays, wanted)
    rows: list[Sequence[int]] = [range(len(x)) for x in arrays]
    if len(arrays) == 1:
        # Equal pictures stay together, so that none that is held out is trained on.
        names = [hashlib.sha256(x.tobytes()).hexdigest() for x in arrays[0]]
        held = {*held_out({*names})}
        rows = [[i for i, x in enumerate(names) if (x in held) is val] for val in (False, True)]
    if not all(rows):
        raise InputError("two different pictures are needed at least, one of them to hold out")
    splits = dict(zip(SPLITS, zip((arrays[0], arrays[-1]), rows, strict=True), strict=True))

    def write(folder: Path) -> dict[str, Any]:
        for split, (x, chosen) in splits.items():
            cache.write_rows(x, chosen, folder / f"{split}.npy")
        return {}

    digests = [hashlib.sha256(np.ascontiguousarray(x).data).hexdigest() for x in arrays]
    folder = places.arrays / cache.folder_name(f"memory-{wanted.size}", {"arrays": digests})
    about = {"source": "pictures in memory"}
    cache.cached(folder, wanted.size, wanted.channels, write, about)
    return f"{Arrays.kind}:{folder.absolute()}"


def _check(arrays: Sequence[Shaped[np.ndarray, "..."]], wanted: Wanted) -> None:
    """Refuses what are no uint8 pictures of the wanted shape."""
    found = " and ".join(f"{x.dtype} {[*x.shape]}" for x in arrays)
    if len(arrays) > len(SPLITS) or any(x.dtype != np.uint8 or x.ndim != 4 for x in arrays):
        raise InputError(
            "pictures in memory are uint8 [N, H, W, C], or a pair of such arrays, to train on and "
            f"to hold out, not {found}; `images.to_uint8` converts numbers in [0, 1]"
        )
    if any(x.shape[1:] != (*wanted.size, wanted.channels) for x in arrays):
        raise InputError(
            f"the pictures in memory, {found}, do not have config.data.image_size={wanted.size} "
            f"and config.data.channels={wanted.channels}: change these, or the pictures"
        )
