"""Finds the pictures of a folder that go with a translation: those nearest to it.

A picture is described by the colour of its foreground and by its look, a grid of mean colours.
These numbers need no network, so an index of a folder serves every checkpoint, and exports as well.
docs/match.md has how they were chosen.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from absl import logging
from jaxtyping import Float, Float32, UInt8

from discogan_jax import files, images
from discogan_jax.data import cache, listing
from discogan_jax.data.census import MAX_NAMED, left_out_text
from discogan_jax.data.decode import map_ahead
from discogan_jax.data.progress import progress_bar
from discogan_jax.errors import InputError, printable
from discogan_jax.evaluation.metrics.colour import RGB, foreground_colour
from discogan_jax.files import shapes
from discogan_jax.images import PictureError, Preparation, Size
from discogan_jax.images.reading import NO_PICTURE, UNREADABLE
from discogan_jax.runs import Run, Translator
from discogan_jax.runs.translating import check_takes_files, direction

COUNT = 6
"""Number of pictures that are found if none is given."""

COLOUR, GRID = 4.0, Size(8, 8)
"""Weight of the foreground's colour beside the look, and the rows and columns of the look."""

# Part of every index; raise it when pictures are described by other numbers than before.
_VERSION = 2

_SHAPE = {
    "digest": str,
    "numbers": str,
    "names": [str],
    "left_out": {str: {"count": int, "names": [str]}},
}
_BATCH = 256  # pictures that are described at a time


