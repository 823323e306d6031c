"""The sources `catalogue:bags` and `catalogue:shoes`: pictures that this library draws."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discogan_jax.data.catalogue import archive
from discogan_jax.data.catalogue.items import Items
from discogan_jax.data.pix2pix.archives import ARCHIVES
from discogan_jax.data.pix2pix.source import ArchiveSide
from discogan_jax.data.source import CachedSource, Places, Wanted
from discogan_jax.errors import choose

# Those of `write_archives` by default.
_PARAMETERS = archive.Parameters()


@dataclass(frozen=True)
class Catalogue(CachedSource):
    """The photo side of one of the drawn archives."""

    kind = "catalogue"
    private = False
    grammar = "catalogue:bags or catalogue:shoes"
    drawn = True
    resample = "area"

    @classmethod
    def parse(cls, text: str) -> "Catalogue":
        """Creates it from the word for what is drawn."""
        return cls(choose(text, archive.ARCHIVES, "drawn domain"))

    @property
    def licence(self) -> str:
        """The licence of this library."""
        return "drawn by discogan_jax itself, free to use as its code is"

    def facts(self, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Returns the parameters of the drawings."""
        return {"catalogue": _PARAMETERS.record(self.text)}

    def write(self, folder: Path, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Draws the archives if they do not exist, and decodes the photos of one of them."""
        archives = places.data_dir / "catalogue"
        archive.write_archives(archives)
        name = archive.ARCHIVES[self.text]
        photos = ArchiveSide(f"{name}/photo", ARCHIVES[name], "photo")
        return photos.write(folder, wanted, Places(places.data_dir, archives))

    def items(self, places: Places) -> Items:
        """Returns what the drawings show."""
        return archive.by_split(_PARAMETERS.items(self.text))
