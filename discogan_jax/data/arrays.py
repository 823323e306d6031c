"""The source `arrays:DIR`: two NumPy files, used as they are."""

from dataclasses import dataclass
from pathlib import Path

from discogan_jax.data import cache
from discogan_jax.data.cache import Splits
from discogan_jax.data.source import Places, Source
from discogan_jax.files import expanded


@dataclass(frozen=True)
class Arrays(Source):
    """A folder with `train.npy` and `val.npy`; nothing is decoded and nothing cached."""

    kind = "arrays"
    grammar = "arrays:DIR"

    def cache_folder(self, image_size: int, places: Places) -> Path:
        """Returns the folder itself."""
        return expanded(self.text)

    def load(self, image_size: int, places: Places) -> Splits:
        """Maps the two arrays into memory."""
        return cache.open_arrays(expanded(self.text), image_size)
