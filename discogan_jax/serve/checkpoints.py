"""Opens the checkpoints of a run on demand and translates pictures with them."""

import functools
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from discogan_jax import images
from discogan_jax.config import build
from discogan_jax.errors import InputError
from discogan_jax.export import exported
from discogan_jax.images.preparation import Restored
from discogan_jax.matching import Match, open_catalogue
from discogan_jax.runs import demo, manifest, pictures
from discogan_jax.runs.layout import CHECKPOINTS, CONFIG_FILE
from discogan_jax.runs.run import Run
from discogan_jax.runs.translating import Translator, check_takes_files
from discogan_jax.runs.translating import direction as direction_to
from discogan_jax.serve.decoder import Decoders
from discogan_jax.state import generators_only

KEPT = 4
"""Number of checkpoints kept open beside the newest; each takes the memory of its generators."""

EXAMPLES = 8
"""Number of held-out pictures of each domain that are shown."""

MATCH_SIDE = 192
"""Longest side, at least, of the pictures of a catalogue that are shown."""

MAX_SIDE = 2048
"""Longest side of results that are scaled to the size of their picture."""

Picture = UInt8[np.ndarray, "H W C"]


class Found(NamedTuple):
    """A picture of the catalogue that goes with a translation.

    Attributes:
      match: its name and distance.
      picture: the picture.
    """

    match: Match
    picture: Picture


class Shown(NamedTuple):
    """A picture and what became of it.

    Attributes:
      pictures: the picture as the run sees it, its translation and, where the run has a way back,
        that of the translation; all of one size.
      step: that of the checkpoint; None for an exported file.
      found: what goes with the translation, the nearest first; None where there is no catalogue of
        its domain.
    """

    pictures: list[Picture]
    step: int | None
    found: list[Found] | None


class CheckpointCache:
    """Holds what a page translates with: all checkpoints of a run, one of them, or an export.

    Safe to use from several threads. Training may go on in the run meanwhile.

    Attributes:
      newest: the checkpoint that was the newest at first. All have its domains and its size.
      catalogue: pictures that may go with translations; None if there are none.
      to: the domain of the catalogue, a or b.
    """

    def __init__(
        self,
        path: str | Path,
        catalogue: Path | None = None,
        to: str | None = None,
        data_dir: Path | None = None,
    ) -> None:
        """Opens the newest checkpoint and translates a picture, for the compiled program.

        Args:
          path: run directory, one of its checkpoints, or an exported file.
          catalogue: folder of pictures that may go with translations.
          to: name of their domain; that which the run's first direction leads to if None.
          data_dir: where the catalogue's index is kept, see `open_catalogue`.

        Raises:
          InputError: nothing that translates is there, or the catalogue cannot be used.
        """
        self._path = demo.located(path).absolute()
        self._has_steps = (self._path / CONFIG_FILE).is_file()
        self._lock = threading.Lock()
        self._decoders = Decoders()
        self._kept = functools.lru_cache(KEPT)(self._open)
        self.newest = self._open(None)
        # Compile before the first request.
        for direction in self.newest.directions:
            prepared = self.newest.preparations[direction[0]]
            check_takes_files(prepared)
            shape = (1, *prepared.size, prepared.channels)
            self.newest.apply(np.zeros(shape, np.uint8), direction, 1)
        self.to = direction_to(self.newest, to)[1] if to else self.newest.directions[0][1]
        name = self.newest.domains.name(self.to)
        self.catalogue = (
            open_catalogue(catalogue, self.newest, name, data_dir) if catalogue else None
        )

    def steps(self) -> list[int]:
        """Finds the steps of the checkpoints that are there now; none if there is no choice."""
        return manifest.steps(self._path / CHECKPOINTS) if self._has_steps else []

    def at(self, step: int | None) -> Translator:
        """Opens the checkpoint whose step is nearest.

        Args:
          step: the wanted step; None takes the newest one.

        Raises:
          InputError: it is damaged, or was deleted meanwhile.
        """
        steps = self.steps()
        if step is None or not steps:
            return self.newest
        nearest = min(steps, key=lambda s: abs(s - step))
        if nearest == _step(self.newest):
            return self.newest
        with self._lock:  # of several who want the same one the first reads it
            return self._kept(nearest)

    def _open(self, step: int | None) -> Translator:
        """Opens a checkpoint without what only training needs."""
        opened = exported.open_translator(self._path, step)
        if isinstance(opened, Run):
            return replace(opened, state=generators_only(opened.state))
        return opened

    def show(
        self,
        picture: bytes | Picture,
        direction: str,
        step: int | None = None,
        at_input_size: bool = False,
    ) -> Shown:
        """Translates a picture as `discogan translate` does, and back.

        Args:
          picture: the bytes of a file, or an array that is prepared already.
          direction: one of the translator's.
          step: that of the checkpoint, or one near it.
          at_input_size: whether results are scaled to the size of the picture in the file, or to
            `MAX_SIDE`, instead of having the model's.

        Raises:
          InputError: the picture cannot be read, or the checkpoint. The message goes to whoever
            uses the page: it names files without their folders.
        """
        try:
            translator = self.at(step)
        except InputError as error:
            raise InputError(str(error).replace(f"{self._path.parent}{os.sep}", "")) from error
        prepared = translator.preparations[direction[0]]
        if isinstance(picture, bytes):
            taken, size = self._decoders.prepare(prepared, picture)
        else:
            taken, size = picture, prepared.size
        # There, and back where the run has a way back.
        shown = [taken, _translated(translator, taken, direction)]
        if direction[::-1] in translator.directions:
            shown.append(_translated(translator, shown[-1], direction[::-1]))
        found = self._matches(shown[1]) if direction[1] == self.to else None
        if at_input_size:
            wanted: Restored = MAX_SIDE if max(size) > MAX_SIDE else "input"
            shown = [prepared.restore(x, size, wanted) for x in shown]
        return Shown(shown, _step(translator), found)

    def _matches(self, translation: Picture) -> list[Found] | None:
        """Finds what goes with a translation; None without a catalogue."""
        if self.catalogue is None:
            return None
        height, width = self.catalogue.preparation.size
        scale = -(-MATCH_SIDE // max(height, width))
        size = images.Size(scale * height, scale * width)
        (matches,) = self.catalogue.nearest(translation[None])
        read = ((match, self.catalogue.load(match.name, size)) for match in matches)
        return [Found(match, picture) for match, picture in read if picture is not None]

    def examples(self) -> Mapping[str, UInt8[np.ndarray, "N H W C"]]:
        """Finds held-out pictures of the domains that can be translated; none if not here."""
        if not isinstance(self.newest, Run):
            return {}
        # Nothing is downloaded or drawn for them.
        found = build.prepared_images(self.newest.settings, pictures.known(self.newest.path))
        sources = [direction[0] for direction in self.newest.directions]
        return {d: np.asarray(found[d].val[:EXAMPLES]) for d in sources if d in found}


def _translated(translator: Translator, picture: Picture, direction: str) -> Picture:
    made = translator.apply(picture[None], direction, 1)[0]
    try:
        return images.to_uint8(made)
    except ValueError as error:
        raise InputError(
            f"The checkpoint makes no picture of this one ({error}): choose another step."
        ) from error


def _step(translator: Translator) -> int | None:
    return translator.step if isinstance(translator, Run) else None
