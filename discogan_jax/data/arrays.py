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

    grammar = "arrays:DIR"
    path: Path

    @classmethod
    def parse(cls, text: str) -> "Arrays | None":
        """Creates it from the folder's path."""
        return cls(expanded(text)) if text else None

    @property
    def label(self) -> str:
        """The folder's own name alone: the path may be private."""
        return f"arrays:{self.path.name}"

    @property
    def licence(self) -> str:
        """Nothing is known of them."""
        return "pictures of whoever trained this, whose terms only they know"

    def cache_folder(self, image_size: int, places: Places) -> Path:
        """Returns the folder itself."""
        return self.path

    def load(self, image_size: int, places: Places) -> Splits:
        """Maps the two arrays into memory."""
        return cache.open_arrays(self.path, image_size)
