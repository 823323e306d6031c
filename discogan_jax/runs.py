"""The run directory: what lies where, whether a config may continue it, and its trained state."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, UInt8

from discogan_jax import build, checkpoint, sharding, steps
from discogan_jax.continuing import differences
from discogan_jax.errors import InputError
from discogan_jax.settings import Settings, from_config
from discogan_jax.state import DiscoGAN, TrainState
from discogan_jax.whole_file import replacing

CONFIG_FILE = "config.json"
VERSIONS_FILE = "versions.json"
CHECKPOINTS = "checkpoints"
SAMPLES = "samples"

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
)


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config, ``ConfigDict`` or not, as JSON knows it."""
    to_dict = getattr(config, "to_dict", None)
    return json.loads(json.dumps(to_dict() if to_dict else dict(config)))


def begin(directory: Path, config: Mapping[str, Any]) -> None:
    """Makes a run directory, or checks that the config may continue the run that is there.

    Args:
      directory: of the run.
      config: resolved; written as ``config.json``.

    Raises:
      InputError: another config's run is there, or the directory cannot be written.
    """
    path, new = directory / CONFIG_FILE, plain(config)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / SAMPLES).mkdir(exist_ok=True)
        if path.exists():
            _check_same(path, new)
        write_json(path, new)
        write_json(directory / VERSIONS_FILE, versions())
    except OSError as error:
        raise InputError(
            f"--workdir={directory} cannot be written ({error.strerror}): name another one"
        ) from error


def _check_same(path: Path, new: dict[str, Any]) -> None:
    try:
        old = json.loads(path.read_text())
    except json.JSONDecodeError as error:
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
    def domains(self) -> tuple[str, str]:
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
        if to not in self.domains:
            raise InputError(f"{self.path} translates to {' and '.join(self.domains)}, not {to!r}")
        direction = "ba" if to == self.domains[0] else "ab"
        return translate(self.gan, self.state, images, direction, batch_size)


def translate(
    gan: DiscoGAN,
    state: TrainState,
    images: UInt8[np.ndarray, "N S S 3"] | Float[np.ndarray, "N S S 3"],
    direction: str,
    batch_size: int = 64,
) -> Float[np.ndarray, "N S S 3"]:
    """Translates any number of images on the device, in batches of one shape."""
    made = []
    for start in range(0, len(images), batch_size):
        batch = np.asarray(images[start : start + batch_size])
        filled = np.resize(batch, (batch_size, *batch.shape[1:]))  # one shape compiles once
        y = steps.translate_jit(gan, state, jax.numpy.asarray(filled), direction)
        made.append(np.asarray(y)[: len(batch)])
    return np.concatenate(made)


def open(path: str | Path, step: int | None = None) -> Run:
    """Opens a run directory; training may be going on in it.

    Args:
      path: of the directory.
      step: of the checkpoint; the last one if None.

    Raises:
      InputError: no run is there, or no such checkpoint.
    """
    path = Path(path).absolute()
    try:
        config = json.loads((path / CONFIG_FILE).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is no run directory: {CONFIG_FILE} in it: {error}") from error
    settings = from_config(config)
    gan = build.gan(settings)
    saved = checkpoint.steps_saved(path / CHECKPOINTS)
    if not saved or (step is not None and step not in saved):
        there = ", ".join(map(str, saved)) or "none yet"
        raise InputError(f"{path} has no checkpoint {'' if step is None else step}; it has {there}")
    step = saved[-1] if step is None else step
    where = sharding.replicated(sharding.data_mesh(jax.local_devices()[:1]))
    shapes = build.state_shapes(settings, gan)
    state = checkpoint.read(path / CHECKPOINTS, step, shapes, where)
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


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file that is at all times either the old one or the new one."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")
