"""The machine: cores, memory, versions, compiled programs, platforms, TensorFlow on the CPU."""

import contextlib
import ctypes
import importlib
import importlib.metadata
import os
import platform
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import discogan_jax
from discogan_jax import units
from discogan_jax.errors import InputError, causes

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

    found = {"discogan_jax": discogan_jax.__version__}
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
      Whether memory is kept: not if that would take more than half of what there is, nor
      with the plugin of an accelerator that ``JAX_PLATFORMS`` does not rule out, nor without glibc.
    """
    # Only on the CPU, and only with room to spare.
    platforms = os.environ.get("JAX_PLATFORMS")
    on_cpu = platforms == "cpu" if platforms else not entry_points(group="jax_plugins")
    with contextlib.suppress(OSError, AttributeError):  # of systems that lack these
        if not on_cpu or pixels * _BYTES_PER_PIXEL > memory().total / 2:
            return False
        # Never trim the heap, never map large pieces, and share one arena.
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        settings = ((_TRIM_THRESHOLD, -1), (_MMAP_MAX, 0), (_ARENA_MAX, 1))
        return all(mallopt(parameter, value) for parameter, value in settings)
    return False


class Memory(NamedTuple):
    """Memory that this process can have.

    Attributes:
      total: number of bytes, with those that it has already.
      taken: number of bytes that it has already.
      limit: what sets the limit, for messages.
    """

    total: int
    taken: int
    limit: str


def memory() -> Memory:
    """Finds the tightest limit: the machine's memory with its swap, a container's, or ulimit's."""
    now = _kibibytes(_PROC / "self/status")
    taken, swap = now.get("RssAnon", 0), _kibibytes(_PROC / "meminfo").get("SwapTotal", 0)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = [Memory(physical + swap, taken, "the memory of this machine")]
    found += [Memory(n + swap, taken, "the limit of the container") for n in _cgroup_limits()]
    with contextlib.suppress(ImportError):  # not on every system
        import resource

        # These count addresses, of which a process takes more than of memory.
        for kind, has, limit in (
            (resource.RLIMIT_AS, "VmSize", "ulimit -v"),
            (resource.RLIMIT_DATA, "VmData", "ulimit -d"),
        ):
            soft, _ = resource.getrlimit(kind)
            if soft != resource.RLIM_INFINITY:
                found.append(Memory(soft, now.get(has, 0), limit))
    return min(found, key=lambda m: m.total - m.taken)


def device_memory(device: Any) -> Memory:
    """Finds how much memory JAX can have on one of its devices; a CPU has the machine's."""
    if limit := (device.memory_stats() or {}).get("bytes_limit"):
        return Memory(limit, 0, "what JAX may use of the device")
    return memory()


_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def _kibibytes(path: Path) -> dict[str, int]:
    """Reads the numbers in kB from a file of Linux, in bytes; other systems have none."""
    with contextlib.suppress(OSError):
        found = re.findall(r"^(\w+):\s+(\d+) kB$", path.read_text(), re.MULTILINE)
        return {name: int(number) << 10 for name, number in found}
    return {}


def _cgroup_limits() -> Iterator[int]:
    """Yields the limits of this process's control groups, of both versions, and of those above."""
    with contextlib.suppress(OSError):
        for line in (_PROC / "self/cgroup").read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if not controllers:
                root, file = _CGROUPS, "memory.max"
            elif "memory" in controllers.split(","):
                root, file = _CGROUPS / "memory", "memory.limit_in_bytes"
            else:
                continue
            # A container may see the path of the host, and its own limit at the root.
            place = root / name.lstrip("/")
            for folder in (place, *place.parents):
                with contextlib.suppress(OSError):
                    if (text := (folder / file).read_text().strip()).isdecimal():  # or it is "max"
                        yield int(text)


