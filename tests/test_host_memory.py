"""Memory that is kept between steps: in a separate process, since the setting is permanent."""

import subprocess
import sys

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
