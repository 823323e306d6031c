"""Describes a run without training: devices, data, parameters, operations, memory."""

import jax

from discogan_jax import models, sharding
from discogan_jax.config.schema import Settings
from discogan_jax.data import census
from discogan_jax.evaluation.table import aligned
from discogan_jax.state import DOMAINS
from discogan_jax.train.memory import StepMemory
from discogan_jax.train.setup import Setup


def describe(s: Settings) -> str:
    """Returns a table of what `loop.train_and_evaluate` would use.

    The counts are those of the compiled step, so this takes the time to compile it; the compile
    cache keeps the program for the run itself.

    Args:
      s: the settings.

    Raises:
      InputError: the run itself would raise it.
    """
    # Compile the step of the run itself.
    setup = Setup(s)
    state, step_memory = setup.shapes, StepMemory(setup)
    step_memory.check()
    compiled = setup.lower_step().compile()
    step_memory.check(compiled)
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}

    # Devices and data.
    count = models.count_parameters
    rows = [("devices", sharding.describe_devices(setup.mesh, s.data.batch_size))]
    for d in DOMAINS:
        rows.append((f"data {s.domains.name(d)}", census.describe(setup.images[d].about)))
    # Batches, networks and memory.
    epoch = min(setup.order.sizes) // s.data.batch_size
    per_device = sharding.bytes_per_device(state, setup.shardings)
    rows += [
        ("batch", f"{s.data.batch_size} a domain; {epoch} batches an epoch of the smaller domain"),
        ("generator", f"{count(state.gen.params['ab']):,} parameters, two of them"),
        ("discriminator", f"{count(state.dis.params['a']):,} parameters, two of them"),
        (
            "state",
            f"{_mebibytes(sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)))} with "
            f"Adam's, {_mebibytes(per_device)} of it on each device",
        ),
        ("images", _mebibytes(sum(x.nbytes for x in setup.train_images.values()))),
    ]
    # Not every backend counts its operations and temporary memory.
    if "flops" in cost:
        rows.append(("one step", f"{cost['flops'] / 1e9:,.1f} GFLOP a device"))
    if memory is not None:
        rows.append(("a step's work", f"{_mebibytes(memory.temp_size_in_bytes)} a device"))
    there = step_memory.there
    rows.append(("memory", f"{_mebibytes(there.total)} ({there.limit})"))
    return aligned(rows)


def _mebibytes(n: float) -> str:
    return f"{n / 2**20:,.0f} MiB"
