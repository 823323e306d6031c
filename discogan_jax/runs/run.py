"""The run directory: what lies where, whether a config may continue it, and its trained state."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from discogan_jax import files, sharding, steps
from discogan_jax.config import build
from discogan_jax.config.schema import Settings, differences, from_config
from discogan_jax.errors import InputError
from discogan_jax.files import read_json, remove_leftovers, write_json
from discogan_jax.runs import checkpoint, manifest
from discogan_jax.runs.layout import CHECKPOINTS, CONFIG_FILE, SAMPLES, VERSIONS_FILE
from discogan_jax.state import DiscoGAN, Domains, TrainState

_PACKAGES = (
    "discogan_jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "pillow",
    "clu",
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-datasets",
    "onnx",
    "onnxruntime",
)


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config, ``ConfigDict`` or not, as JSON knows it."""
    to_dict = getattr(config, "to_dict", None)
    return json.loads(json.dumps(to_dict() if to_dict else dict(config)))


def begin(directory: Path, config: Mapping[str, Any]) -> None:
    """Makes a run directory, or checks that the config may continue the run that is there.

    What a dead process was writing there is removed: the directory has to be claimed.

    Args:
      directory: of the run.
      config: resolved; written as ``config.json``.

    Raises:
      InputError: another config's run is there, or the directory cannot be written.
      OSError: the disk is full or read-only, see `disk.refusal`.
    """
    path, new = directory / CONFIG_FILE, plain(config)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / SAMPLES).mkdir(exist_ok=True)
        if path.exists():
            _check_same(path, new)
        write_json(path, new)
        write_json(directory / VERSIONS_FILE, versions())
        for folder in (directory, directory / SAMPLES):
            remove_leftovers(folder)
    except OSError as error:
        if files.refusal(error):
            raise
        raise InputError(
            f"--workdir={directory} cannot be written ({error.strerror}): name another one"
        ) from error


def _check_same(path: Path, new: dict[str, Any]) -> None:
    try:
        old = read_json(path)
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({error}): name another --workdir, or remove that file to go on "
            "with this config"
        ) from error
    if different := differences(old, new):
        raise InputError(
            f"{path.parent} holds the run of another config; name another --workdir, or use the "
            "same values:\n  " + "\n  ".join(different)
        )


@dataclass(frozen=True)
class Run:
    """A run, finished or going on, as one of its checkpoints has it.

    Attributes:
      path: the run directory.
      settings: its config.
      gan: what is trained.
      step: of the checkpoint.
      state: of the checkpoint.
    """

    path: Path
    settings: Settings
    gan: DiscoGAN
    step: int
    state: TrainState

    @property
    def domains(self) -> Domains:
        """Names of a and b."""
        return self.settings.domains

    @property
    def raw(self) -> "Run":
        """The same run with its parameters themselves in place of their averages."""
        return replace(self, state=replace(self.state, ema=None))

    def translate(
        self, images: UInt8[np.ndarray, "N S S 3"], to: str, batch_size: int = 64
    ) -> Float[np.ndarray, "N S S 3"]:
        """Translates images as training does it for held-out ones.

        Args:
          images: of the run's size; `images.read` and `images.fit` make them so.
          to: name of the domain that they become.
          batch_size: images at a time; it changes nothing but memory.

        Returns:
          Images in [0, 1].

        Raises:
          InputError: the run has no such domain.
        """
        return self.apply(images, direction(self, to), batch_size)

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.settings.data.image_size

    @property
    def directions(self) -> tuple[str, ...]:
        """The translations that the objective trains: all but ``gan`` train the way back, too."""
        return self.gan.translations

    def apply(
        self, images: UInt8[np.ndarray, "N S S 3"], direction: str, batch_size: int = 64
    ) -> Float[np.ndarray, "N S S 3"]:
        """Translates images by one of `directions`, in batches."""
        return translate(self.gan, self.state, images, direction, batch_size)


class Translator(Protocol):
    """What translates images: a run, or what was exported from one."""

    @property
    def path(self) -> Path:
        """Where it was opened."""

    @property
    def domains(self) -> Domains:
        """Names of a and b."""

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""

    @property
    def directions(self) -> tuple[str, ...]:
        """What it can do: ``"ab"`` makes b from a."""

    def apply(
        self, images: UInt8[np.ndarray, "N S S 3"], direction: str, batch_size: int = 64
    ) -> Float[np.ndarray, "N S S 3"]:
        """Translates images by one of `directions`."""


def direction(translator: Translator, to: str) -> str:
    """The way to a domain: ``"ab"`` or ``"ba"``.

    Raises:
      InputError: there is no such domain, or no way to it.
    """
    ways = {translator.domains["ab".index(d[1])]: d for d in translator.directions}
    if to not in ways:
        names = " and ".join(sorted(ways))
        raise InputError(f"{translator.path} translates to {names}, not {to!r}")
    return ways[to]


def translate(
    gan: DiscoGAN,
    state: TrainState,
    images: UInt8[np.ndarray, "N S S 3"] | Float[np.ndarray, "N S S 3"],
    direction: str,
    batch_size: int = 64,
) -> Float[np.ndarray, "N S S 3"]:
    """Translates any number of images on the device, in batches of one shape."""
    return in_batches(lambda x: steps.translate_jit(gan, state, x, direction), images, batch_size)


def in_batches(
    f: Callable[[jax.Array], jax.Array], images: Shaped[np.ndarray, "N ..."], batch_size: int
) -> Shaped[np.ndarray, "N ..."]:
    """Applies a function of batches to any number of images; it sees one shape alone."""
    made = []
    for start in range(0, len(images), batch_size):
        batch = np.asarray(images[start : start + batch_size])
        filled = np.resize(batch, (batch_size, *batch.shape[1:]))  # one shape compiles once
        made.append(np.asarray(f(jax.numpy.asarray(filled)))[: len(batch)])
    return np.concatenate(made)


def open(path: str | Path, step: int | None = None) -> Run:
    """Opens a run directory; training may be going on in it.

    Args:
      path: of the directory, or of one of its checkpoints.
      step: of the checkpoint; the last whole one if None.

    Raises:
      InputError: no run is there, or no such checkpoint, or it is damaged.
    """
    path = Path(path).absolute()
    if step is None and path.parent.name == CHECKPOINTS and path.name.isdecimal():
        path, step = path.parent.parent, int(path.name)
    try:
        config = read_json(path / CONFIG_FILE)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no run directory: {CONFIG_FILE} in it: {error}") from error
    settings = from_config(config)
    gan = build.gan(settings)
    saved = manifest.steps(path / CHECKPOINTS)
    if not saved or (step is not None and step not in saved):
        there = ", ".join(map(str, saved)) or "none yet"
        raise InputError(f"{path} has no checkpoint {'' if step is None else step}; it has {there}")
    where = sharding.replicated(sharding.data_mesh(jax.local_devices()[:1]))
    shapes = build.state_shapes(settings, gan)
    step, state = checkpoint.read(path / CHECKPOINTS, shapes, where, step)
    return Run(path, settings, gan, step, state)


def versions() -> dict[str, Any]:
    """What a run ran on: packages, Python, machine and devices."""
    found: dict[str, Any] = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    devices = jax.devices()
    return {
        "packages": found,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": f"{len(devices)} × {devices[0].device_kind}",
    }
