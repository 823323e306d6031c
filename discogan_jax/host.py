"""TensorFlow for decoding, feeding and writing events, kept off the accelerators."""

import contextlib
import ctypes
import os
from importlib.metadata import entry_points
from typing import Any


def tensorflow() -> Any:
    """Imports TensorFlow so that it never takes an accelerator's memory from JAX.

    Returns:
      The module.
    """
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # in use already: whatever it took is taken
        tf.config.set_visible_devices([], "GPU")
    return tf


# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8

# What the updates of either recipe were seen to keep, at most, per pixel of a batch.
_BYTES_PER_PIXEL = 16_000


def keep_freed_memory(pixels: int) -> bool:
    """Lets the process keep memory that it frees, if JAX is to compute on the CPU.

    XLA on CPU asks for the memory of an update's intermediate results, hundreds of megabytes, anew
    each time. glibc gets pieces of that size from the kernel, which fills every page with zeros
    first, and returns them afterwards. Kept, they save a fifth of the time and take twice the
    memory (docs/performance.md). Must come before JAX is first used, since each of its threads
    would have memory of its own.

    Args:
      pixels: of the images of one domain in a batch; says how much memory that will be.

    Returns:
      Whether it was done: not where that would be more than half of the machine's memory, not where
      an accelerator's plugin is installed that ``JAX_PLATFORMS`` does not rule out, and not without
      glibc.
    """
    platforms = os.environ.get("JAX_PLATFORMS")
    on_cpu = platforms == "cpu" if platforms else not entry_points(group="jax_plugins")
    if not on_cpu or pixels * _BYTES_PER_PIXEL > _physical_memory() / 2:
        return False
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        settings = ((_TRIM_THRESHOLD, -1), (_MMAP_MAX, 0), (_ARENA_MAX, 1))
        return all(mallopt(parameter, value) for parameter, value in settings)
    return False


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # no POSIX
        return 0


def usable_cores() -> int:
    """Those that this process may run on, where the system tells; else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
