"""The classes that the kinds of sources extend: a file for each kind, and a line in `sources`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from discogan_jax.data import cache
from discogan_jax.data.cache import Splits
from discogan_jax.data.catalogue.items import Items
from discogan_jax.errors import InputError
from discogan_jax.images import Preparation, Size
from discogan_jax.images.fitting import Fit

#: Part of every cache key. Raise it when a source decodes to other bytes than before, be it by a
#: change of `images.read` or `images.fit`.
DECODE_VERSION = 4


WITHOUT_TENSORFLOW = "use sources of folders or arrays"
"""What to do where a source needs TensorFlow and it is not installed."""


class Places(NamedTuple):
    """Where the files behind the sources are.

    Attributes:
      data_dir: folder of downloads, drawn archives, prepared data sets and decoded arrays.
      archives: folder of pix2pix archives, or one such file; None for the published archives.
    """

    data_dir: Path
    archives: Path | None

    @property
    def arrays(self) -> Path:
        """Folder of the decoded arrays."""
        return self.data_dir / "arrays"


@dataclass(frozen=True)
class Wanted:
    """What arrays are wanted of a source.

    Attributes:
      image_size: size of the pictures; anything that `Size.of` takes.
      fit: as in `Preparation`.
      channels: as in `Preparation`.
      range: as in `Preparation`; None for what the set of pictures needs.
      deep_only: as in `Preparation`.
      thicken: as in `Preparation`; None for what the source says.
      pages: whether only the first page of a TIFF is a picture, or each one.
      max_held_out: number of pictures that are held out at most, as earlier versions did.
      quiet: whether no warnings are logged, as they were for the same pictures at another size.
    """

    image_size: Any
    fit: Fit = "crop"
    channels: int = 3
    range: tuple[float, float] | None = None
    deep_only: bool = False
    thicken: bool | None = None
    pages: Literal["first", "all"] = "first"
    max_held_out: int | None = None
    quiet: bool = False

    @property
    def size(self) -> Size:
        """Height and width."""
        return Size.of(self.image_size)


@dataclass(frozen=True)
class Source(ABC):
    """A source of pictures: `KIND:TEXT`.

    Creating one is free of side effects: no file is read, nothing is downloaded, drawn or decoded.

    Attributes:
      kind: the word before the colon.
      grammar: the forms of the whole, for messages.
      private: whether the text is a path of this machine, of which only the end may be published.
      drawn: whether this library draws the pictures, so that anyone may publish them.
      resample: how its pictures are shrunk.
      text: what follows the colon.
    """

    kind: ClassVar[str]
    grammar: ClassVar[str]
    private: ClassVar[bool] = True
    drawn: ClassVar[bool] = False
    resample: ClassVar[Literal["hamming", "area"]] = "hamming"
    text: str

    @classmethod
    def parse(cls, text: str) -> "Source | None":
        """Creates a source from what follows the colon; returns None if a part is missing.

        Raises:
          InputError: a part is not known.
        """
        return cls(text) if text else None

    @property
    def public_name(self) -> str:
        """The source without what is private, for publication."""
        return f"{self.kind}:{Path(self.text).name if self.private else self.text}"

    @property
    def dataset(self) -> str | None:
        """Name of the published data set that it is a part of, if it is one."""
        return None

    @property
    def licence(self) -> str:
        """What is known of the origin and the terms of its pictures; ends a sentence."""
        return "pictures of whoever trained this, whose terms only they know"

    @property
    def thicken(self) -> bool:
        """Whether dark lines are thickened unless something else is asked for."""
        return False

    def preparation(self, wanted: Wanted) -> Preparation:
        """Returns what is done to its pictures."""
        thicken = self.thicken if wanted.thicken is None else wanted.thicken
        asked = {name: getattr(wanted, name) for name in ("fit", "channels", "range", "deep_only")}
        return Preparation(wanted.size, thicken=thicken, resample=self.resample, **asked)

    def pairs_with(self, other: "Source") -> bool:
        """Whether held-out picture i is the partner of the other source's held-out picture i."""
        return False

    def shared_with(self, other: "Source") -> Path | None:
        """Returns a folder of which both sources hold the pictures, where they are not pairs."""
        return None

    def items(self, places: Places) -> Items | None:
        """Returns what the pictures show, per split and row; None where that is not known."""
        return None

    @abstractmethod
    def cache_folder(self, wanted: Wanted, places: Places) -> Path:
        """Names the folder of its `train.npy` and `val.npy`, which need not exist yet.

        Raises:
          InputError: the files behind the source are not found.
        """

    @abstractmethod
    def load(self, wanted: Wanted, places: Places) -> Splits:
        """Maps the two arrays into memory.

        Raises:
          InputError: the pictures cannot be found, downloaded, decoded or cached.
        """


class CachedSource(Source):
    """A source whose pictures are decoded once, into a folder named after all its facts."""

    @property
    def label(self) -> str:
        """The readable part of the cache folder's name."""
        return f"{self.kind}:{self.text}"

    @abstractmethod
    def facts(self, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Returns what determines the arrays beside what is wanted: it becomes the cache key.

        Needs neither TensorFlow nor the network, and changes nothing on the disk.

        Args:
          wanted: what the arrays are to be.
          places: locations of the files behind the source.

        Raises:
          InputError: the files behind the source are not found.
        """

    @abstractmethod
    def write(self, folder: Path, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Decodes all pictures into `train.npy` and `val.npy`.

        Args:
          folder: an empty folder for the two files.
          wanted: what the arrays are to be.
          places: locations of the files behind the source.

        Returns:
          What was found: the finished preparation and a `census.Census`, as JSON.

        Raises:
          InputError: the pictures cannot be found, downloaded or decoded.
        """

    def cache_folder(self, wanted: Wanted, places: Places) -> Path:
        """Names the folder by label, size and a hash of the facts."""
        return self._find(wanted, places)[0]

    def load(self, wanted: Wanted, places: Places) -> Splits:
        """Maps the two arrays into memory; decodes the pictures first if that was never done."""
        folder, facts = self._find(wanted, places)
        about = {"source": f"{self.kind}:{self.text}", **facts}
        write = partial(self.write, wanted=wanted, places=places)
        return cache.cached(folder, wanted.size, wanted.channels, write, about)

    def _find(self, wanted: Wanted, places: Places) -> tuple[Path, dict[str, Any]]:
        if wanted.channels not in (1, 3):
            raise InputError(
                f"{self.kind}:{self.text}: channels must be 1 or 3 for pictures in files, not "
                f"{wanted.channels}; arrays: takes any number"
            )
        # Everything that determines the arrays is in the key.
        facts = {
            "preparation": self.preparation(wanted).to_json(),
            "pages": wanted.pages,
            "max_held_out": wanted.max_held_out,
            "decode_version": DECODE_VERSION,
            **self.facts(wanted, places),
        }
        name = cache.folder_name(f"{self.label}-{wanted.size}", facts)
        return places.arrays / name, facts
