"""Opens exported runs: they translate as runs do."""

import contextlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from discogan_jax import host
from discogan_jax.errors import InputError
from discogan_jax.export import registry
from discogan_jax.export.format import METADATA_FILE, Format, Metadata, Programs, has_digests
from discogan_jax.files import read_json
from discogan_jax.images import Preparation, Size, in_batches, to_uint8
from discogan_jax.runs import run
from discogan_jax.runs.best import Step
from discogan_jax.runs.translating import Images, Translations, Translator, batch
from discogan_jax.state import DIRECTIONS, DOMAINS, Domains

_MAX_SIDE, _MAX_BATCH = 1 << 14, 1 << 16


@dataclass(frozen=True, repr=False)
class Exported(Translator):
    """An opened export; translates as `runs.Run` does.

    Attributes:
      path: the file or folder.
      metadata: the content of `about.json`.
      load: loads the programs, by direction.
    """

    path: Path
    metadata: Metadata
    load: Callable[[], Programs]

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Opens what `write` made; nothing in it is executed before `apply`.

        Args:
          path: the file or folder; also a single file, of one direction, from an ONNX folder.

        Raises:
          InputError: it is no export, or damaged.
        """
        path = Path(path)
        with _explained(f"{path} is no exported run, or damaged: "):
            metadata, load = _format(path).read(path)
            opened = cls(path, metadata, load)
            sizes = {Size.of(metadata["image_size"])}
            sizes |= {x.size for x in opened.preparations.values()}
            sides = {side for size in sizes for side in size}
            known = opened.domains and opened.directions in (DIRECTIONS, *zip(DIRECTIONS))
            possible = 1 <= min(sides) <= max(sides) <= _MAX_SIDE
            if len(sizes) > 1 or not possible or not known:
                raise ValueError("its metadata contradict themselves")
            fixed = metadata["batch_size"]
            if fixed is not None and not 1 <= fixed <= _MAX_BATCH:
                raise ValueError(f"its batch size is {fixed}")
        return opened

    @property
    def remarks(self) -> tuple[str, ...]:
        """What whoever uses it should know."""
        why = "it is of an earlier version: damage would not be noticed. Export the run again"
        return () if has_digests(self.metadata) else (f"{self.path} has no digests, as {why}.",)

    @property
    def domains(self) -> Domains:
        """Names of a and b."""
        return Domains(*self.metadata["domains"])

    @cached_property
    def preparations(self) -> Mapping[str, Preparation]:
        """By domain, what is done to a picture before it is translated."""
        # Earlier exports name no more than the size.
        plain = self.metadata.get("preparation") or {}
        usual = {"size": self.metadata["image_size"]}
        return {d: Preparation.from_json(plain.get(d, usual)) for d in DOMAINS}

    @property
    def directions(self) -> tuple[str, ...]:
        """The translations that it can do."""
        return tuple(self.metadata["directions"])

    @cached_property
    def _programs(self) -> Programs:
        readable = self.metadata.get("readable", "by the program that wrote it")
        advice = f"It is readable {readable}: export the run again"
        with _explained(f"{self.path} cannot be loaded (", f"). {advice}"):
            return self.load()

    def apply(self, images: Images, direction: str, batch_size: int = 64) -> Translations:
        """Translates prepared images, rounded to bytes, which is what the programs take."""
        images = batch(images)
        images = images if images.dtype == np.uint8 else to_uint8(images.astype(np.float32))
        # Programs with a fixed batch size take no other.
        fixed, program = self.metadata["batch_size"], self._programs[direction]
        with _explained(f"{self.path} does not translate such images: "):
            made = in_batches(program, images, fixed or batch_size)
            if made.shape != np.shape(images):
                raise ValueError(f"its results are {list(made.shape)}")
        return made


def open_translator(path: str | Path, step: Step = None) -> Translator:
    """Opens a run directory, one of its checkpoints, or an export.

    Args:
      path: the file or folder.
      step: that of the checkpoint, see `runs.open`. An export has none.

    Raises:
      InputError: there is neither a run nor an export, no such checkpoint, or it is damaged.
    """
    if not is_exported(path):
        return run.open(path, step)
    if step is not None:
        raise InputError(f"{path} is an export and has no checkpoints: leave out the step")
    return Exported.open(path)


@contextlib.contextmanager
def _explained(before: str, after: str = "") -> Iterator[None]:
    """Makes errors of the body mistakes of the user: an export may come from anywhere.

    Args:
      before: what stands in the message before the cause.
      after: what stands there after it.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # decoders and runtimes raise many types
        if host.out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{before}{reason}{after}") from error


def is_exported(path: str | Path) -> bool:
    """Whether this can only be an export: any file, or a folder with the files of one."""
    return Path(path).is_file() or Path(path, METADATA_FILE).is_file()


def _format(path: Path) -> Format:
    # Folders are told by their metadata, zips by their content, other files by their suffix.
    if path.is_dir():
        kind = read_json(path / METADATA_FILE)["kind"]
        if kind not in registry.FORMATS or not registry.load(kind).IS_FOLDER:
            raise ValueError(f"{METADATA_FILE} is that of another kind of export, {kind!r}")
    else:
        suffix = "" if zipfile.is_zipfile(path) else path.suffix
        kind = registry.SUFFIXES.get(suffix, registry.FORMATS[0])
    return registry.load(kind)
