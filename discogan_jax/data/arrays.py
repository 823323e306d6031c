"""The source `arrays:DIR`: two NumPy files, used as they are."""

import os
from dataclasses import dataclass
from pathlib import Path

from discogan_jax.data import cache
from discogan_jax.data.cache import Splits
from discogan_jax.data.source import Places, Source, Wanted
from discogan_jax.files import expanded


@dataclass(frozen=True)
class Arrays(Source):
    """A folder with `train.npy` and `val.npy`; nothing is decoded and nothing cached."""

    kind = "arrays"
    grammar = "arrays:DIR"

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
