"""Memory that is kept between steps: in a separate process, since the setting is permanent."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest

from discogan_jax import host

PROGRAM = """
import resource
from discogan_jax.host import keep_freed_memory
print(keep_freed_memory({pixels}))
import jax, jax.numpy as jnp
big = jax.jit(lambda x: (jnp.cumsum(jnp.sin(x)) * jnp.cumsum(jnp.cos(x))).sum())
x = jnp.ones(1 << 24)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    big(x).block_until_ready()
before = faults()
for _ in range(5):
    big(x).block_until_ready()
print(faults() - before)
"""


def faults(pixels):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(pixels=pixels)],
        capture_output=True,
        text=True,
        check=True,
        env={"JAX_PLATFORMS": "cpu"},
    )
    kept, count = done.stdout.split()
    return kept == "True", int(count)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told to keep memory")
def test_a_program_gets_its_pages_once_unless_they_might_not_fit():
    kept, count = faults(pixels=32 * 64 * 64)
    assert kept
    too_much, more = faults(pixels=1 << 40)
    assert not too_much
    assert count < more / 2  # the heap may still grow


def test_where_an_accelerator_computes_nothing_changes(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert not host.keep_freed_memory(1)
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(host, "entry_points", lambda group: ["a plugin"])
    assert not host.keep_freed_memory(1)


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Replaces Linux's files by those that a test writes."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    monkeypatch.setattr(host, "_PROC", proc)
    monkeypatch.setattr(host, "_CGROUPS", groups)

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    write({"proc/self/status": "Name:\tx\nVmSize:\t  9000 kB\nRssAnon:\t  100 kB\n"})
    write({"proc/meminfo": "MemTotal:  5 kB\nSwapTotal:   1024 kB\n"})
    return write


@pytest.mark.parametrize(
    ("group", "files", "found"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "4096000\n"}, 4096000),
        # In a container the path is that of the host.
        ("0::/docker/7\n", {"memory.max": "8192000\n"}, 8192000),
        ("4:cpu,memory:/a\n2:cpu:/b\n", {"memory/a/memory.limit_in_bytes": "512\n"}, 512),
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": f"{2**63 - 4096}\n"}, None),
    ],
)
def test_the_limit_of_a_container_is_found(system, group, files, found):
    system({"proc/self/cgroup": group} | {f"cgroup/{name}": text for name, text in files.items()})
    there = host.memory()
    assert there.taken == 100 << 10
    if found:
        assert there.total == found + (1024 << 10)
        assert "container" in there.limit
    else:
        assert "machine" in there.limit


def test_ulimit_counts_addresses(system, monkeypatch):
    import resource

    monkeypatch.setattr(
        resource, "getrlimit", lambda kind: (10**7 if kind == resource.RLIMIT_AS else -1, -1)
    )
    assert host.memory() == (10**7, 9000 << 10, "ulimit -v")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "Out of memory (no memory)"),
        (np._core._exceptions._ArrayMemoryError((9,), np.dtype(int)), "Unable to allocate 72. B"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 5 bytes."),
            "Out of memory (RESOURCE_EXHAUSTED: Out of memory allocating 5 bytes.)",
        ),
        (RuntimeError("std::bad_alloc"), "std::bad_alloc"),
        (OSError(12, "Cannot allocate memory"), "Cannot allocate memory"),
        (OSError("RESOURCE_EXHAUSTED: No space left on device"), ""),
        (ValueError("nothing"), ""),
    ],
)
def test_lack_of_memory_is_known_by_any_name(error, said):
    found = host.explain(error) or ""
    assert ("Out of memory" in found) == bool(said)
    assert said.replace("72. B", "72") in found


def cache_in(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    return host.compile_cache()


def test_only_the_cores_of_this_process_are_counted(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert host.usable_cores() == 2


def test_without_a_home_programs_are_kept_where_nobody_else_can_put_any(tmp_path, monkeypatch):
    """The home is a file, the temporary folder's name is taken by somebody else."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "home").touch()
    folder, note = cache_in(tmp_path / "home", monkeypatch)
    assert folder == tmp_path / f"discogan_jax-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "cannot be written (Not a directory)" in note
    assert str(folder) in note
    assert cache_in(tmp_path / "home", monkeypatch)[0] == folder

    folder.chmod(0o777)
    assert cache_in(tmp_path / "home", monkeypatch)[0] != folder
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert cache_in(tmp_path / "home", monkeypatch)[0] != folder

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert "there is no home folder" in host.compile_cache()[1]
    monkeypatch.undo()
    assert cache_in(tmp_path / "new", monkeypatch) == (
        tmp_path / "new" / ".cache" / "discogan_jax" / "xla",
        "",
    )


def test_a_folder_that_is_named_is_used_without_a_word(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(host, "compile_cache", lambda: pytest.fail("looked for another"))
    host.use_compile_cache()
    assert not caplog.records


_ASKED = """
import sys
import jax.numpy as jnp
from discogan_jax import cli
from discogan_jax.commands import doctor, export

export.run = lambda _: jnp.ones(3)
print(next(str(finding) for finding in doctor._devices()))
sys.exit(cli.main(["export", "x"]))
"""


@pytest.mark.parametrize("asked", ["cuda", "nonsense"])
def test_a_platform_that_is_not_there_is_one_line(asked):
    if asked == "cuda" and list(host.entry_points(group="jax_plugins")):
        pytest.skip("has a plugin")
    done = subprocess.run(
        [sys.executable, "-c", _ASKED],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": asked},
        check=False,
    )
    assert done.returncode == 2
    message = f"JAX_PLATFORMS={asked}: JAX has no {asked!r} here, only cpu. Unset JAX_PLATFORMS, or"
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stdout
