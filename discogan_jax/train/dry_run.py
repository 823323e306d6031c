"""Describes a run without training: devices, data, parameters, operations, memory, disk, time."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from discogan_jax import models, multihost, sharding, units
from discogan_jax.config.schema import Settings
from discogan_jax.data import census
from discogan_jax.evaluation.table import aligned
from discogan_jax.runs import changes, layout, manifest, pictures, run, weights
from discogan_jax.state import DOMAINS
from discogan_jax.train import forecast
from discogan_jax.train.memory import StepMemory
from discogan_jax.train.setup import Setup

MAX_TIMED, MAX_SECONDS = 20, 20.0
"""So many steps are timed, and for so long, but one at least."""

_LEFT_OUT = "\n(the steps alone, without compiling, samples, evaluations and checkpoints)"


def describe(
    planned: Sequence[Settings], workdir: Path | None = None, *, change: bool = False
) -> Iterator[str]:
    """Describes what `loop.train_and_evaluate` would use.

    The counts are those of the compiled step, so this takes the time to compile it; the compile
    cache keeps the program for the run itself.

    Args:
      planned: the settings of one run, or of several that are trained one after the other: the
        first one is described, disk and time are those of all.
      workdir: the run directory of one run.
      change: as for `loop.train_and_evaluate`.

    Yields:
      A table; then, after some steps on black images, the time that training takes.

    Raises:
      InputError: the run itself would raise it.
    """
    # Compile the step of the run itself.
    s = planned[0]
    begun = False
    if workdir is not None:
        run.check_resumable(workdir, s, change=change)
        begun = bool(manifest.steps(workdir / layout.CHECKPOINTS))
    trained = None if begun else weights.of_settings(s)
    setup = Setup(s, {} if workdir is None else pictures.known(workdir))
    memory = StepMemory(setup)
    memory.check()
    compiled = setup.lower_step().compile()
    memory.check(compiled)
    there = memory.there
    rows = [
        *_setup(setup),
        *_step(compiled),
        ("memory", f"{units.size(there.total)} ({there.limit})"),
        ("disk", _disk(planned)),
    ]
    if trained is not None:
        rows.append(("start", changes.init_as_text(trained.record)))
    yield aligned(rows)

    # Relative to the first run's, as its steps are those that are timed.
    seconds = _seconds_a_step(setup, compiled)
    if len(planned) == 1:
        yield f"{forecast.time_of(setup, seconds * s.train.steps)}{_LEFT_OUT}"
        return
    steps = sum((forecast.relative(x, s) or 1) * x.train.steps for x in planned)
    total, where = units.duration(seconds * steps), forecast.machine(setup.mesh)
    yield f"training {len(planned)} runs takes {total} on {where}{_LEFT_OUT}"


def _setup(setup: Setup) -> Iterator[tuple[str, str]]:
    """Yields what is known before the step is compiled."""
    s, state, count = setup.settings, setup.shapes, models.count_parameters
    yield "devices", sharding.describe_devices(setup.mesh, s.data.batch_size)
    for d in DOMAINS:
        yield f"data {s.domains.name(d)}", census.describe(setup.images[d].about)
    epoch = min(setup.order.sizes) // s.data.batch_size
    batch = f"{s.data.batch_size} a domain; {epoch} batches an epoch of the smaller domain"
    yield "batch", batch
    yield "generator", f"{count(state.gen.params['ab']):,} parameters, two of them"
    yield "discriminator", f"{count(state.dis.params['a']):,} parameters, two of them"
    whole = units.size(sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)))
    each = units.size(sharding.bytes_per_device(state, setup.shardings))
    yield "state", f"{whole} with Adam's, {each} of it on each device"
    yield "images", units.size(sum(x.nbytes for x in setup.train_images.values()))


def _step(compiled: jax.stages.Compiled) -> Iterator[tuple[str, str]]:
    """Yields the operations and the memory of a step; not every backend counts them."""
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
    if "flops" in cost:
        yield "one step", f"{cost['flops'] / 1e9:,.1f} GFLOP a device"
    if memory is not None:
        yield "a step's work", f"{units.size(memory.temp_size_in_bytes)} a device"


def _disk(planned: Sequence[Settings]) -> str:
    """Says about how much the run directories take."""
    kinds: Counter[str] = Counter()
    for s in planned:
        kinds.update(forecast.disk(s))
    parts = ", ".join(f"{units.size(count)} of {kind}" for kind, count in kinds.items() if count)
    runs = "" if len(planned) == 1 else f" for {len(planned)} runs"
    return f"about {units.size(kinds.total())}{runs}: {parts}"


def _seconds_a_step(setup: Setup, compiled: jax.stages.Compiled) -> float:
    """Times the compiled step on black images."""
    state, batches = setup.create_state(), setup.blank_batches()

    def timed(number: int) -> float:
        nonlocal state
        began = time.monotonic()
        for _ in range(number):
            state, metrics = compiled(state, batches)
        jax.block_until_ready(metrics)
        # All processes have to agree on the number of further steps.
        return max(multihost.all_max(int((time.monotonic() - began) * 1e4)), 1) / 1e4

    first = timed(1)
    number = min(int(MAX_SECONDS / first), MAX_TIMED)
    return timed(number) / number if number else first
