"""The machine: cores, memory that is kept, versions, compiled programs, TensorFlow on the CPU."""

import contextlib
import ctypes
import importlib
import importlib.metadata
import os
import platform
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from discogan_jax.errors import InputError

# Those whose version may change what a run computes, reads or writes.
_PACKAGES = """
discogan_jax jax jaxlib flax optax orbax-checkpoint numpy pillow clu tensorflow tensorflow-cpu
tensorflow-datasets onnx onnxruntime
"""

TENSORFLOW_PYTHON = 3, 13
"""The newest Python for which pyproject.toml asks for TensorFlow: it had no later wheels."""


def versions() -> dict[str, Any]:
    """Returns the versions of packages and Python, the machine and its devices."""
    import jax  # `files` and commands without networks start without it

    found: dict[str, str] = {}
    for package in _PACKAGES.split():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    devices = jax.devices()
    return {
        "packages": found,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": f"{len(devices)} × {devices[0].device_kind}",
    }


def tensorflow() -> Any:
    """Imports TensorFlow and keeps it from taking an accelerator's memory from JAX.

    Returns:
      The module.
    """
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # already initialized: its memory is taken
        tf.config.set_visible_devices([], "GPU")
    return tf


def require_tensorflow(what: str, instead: str, *, datasets: bool = False) -> Any:
    """Imports TensorFlow as `tensorflow` does.

    Args:
      what: what needs it, for the message.
      instead: what to do without it.
      datasets: whether TensorFlow Datasets is needed, too.

    Raises:
      InputError: it is not installed.
    """
    missing, packages = "TensorFlow", ("tensorflow", "tensorflow-datasets")[: 1 + datasets]
    try:
        found = tensorflow()
        if datasets:
            missing = "TensorFlow Datasets"
            importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        problem = f"{what} needs {missing}, which is not installed"
        raise InputError(f"{problem}: {install(' '.join(packages))}, or {instead}.") from error
    return found


def install(packages: str) -> str:
    """Says how to install TensorFlow or what goes with it, which the newest Python may lack."""
    (major, minor), (_, newest) = sys.version_info[:2], TENSORFLOW_PYTHON
    there = f" (in Python {major}.{newest} if there is none for {major}.{minor})"
    return f"pip install {packages}" + (there if minor > newest else "")


# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8

# The most that an update of any recipe was measured to keep, per pixel of a batch.
_BYTES_PER_PIXEL = 16_000


def keep_freed_memory(pixels: int) -> bool:
    """Lets the process keep the memory that it frees, if JAX will compute on the CPU.

    XLA on CPU allocates the intermediate results of each update anew, hundreds of megabytes. glibc
    maps pieces of that size from the kernel, which fills every page with zeros first, and unmaps
    them afterwards. Keeping them saves a fifth of the time and takes twice the memory
    (docs/performance.md). Must be called before JAX is first used, since each of its threads would
    get an arena of its own.

    Args:
      pixels: number of pixels of one domain in a batch, from which the memory is estimated.

    Returns:
      Whether memory is kept: not if that would take more than half of the machine's memory, nor
      with the plugin of an accelerator that ``JAX_PLATFORMS`` does not rule out, nor without glibc.
    """
    # Only on the CPU, and only with room to spare.
    platforms = os.environ.get("JAX_PLATFORMS")
    on_cpu = platforms == "cpu" if platforms else not entry_points(group="jax_plugins")
    with contextlib.suppress(OSError, AttributeError, ValueError):  # of systems that lack these
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if not on_cpu or pixels * _BYTES_PER_PIXEL > memory / 2:
            return False
        # Never trim the heap, never map large pieces, and share one arena.
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        settings = ((_TRIM_THRESHOLD, -1), (_MMAP_MAX, 0), (_ARENA_MAX, 1))
        return all(mallopt(parameter, value) for parameter, value in settings)
    return False


def use_compile_cache() -> None:
    """Lets JAX keep compiled programs on the disk; `JAX_COMPILATION_CACHE_DIR` moves them."""
    import jax

    cache = Path.home() / ".cache" / "discogan_jax" / "xla"
    place = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(cache))
    jax.config.update("jax_compilation_cache_dir", place)


def usable_cores() -> int:
    """Returns the number of cores that this process may use; all where the system has no limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
