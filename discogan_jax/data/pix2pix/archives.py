"""The published pix2pix archives, as `archives.toml` describes them.

Source: Isola et al. 2017, http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/
"""

import tomllib
from dataclasses import dataclass
from importlib import resources

from discogan_jax.data.cache import SPLITS
from discogan_jax.errors import choose

BASE = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"


@dataclass(frozen=True)
class PublishedArchive:
    """One published archive.

    Attributes:
      name: its name, also of the folder inside it.
      left: what the left halves of its images are.
      right: what the right halves are.
      content: what is known of the origin of its pictures and their terms.
      test: whether it may have a third split.
      width: width of its images, both halves together.
      height: their height.
      bytes: the size of the file, where it is known.
    """

    name: str
    left: str
    right: str
    content: str = ""
    test: bool = False
    width: int = 512
    height: int = 256
    bytes: int | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that it may have."""
        return (*SPLITS, "test") if self.test else SPLITS

    @property
    def file(self) -> str:
        """The published file name."""
        return f"{self.name}.tar.gz"

    @property
    def url(self) -> str:
        """The address that it is published at."""
        return f"{BASE}/{self.file}"

    @property
    def licence(self) -> str:
        """What is known of the origin and the terms of its pictures; ends a sentence."""
        made = "of a pix2pix archive (Isola et al. 2017), made of others' data under their terms"
        return f"{self.content}; {made}" if self.content else made


_TABLE = resources.files(__package__).joinpath("archives.toml").read_text(encoding="utf-8")
ARCHIVES = {
    name: PublishedArchive(name, **fields) for name, fields in tomllib.loads(_TABLE).items()
}


def find(name: str) -> PublishedArchive:
    """Returns the archive of a name.

    Raises:
      InputError: there is none; the message lists those that there are.
    """
    return ARCHIVES[choose(name, ARCHIVES, "archive")]
