"""The published pix2pix archives: what each holds, where it is published and where it is kept here.

Source: Isola et al. 2017, http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/
"""

from dataclasses import dataclass
from pathlib import Path

from discogan_jax.errors import InputError, choose
from discogan_jax.files import expanded

BASE = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
REQUIRED = ("train", "val")


@dataclass(frozen=True)
class PublishedArchive:
    """One published archive.

    Attributes:
      name: its name, also of the folder inside it.
      left: what the left halves of its images are.
      right: what the right halves are.
      content: what is known of the origin of its pictures and their terms.
      splits: the splits that it may have.
      width: width of its images, both halves together.
      height: their height.
      bytes: the size of the file, where it is known.
    """

    name: str
    left: str
    right: str
    content: str = ""
    splits: tuple[str, ...] = REQUIRED
    width: int = 512
    height: int = 256
    bytes: int | None = None

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


ARCHIVES = {
    archive.name: archive
    for archive in (
        PublishedArchive(
            "edges2shoes",
            "edges",
            "photo",
            "photographs of [UT Zappos50K]"
            "(http://vision.cs.utexas.edu/projects/finegrained/utzap50k) (Yu and Grauman 2014), "
            "whose page has its terms",
        ),
        PublishedArchive(
            "edges2handbags",
            "edges",
            "photo",
            "photographs of handbags from Amazon, collected for "
            "[iGAN](https://github.com/junyanz/iGAN) (Zhu et al. 2016), under no licence that this "
            "library knows of",
        ),
        PublishedArchive(
            "facades", "photo", "labels", splits=(*REQUIRED, "test"), bytes=30_168_306
        ),
        PublishedArchive("maps", "photo", "map", width=1200, height=600),
        PublishedArchive("night2day", "night", "day", splits=(*REQUIRED, "test")),
        PublishedArchive("cityscapes", "photo", "labels"),
    )
}


def find(name: str) -> PublishedArchive:
    """Returns the archive of a name.

    Raises:
      InputError: there is none; the message lists those that there are.
    """
    return ARCHIVES[choose(name, ARCHIVES, "archive")]


def locate(name: str, archives: Path | None, data_dir: Path) -> Path:
    """Finds the tar.gz file of an archive; downloads it only where no place for it is given.

    Args:
      name: a key of `ARCHIVES`.
      archives: the folder that holds NAME.tar.gz, or the file itself; no network is used then.
      data_dir: the folder whose `downloads` has, or gets, the file where `archives` is None.

    Returns:
      The file's path.

    Raises:
      InputError: the file is not there, or cannot be downloaded; the message says where to get it
        and where to put it.
    """
    archive = find(name)
    if archives is not None:
        given = expanded(archives)
        try:
            path = given if given.is_file() else given / archive.file
            if path.is_file():
                return path
            found = _contents(path.parent)
        except OSError as error:  # a name too long, a folder without permission
            raise InputError(f"{str(given)[:200]} cannot be read: {error.strerror}.") from error
        raise InputError(f"{archive.file} is not at {path} ({found}). {_advice(archive, path)}")
    path = expanded(data_dir) / "downloads" / archive.file
    if path.is_file():
        return path
    # Late: most runs download nothing, and requests takes a while to import.
    from discogan_jax.data.download import fetch

    advice = _advice(archive, path)
    return fetch(archive.url, path, expected_bytes=archive.bytes, magic=b"\x1f\x8b", by_hand=advice)


def _contents(folder: Path) -> str:
    """Describes what a folder holds, for the message about what it does not hold."""
    if not folder.is_dir():
        return "there is no such folder"
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"the folder holds {', '.join(names[:8]) or 'nothing'}{more}"


def _advice(archive: PublishedArchive, path: Path) -> str:
    return (
        f"Fetch {archive.url} by hand and put it at {path}, or name the folder that holds it: "
        "--config.data.archives=DIR. `make demo` needs neither an archive nor the network."
    )
