"""What runs and their exports have in common: both translate pictures."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from discogan_jax.errors import InputError
from discogan_jax.images import Picture, Preparation, Size, in_unit
from discogan_jax.state import Domains

Images = UInt8[np.ndarray, "N H W C"] | Float[np.ndarray, "N H W C"]
"""Images that are prepared for a network: bytes, or numbers in [0, 1]."""

File = str | Path | bytes | Picture
"""A picture file: its path, its content, or what `images.load` read from it."""

Pictures = Images | File | Sequence[File | UInt8[np.ndarray, "H W C"]]
"""Prepared images, or pictures that are still to be prepared."""

Translations = Float[np.ndarray, "N H W C"]
"""Images in [0, 1]."""


class Translator(ABC):
    """Translates pictures: a run, or an export of one.

    Attributes:
      path: where it was opened.
    """

    path: Path

    def __repr__(self) -> str:
        ways = ", ".join(map(self.domains.route, self.directions))
        return f"<{type(self).__name__} {self.path}: {ways}>"

    @property
    @abstractmethod
    def domains(self) -> Domains:
        """Names of a and b."""

    @property
    @abstractmethod
    def preparations(self) -> Mapping[str, Preparation]:
        """By domain, what is done to a picture before it is translated."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What whoever translates with it should know."""
        return ()

    @property
    def image_size(self) -> Size:
        """Height and width of the images."""
        return self.preparations["a"].size

    @property
    @abstractmethod
    def directions(self) -> tuple[str, ...]:
        """The directions that it translates in: ``"ab"`` makes b from a."""

    @abstractmethod
    def apply(self, images: Images, direction: str, batch_size: int = 64) -> Translations:
        """Translates prepared images in one of the `directions`.

        Args:
          images: prepared images.
          direction: one of the `directions`.
          batch_size: images at a time; changes nothing but the memory in use.
        """

    def translate(self, pictures: Pictures, to: str, batch_size: int = 64) -> Translations:
        """Translates pictures to a domain, prepared as the pictures that were trained on.

        Args:
          pictures: a file, or a sequence of files and of uint8 arrays ``[H, W, 1]`` or
            ``[H, W, 3]``, of any sizes. One array ``[N, H, W, C]`` of the model's size, of uint8 or
            of numbers in [0, 1], is taken as prepared already.
          to: name of the domain.
          batch_size: images at a time; changes nothing but the memory in use.

        Returns:
          Images in [0, 1].

        Raises:
          InputError: there is no such domain, or a picture cannot be read.
        """
        way = direction(self, to)
        return self.apply(_prepared(self.preparations[way[0]], pictures), way, batch_size)


def _prepared(preparation: Preparation, pictures: Pictures) -> Images:
    if isinstance(pictures, np.ndarray | jax.Array):
        pictures = batch(pictures)
        if pictures.shape[1:] == (*preparation.size, preparation.channels):
            return pictures
        if pictures.ndim != 4 or pictures.shape[3] not in (1, 3) or pictures.dtype != np.uint8:
            raise InputError(
                f"arrays of {pictures.dtype} {[*pictures.shape]} cannot be prepared: give uint8 "
                f"[N, H, W, 1 or 3], or prepared ones of the model's size, {preparation.size} with "
                f"{preparation.channels} channels"
            )
    check_takes_files(preparation)
    several = [pictures] if isinstance(pictures, str | Path | bytes | Picture) else pictures
    loaded = (preparation.load(x) if isinstance(x, str | Path | bytes) else x for x in several)
    return np.stack([preparation.apply(x) for x in loaded])


def batch(images: Shaped[Any, "..."]) -> Images:
    """Returns images as a NumPy array; refuses what would be translated into nonsense.

    Raises:
      InputError: they have no batch axis, or are neither bytes nor numbers in [0, 1].
    """
    array = np.asarray(images)
    if array.ndim == 3:
        shape = [*array.shape]
        raise InputError(f"{shape} is one picture: add a batch axis, picture[None]")
    if array.dtype != np.uint8 and not in_unit(array):
        raise InputError(
            f"images of {array.dtype} must be numbers in [0, 1], and these reach from "
            f"{array.min():g} to {array.max():g}: divide those of 0 to 255 by 255, or give uint8"
        )
    return array


def check_takes_files(preparation: Preparation) -> None:
    """Checks that a model is one of pictures as files hold them.

    Raises:
      InputError: it was trained on arrays of another number of channels.
    """
    if preparation.channels not in (1, 3):
        raise InputError(
            f"the model takes arrays of {preparation.channels} channels, which no picture file "
            "has: give such arrays to `translate` in Python"
        )


def describe(translator: Translator) -> str:
    """Describes what is done to pictures before they are translated: ``edges: cut to ...``."""
    names: dict[str, list[str]] = {}
    for source, _ in translator.directions:
        alike = names.setdefault(str(translator.preparations[source]), [])
        alike.append(translator.domains.name(source))
    return "; ".join(f"{' and '.join(alike)}: {text}" for text, alike in names.items())


def direction(translator: Translator, to: str) -> str:
    """Finds the direction that leads to a domain: ``"ab"`` or ``"ba"``.

    Raises:
      InputError: there is no such domain, or no direction to it.
    """
    targets = {translator.domains.name(d[1]): d for d in translator.directions}
    if to not in targets:
        names = " and ".join(sorted(targets))
        raise InputError(f"{translator.path} translates to {names}, not {to!r}")
    return targets[to]