class Match(NamedTuple):
    """A picture of a catalogue that goes with a translation.

    Attributes:
      name: path of its file below the catalogue's folder.
      distance: 0 for a picture that is described by the same numbers.
    """

    name: str
    distance: float


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The pictures of a folder, described for the search.

    Attributes:
      folder: the folder, absolute and without links.
      preparation: what is done to a picture before it is described.
      names: paths of the pictures below the folder.
      described: numbers that describe them.
      left_out: files that are not used, by reason, as `census.left_out_text` takes them.
    """

    folder: Path
    preparation: Preparation
    names: Sequence[str]
    described: Float32[np.ndarray, "N F"]
    left_out: Mapping[str, Any]

    def nearest(
        self,
        translations: UInt8[np.ndarray, "M h w C"] | Float[np.ndarray, "M h w C"],
        count: int = COUNT,
    ) -> list[list[Match]]:
        """Finds the pictures that are nearest to translations.

        Args:
          translations: what a run makes of pictures: bytes, or numbers in [0, 1].
          count: number of pictures for each; all of a smaller catalogue.

        Returns:
          For each translation the nearest pictures, the nearest one first.

        Raises:
          InputError: a translation has values that are no numbers.
        """
        if translations.dtype != np.uint8:
            try:
                translations = images.to_uint8(translations)
            except ValueError as error:
                raise InputError(f"{error} Use another checkpoint.") from error
        return [self._nearest(x, count) for x in describe(translations)]

    def _nearest(self, wanted: Float32[np.ndarray, " F"], count: int) -> list[Match]:
        distances = np.sqrt(np.square(self.described - wanted).sum(1))
        first = np.argsort(distances, kind="stable")[:count]
        return [Match(self.names[i], float(distances[i])) for i in first]

    def load(self, name: str, size: Size) -> UInt8[np.ndarray, "h w C"] | None:
        """Reads one of its pictures, cut as before the search but of another size.

        Returns:
          None, with a line in the log, if it is gone or damaged by now.
        """
        preparation = replace(self.preparation, size=size)
        try:
            return preparation.apply(preparation.load(self.folder / name))
        except InputError as error:
            logging.error("not shown: %s", printable(str(error)))
            return None

    def __str__(self) -> str:
        left_out = f"; left out: {left_out_text(self.left_out)}" if self.left_out else ""
        number = len(self.names)
        return f"{self.folder}: {number:,} picture{'s' * (number != 1)}{left_out}"


def open_catalogue(
    folder: str | Path, translator: Translator, to: str, data_dir: str | Path | None = None
) -> Catalogue:
    """Opens a folder of pictures to search in; describes them first unless that was done.

    The numbers are kept in `data_dir`, and made anew when a file has come, gone or changed.

    Args:
      folder: the folder; pictures at any depth are used, and what is none is left out.
      translator: a run or an export.
      to: name of the domain that the pictures are of: they are prepared as those trained on.
      data_dir: folder of prepared data; that of the run's config if None, and ``data`` for exports.

    Raises:
      InputError: there is no such folder or domain, or no picture in it can be read.
    """
    preparation = translator.preparations[direction(translator, to)[1]]
    check_takes_files(preparation)
    if data_dir is None:
        data_dir = translator.settings.data_dir if isinstance(translator, Run) else "data"
    root = listing.existing(str(folder))
    pictures, others, unlisted = listing.pictures_below(root)
    if not pictures:
        raise InputError(f"{root} holds no pictures, at any depth; name the catalogue's folder.")

    # The place depends on all but the files, so that a new index replaces the old one.
    facts = {"folder": str(root), "preparation": preparation.to_json(), "version": _VERSION}
    name = cache.folder_name(f"{root.name}-{preparation.size}", facts)
    place = files.expanded(data_dir) / "catalogues" / f"{name}.npz"
    names, left_out = ([x.relative_to(root).as_posix() for x in xs] for xs in (pictures, others))
    digest = listing.digest(((name, root / name) for name in (*names, *left_out)), exact=True)
    index = _read(place, digest)
    if index is None:
        index = _make(root, names, left_out, preparation, digest)
        _keep(place, *index)
    about, described = index
    unused = about["left_out"]
    if unlisted:
        problems = [printable(text.rstrip("."), "") for text in unlisted[:MAX_NAMED]]
        unused = unused | {"folder": {"count": len(unlisted), "names": problems}}
    return Catalogue(root, preparation, about["names"], described, unused)


def _make(
    root: Path, names: list[str], others: list[str], preparation: Preparation, digest: str
) -> tuple[dict[str, Any], Float32[np.ndarray, "N F"]]:
    """Describes all pictures that can be read."""
    left_out = {NO_PICTURE: others} if others else {}
    problems, usable, described = [], [], []

    def load(name: str) -> UInt8[np.ndarray, "h w C"] | PictureError:
        try:
            return preparation.apply(preparation.load(root / name))
        except PictureError as error:
            return error

    loaded = map_ahead(load, names)
    results = iter(progress_bar(root.name, len(names), " pictures", iterable=loaded))
    while batch := list(islice(results, _BATCH)):
        for name, found in batch:
            if isinstance(found, PictureError):
                # What is here is named like a picture, and so should be one.
                reason = UNREADABLE if found.reason == NO_PICTURE else found.reason
                left_out.setdefault(reason, []).append(name)
                problems.append(found)
        readable = [(name, x) for name, x in batch if not isinstance(x, PictureError)]
        if readable:
            usable += [name for name, _ in readable]
            described.append(describe(np.stack([x for _, x in readable])))
    if not usable:
        raise InputError(
            f"{root}: none of {len(names)} pictures can be read. The first: {problems[0]}"
        )
    counted = {
        reason: {"count": len(found), "names": [printable(x, "") for x in found[:MAX_NAMED]]}
        for reason, found in left_out.items()
    }
    numbers = np.concatenate(described)
    about = {"digest": digest, "numbers": _hash(numbers), "names": usable, "left_out": counted}
    return about, numbers


def _hash(numbers: Float32[np.ndarray, "N F"]) -> str:
    return hashlib.sha256(numbers.tobytes()).hexdigest()


def describe(pictures: UInt8[np.ndarray, "N h w C"]) -> Float32[np.ndarray, "N F"]:
    """Describes prepared pictures: of two, the distance is that of their numbers.

    Args:
      pictures: grey or RGB.

    Returns:
      For each picture its colour, three numbers, and its look.
    """
    grids = np.stack([images.fit(x, GRID, "stretch", "area") for x in pictures])
    look = images.to_unit(grids).reshape(len(pictures), -1)
    rgb = pictures if pictures.shape[-1] == RGB else pictures.repeat(RGB, axis=-1)
    found = foreground_colour(images.to_unit(rgb))
    # The hue is an angle, and counts as much as there is colour. No foreground is white.
    point = np.nan_to_num(found.chroma) * np.exp(1j * np.radians(np.nan_to_num(found.hue)))
    colour = np.stack([point.real, point.imag, np.nan_to_num(found.lightness, nan=1.0)], 1)
    parts = COLOUR * colour, look / np.sqrt(look.shape[1])
    return np.concatenate(parts, 1).astype(np.float32)


def _keep(place: Path, about: Mapping[str, Any], described: Float32[np.ndarray, "N F"]) -> None:
    """Writes an index; where that cannot be, it is made anew next time."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(place) as temporary, temporary.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), described=described)
    except (OSError, InputError) as error:
        logging.warning("The index of the catalogue is not kept: %s", error)


def _read(place: Path, digest: str) -> tuple[dict[str, Any], Float32[np.ndarray, "N F"]] | None:
    """Reads an index; None if there is none, it is damaged, or of other files."""
    try:
        files.require_regular(place)
        with place.open("rb") as file, np.load(file) as saved:
            about, described = json.loads(str(saved["about"])), saved["described"]
        shapes.check(about, _SHAPE)
        if described.dtype != np.float32 or described.shape[:1] != (len(about["names"]),):
            raise ValueError("its numbers are not those of its pictures")
        if _hash(described) != about["numbers"]:
            raise ValueError("its numbers have changed")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        logging.warning("%s is damaged (%s); it is made anew", place, error)
        return None
    return (about, described) if about["digest"] == digest else None