# What errors of XLA, C++, PyTorch and the system contain where memory cannot be had.
_NO_MEMORY = re.compile(
    r"RESOURCE_EXHAUSTED[^\n]*memory|Out of memory (?:allocating|while)|CUDA out of memory|"
    r"OOM when allocating|failed to map segment|std::bad_alloc|(?:Cannot|can't) allocate memory"
)


def out_of_memory(error: BaseException) -> str | None:
    """Returns a line that says so if an error came from a lack of memory, else None."""
    for cause in causes(error):
        if isinstance(cause, MemoryError) or _NO_MEMORY.search(str(cause)):
            return str(cause).strip().partition("\n")[0] or "no memory"
    return None


def explain(error: BaseException) -> str | None:
    """Explains an error for which the machine is the reason.

    Args:
      error: the error.

    Returns:
      A message if memory was lacking, or if JAX has no such platform as ``JAX_PLATFORMS`` names;
      None for all other errors.
    """
    if why := out_of_memory(error):
        there = memory()
        return (
            f"Out of memory ({why}). There are {units.size(there.total)} ({there.limit}): end "
            "other programs, raise the limit, or use smaller pictures."
        )
    return _platform_missing(error)


def _platform_missing(error: BaseException) -> str | None:
    jax, asked = sys.modules.get("jax"), os.environ.get("JAX_PLATFORMS")
    if jax is None or not asked:
        return None
    # JAX says so in several ways, one of them an assertion without a text; then it has no device.
    try:
        if not str(error).startswith("Unable to initialize backend"):
            jax.devices()
            return None
    except Exception as again:
        error = again
    there = ["cpu"]
    with contextlib.suppress(Exception):
        from jax.extend import backend

        jax.config.update("jax_platforms", "")
        there = sorted(backend.backends())
        backend.clear_backends()
        jax.config.update("jax_platforms", asked)
    if all(name in there for name in asked.split(",")):
        return f"JAX finds no device ({error}): look at XLA_FLAGS and JAX_PLATFORMS={asked}."
    missing = " and ".join(repr(name) for name in asked.split(",") if name not in there)
    why = str(error).partition(" (set JAX_PLATFORMS")[0].partition("\n")[0]
    reason = "" if not why or "known backends" in why else f" ({why})"
    nvidia = "cuda" in asked or "gpu" in asked
    advice = (
        "install the extra cuda12 or cuda13 and a driver" if nvidia else "install what it names"
    )
    return (
        f"JAX_PLATFORMS={asked}: JAX has no {missing} here{reason}, only {', '.join(there)}. Unset "
        f"JAX_PLATFORMS, or {advice}."
    )


def use_compile_cache() -> None:
    """Lets JAX keep compiled programs on the disk; `JAX_COMPILATION_CACHE_DIR` moves them."""
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):  # which JAX reads itself
        return
    import jax
    from absl import logging

    folder, note = compile_cache()
    if note:
        logging.warning("%s", note)
    jax.config.update("jax_compilation_cache_dir", str(folder))


def compile_cache() -> tuple[Path, str]:
    """Finds and creates the folder of compiled programs.

    Returns:
      The folder, in the home folder or else a temporary one, and a note if it is the latter.
    """
    try:
        home = Path.home()
        if not home.is_absolute():
            raise RuntimeError(f"{home} is a place in the current folder")
        folder = home / ".cache" / "discogan_jax" / "xla"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder, ""
        why = f"{folder} cannot be written"
    except RuntimeError:
        why = "there is no home folder"
    except OSError as error:
        why = f"{folder} cannot be written ({error.strerror})"
    # A program that somebody else has put there would be run: it has to be ours alone.
    folder = Path(tempfile.gettempdir()) / f"discogan_jax-{os.getuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    if not private or status.st_uid != os.getuid():
        folder = Path(tempfile.mkdtemp(prefix="discogan_jax-"))
    return folder, (
        f"{why}: compiled programs are kept in {folder}; JAX_COMPILATION_CACHE_DIR moves them"
    )


def usable_cores() -> int:
    """Returns the number of cores that this process may use; all where the system has no limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
