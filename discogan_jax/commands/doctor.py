"""What is there to train with, what is missing, and how to mend it."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GIB = 2**30
ROOM = 20 * GIB
"""The two published archives take 10 GB, their images at 64 px 3 GB, checkpoints some more."""

_OPTIONAL = {
    "tensorflow": "reads data sets of TFDS, feeds images that are larger than the device's memory, "
    "writes TensorBoard's files",
    "tensorflow-datasets": "reads data sets of TFDS",
    "clu": "writes TensorBoard's files",
}
# Distributions that bring a package under another name.
_ALSO = {"tensorflow": ("tensorflow-cpu", "tensorflow-intel", "tf-nightly")}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
      verdict: ``ok``, ``note`` (something less works) or ``problem`` (training cannot).
      what: was found.
      advice: how to mend it.
    """

    verdict: Literal["ok", "note", "problem"]
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.verdict:8}{self.what}" + (f"\n{'':8}→ {self.advice}" if self.advice else "")


def examine(data_dir: Path) -> Iterator[Finding]:
    """Looks at packages, devices, data and disk.

    Args:
      data_dir: where `config.data.data_dir` keeps downloads and decoded images.

    Yields:
      What was found, as soon as it is known.
    """
    yield Finding("ok", f"Python {platform.python_version()} on {platform.platform()}")
    for requirement in ("discogan_jax", "jax", "flax", "optax", "orbax-checkpoint", "pillow"):
        yield _required(requirement)
    for name, use in _OPTIONAL.items():
        version = next(filter(None, map(_version, (name, *_ALSO.get(name, ())))), None)
        if version:
            yield Finding("ok", f"{name} {version}")
        else:
            yield Finding("note", f"{name} is not installed; it {use}", f"pip install {name}")
    yield from _devices()
    yield from _data(data_dir)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _required(name: str) -> Finding:
    version = _version(name)
    if version:
        return Finding("ok", f"{name} {version}")
    return Finding("problem", f"{name} is not installed", "pip install -c constraints.txt -e .")


def _devices() -> Iterator[Finding]:
    import jax  # late: seconds

    try:
        devices = jax.devices()
    except RuntimeError as error:
        advice = "unset JAX_PLATFORMS, or install the extra that it needs"
        yield Finding("problem", f"JAX finds no device: {error}", advice)
        return
    kinds = sorted({d.device_kind for d in devices})
    yield Finding("ok", f"JAX computes on {len(devices)} × {', '.join(kinds)}")
    if devices[0].platform == "cpu":
        if Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi"):
            yield Finding(
                "problem",
                "there is an NVIDIA GPU, but JAX does not see it",
                "pip install -c constraints.txt -e '.[cuda12]', and a driver of 2023 or later",
            )
        else:
            yield Finding(
                "note",
                f"no GPU: {os.cpu_count()} CPU cores train the sample in minutes, "
                "64 px in hours to days",
            )


def _data(data_dir: Path) -> Iterator[Finding]:
    folder = data_dir.expanduser()
    archives = sorted((folder / "downloads").glob("*.tar.gz"))
    arrays = [p for p in (folder / "arrays").glob("*") if (p / "train.npy").is_file()]
    if archives:
        yield Finding("ok", f"downloaded: {', '.join(path.name for path in archives)}")
    if arrays:
        yield Finding("ok", f"{len(arrays)} sets of decoded images in {folder / 'arrays'}")
    if not archives and not arrays:
        yield Finding(
            "note",
            f"{folder} has no data yet; archives are downloaded when training begins",
            "--config.data.archives=DIR takes those that you have; configs/sample.py needs none",
        )
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.is_dir())
    if not os.access(there, os.W_OK):
        advice = "name another one: --config.data.data_dir=DIR"
        yield Finding("problem", f"{there} cannot be written", advice)
    free = shutil.disk_usage(there).free
    said = f"{free / GIB:,.0f} GiB free in {there}"
    if free < ROOM:
        advice = f"the published archives and their images need {ROOM / GIB:.0f} GiB"
        yield Finding("note", said, advice)
    else:
        yield Finding("ok", said)
