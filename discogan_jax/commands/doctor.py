"""Checks packages, devices, data and disk, and says how to mend what is missing.

The exit code is 1 if training cannot work.
"""

import argparse
import contextlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from discogan_jax import host, units
from discogan_jax.commands import frame

ROOM = 20 * 2**30
"""The two published archives take 10 GB, their images at 64 px 3 GB, checkpoints some more."""

_REQUIRED = ("discogan_jax", "jax", "flax", "optax", "orbax-checkpoint", "pillow")
_OPTIONAL = {
    "tensorflow": "decodes archives, reads data sets of TFDS, feeds images that are larger than "
    "the device's memory, writes TensorBoard's files",
    "tensorflow-datasets": "reads archives and data sets of TFDS",
    "clu": "writes TensorBoard's files",
}
# Distributions that bring a package under another name.
_ALSO = {"tensorflow": ("tensorflow-cpu", "tensorflow-intel", "tf-nightly")}


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
      verdict: ``ok``, ``note`` (something works less well) or ``problem`` (training does not work).
      what: description of what was found.
      advice: how to mend it.
    """

    verdict: Literal["ok", "note", "problem"]
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.verdict:8}{self.what}" + (f"\n{'':8}→ {self.advice}" if self.advice else "")


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--data_dir",
        type=frame.path,
        default="data",
        help="config.data.data_dir; data if not given",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    code = 0
    for finding in examine(arguments.data_dir):
        frame.say(str(finding))
        code = max(code, int(finding.verdict == "problem"))
    return code


def examine(data_dir: Path) -> Iterator[Finding]:
    """Checks packages, devices, data and disk.

    Args:
      data_dir: folder of downloads and decoded images, `config.data.data_dir`.

    Yields:
      Findings, each as soon as it is known.
    """
    yield Finding("ok", f"Python {platform.python_version()} on {platform.platform()}")
    for name, use in (dict.fromkeys(_REQUIRED, "") | _OPTIONAL).items():
        if version := _version(name):
            yield Finding("ok", f"{name} {version}")
        else:
            what = f"{name} is not installed" + (f"; it {use}" if use else "")
            yield Finding("note" if use else "problem", what, host.install(name))
    yield from _devices()
    yield from _data(data_dir)


def _version(name: str) -> str | None:
    for distribution in (name, *_ALSO.get(name, ())):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return None


def _devices() -> Iterator[Finding]:
    import jax  # late: seconds

    try:
        devices = jax.devices()
    except Exception as error:
        advice = "unset JAX_PLATFORMS, or install the extra that it needs"
        yield Finding("problem", host.explain(error) or f"JAX finds no device: {error}", advice)
        return
    kinds = sorted({d.device_kind for d in devices})
    yield Finding("ok", f"JAX computes on {len(devices)} × {', '.join(kinds)}")
    # A CPU is enough for the sample; that a GPU is not used is most likely a mistake.
    nvidia = Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi")
    if devices[0].platform == "cpu" and nvidia:
        advice = "pip install 'discogan_jax[cuda12]', and a driver of 2023 or later"
        yield Finding("problem", "there is an NVIDIA GPU, but JAX does not see it", advice)
    elif devices[0].platform == "cpu":
        slow = "train the sample in minutes, 64 px in hours to days"
        yield Finding("note", f"no GPU: {os.cpu_count()} CPU cores {slow}")


def _data(data_dir: Path) -> Iterator[Finding]:
    folder = data_dir.expanduser()
    archives = sorted((folder / "downloads").glob("*.tar.gz"))
    arrays = [p for p in (folder / "arrays").glob("*") if (p / "train.npy").is_file()]
    if archives:
        yield Finding("ok", f"downloaded: {', '.join(path.name for path in archives)}")
    if arrays:
        yield Finding("ok", f"{len(arrays)} sets of decoded images in {folder / 'arrays'}")
    if not (archives or arrays):
        text = f"{folder} has no data yet; archives are downloaded when training begins"
        advice = "--config.data.archives=DIR uses those that you have; sample needs none"
        yield Finding("note", text, advice)
    # The folder need not exist yet: look at what it would be made in.
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.is_dir())
    if not os.access(there, os.W_OK):
        advice = "name another one: --config.data.data_dir=DIR"
        yield Finding("problem", f"{there} cannot be written", advice)
    free = shutil.disk_usage(there).free
    text = f"{units.size(free)} free in {there}"
    advice = f"the published archives and their images need {units.size(ROOM)}"
    yield Finding("ok", text) if free >= ROOM else Finding("note", text, advice)
