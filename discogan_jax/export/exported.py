"""Exported runs, opened: they translate as runs do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Float, UInt8

from discogan_jax import export, runs
from discogan_jax.errors import InputError
from discogan_jax.export import onnx, savedmodel, stablehlo
from discogan_jax.export.format import ABOUT_FILE, About, Format, Program
from discogan_jax.files import read_json
from discogan_jax.images import in_batches
from discogan_jax.runs import Translator
from discogan_jax.state import DIRECTIONS, Domains

FORMATS: Mapping[str, Format] = {form.NAME: form for form in (stablehlo, onnx, savedmodel)}
"""By the names that ``--format`` takes; the first one is the default."""


@dataclass(frozen=True)
class Exported:
    """An exported run, opened; translates as `runs.Run` does.

    Attributes:
      path: the file or folder.
      about: what it says of itself.
      load: loads its programs, by direction.
    """

    path: Path
    about: About
    load: Callable[[], Mapping[str, Program]]

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Opens what `write` made; nothing in it is executed before `apply`.

        Args:
          path: the file or folder; of an ONNX folder also one file, which has one direction.

        Raises:
          InputError: it is no such thing, or damaged.
        """
        path = Path(path)
        try:
            about, load = _format(path).read(path)
            _, _ = about["domains"]
            if not about["image_size"] > 0 or not set(about["directions"]) <= set(DIRECTIONS):
                raise ValueError("it says impossible things of itself")
        except InputError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no exported run, or damaged: {error}") from error
        return cls(path, about, load)

    @property
    def domains(self) -> Domains:
        """Names of a and b."""
        return Domains(*self.about["domains"])

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return int(self.about["image_size"])

    @property
    def directions(self) -> tuple[str, ...]:
        """The translations that it holds."""
        return tuple(self.about["directions"])

    @cached_property
    def _programs(self) -> Mapping[str, Program]:
        try:
            return self.load()
        except InputError:
            raise
        except Exception as error:  # the runtimes have many types
            said = str(error).strip().partition("\n")[0]
            raise InputError(
                f"{self.path} cannot be loaded ({said}). It can be read "
                f"{self.about.get('readable', 'by what wrote it')}: export the run again"
            ) from error

    def apply(
        self, images: UInt8[np.ndarray, "N S S 3"], direction: str, batch_size: int = 64
    ) -> Float[np.ndarray, "N S S 3"]:
        """Translates images; see `runs.Run.apply`."""
        fixed = self.about["batch_size"]
        return in_batches(self._programs[direction], images, fixed or batch_size)


def is_exported(path: str | Path) -> bool:
    """Whether this can only be an exported run: any file, or a folder that says so."""
    path = Path(path)
    return path.is_file() or (path / ABOUT_FILE).is_file() or (path / "saved_model.pb").is_file()


def _format(path: Path) -> Format:
    if not path.is_dir():
        return onnx if path.suffix == onnx.SUFFIX else stablehlo
    kind = read_json(path / ABOUT_FILE)["kind"]
    folders = {name: form for name, form in FORMATS.items() if form.IS_FOLDER}
    if kind not in folders:
        raise ValueError(f"{ABOUT_FILE} says that it is {kind!r}, not {' or '.join(folders)}")
    return folders[kind]


def open(path: str | Path, step: int | None = None) -> Translator:
    """Opens a run directory, one of its checkpoints, or what was exported from it.

    Args:
      path: to it.
      step: of the checkpoint; the last whole one if None. An export has no others.

    Raises:
      InputError: nothing that translates is there, or no such checkpoint, or it is damaged.
    """
    if not export.is_exported(path):
        return runs.open(path, step)
    if step is not None:
        raise InputError(f"{path} is an export and has no checkpoints: leave out the step")
    return export.Exported.open(path)
