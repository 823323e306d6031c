"""The run directory: what lies where, and whether a config may continue it."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from discogan_jax.errors import InputError
from discogan_jax.settings import differences

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
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    temporary.replace(path)
