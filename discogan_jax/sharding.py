"""Spreads a run over devices: the batch is split, the state is on each of them or split, too.

Losses, batch statistics and gradients are those of the global batch, hence of one device. Where
each device has the whole state, the step is mapped over them, and `ops.reductions` combines its
sums; where the state is split, ``jit`` adds what is needed.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import jax
import numpy as np
import optax
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from discogan_jax import steps
from discogan_jax.errors import InputError
from discogan_jax.ops import reductions
from discogan_jax.state import DOMAINS, DiscoGAN, Optimizer, TrainState
from discogan_jax.steps import Metrics

DATA_AXIS = "data"
NETWORKS = "generator", "discriminator"
MAX_NAMED = 4
"""Number of idle devices that are named."""


def devices_for(batch_size: int, devices: Sequence[jax.Device] | None = None) -> list[jax.Device]:
    """Chooses the devices that a batch is split among: as many as divide it.

    Each process gets as many as every other, so that each has one range of the batch.

    Args:
      batch_size: number of images of each domain in the global batch.
      devices: those that there are; all devices of all processes if None.

    Raises:
      InputError: the batch does not divide among the processes; the message names the nearest sizes
        that do.
    """
    own: dict[int, list[jax.Device]] = {}
    for device in jax.devices() if devices is None else devices:
        own.setdefault(device.process_index, []).append(device)
    processes, most = len(own), min(map(len, own.values()))
    if batch_size % processes:
        below = batch_size // processes * processes
        sizes = f"{below} or {below + processes}" if below else f"{processes}"
        raise InputError(
            f"config.data.batch_size is {batch_size}, which does not divide among {processes} "
            f"processes: use {sizes}"
        )
    each = max(n for n in range(1, most + 1) if batch_size % (n * processes) == 0)
    return [device for found in own.values() for device in found[:each]]


def describe_devices(mesh: Mesh, batch_size: int) -> str:
    """Describes all devices, and says which of them a batch leaves idle, and why."""
    every, used = jax.devices(), set(mesh.devices.flat)
    found = f"{len(every)} × {every[0].device_kind} ({every[0].platform})"
    idle = [str(device) for device in every if device not in used]
    if not idle:
        return found
    names = ", ".join([*idle[:MAX_NAMED], *["..."] * (len(idle) > MAX_NAMED)])
    equally = " with equally many of each process" if jax.process_count() > 1 else ""
    return (
        f"{found}, {len(idle)} of them idle ({names}): {mesh.size} is the largest number that "
        f"divides the batch of {batch_size}{equally}"
    )


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Makes a mesh with one axis, over all devices of all processes or over the given ones.

    Devices keep their order, whatever connects them, so that each process has one range of the
    batch.
    """
    devices = jax.devices() if devices is None else devices
    return Mesh(np.asarray(devices), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Describes arrays that are whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split_batches(mesh: Mesh) -> NamedSharding:
    """Describes batches ``[updates, B, ...]`` that are split along B."""
    return NamedSharding(mesh, PartitionSpec(None, DATA_AXIS))


def of_state(mesh: Mesh, shapes: Any, split: bool) -> Any:
    """Chooses the placement of the arrays of a state.

    Args:
      mesh: the devices.
      shapes: tree of arrays or of their shapes.
      split: cut every array along its longest dimension that the number of devices divides; arrays
        without such a dimension are small, and are whole on every device.

    Returns:
      A tree of shardings; on one device and without `split`, all are `replicated`.
    """
    if not split or mesh.size == 1:
        return jax.tree.map(lambda _: replicated(mesh), shapes)

    # Whole dimensions only: uneven parts would have to be padded.
    def cut(x: Any) -> NamedSharding:
        even = [d for d, n in enumerate(x.shape) if n and n % mesh.size == 0]
        if not even:
            return replicated(mesh)
        longest = max(even, key=lambda d: x.shape[d])
        return NamedSharding(mesh, PartitionSpec(*[None] * longest, DATA_AXIS))

    return jax.tree.map(cut, shapes)


def bytes_per_device(shapes: Any, shardings: Any) -> int:
    """Counts the bytes that a tree of arrays takes of each device's memory."""
    sizes = jax.tree.map(
        lambda x, where: prod(where.shard_shape(x.shape)) * x.dtype.itemsize, shapes, shardings
    )
    return sum(jax.tree.leaves(sizes))


def gathered(tree: Any) -> Any:
    """Gathers the whole of every array on the first device of this process.

    All processes must call this together if an array is split. Whole ones are not copied.
    """
    split = [x for x in jax.tree.leaves(tree) if not x.is_fully_replicated]
    if split:
        # In one program: several collectives at once could come in another order elsewhere.
        tree = jax.jit(_identity, out_shardings=replicated(split[0].sharding.mesh))(tree)
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def _identity(tree: Any) -> Any:
    return tree


def own_rows(split: NamedSharding, batch_size: int) -> slice:
    """Returns the rows of the global batch that this process feeds.

    Args:
      split: the sharding of batches, from `split_batches`.
      batch_size: number of images of each domain in the global batch.
    """
    # Devices of a process are neighbours in the mesh, so that their rows are one range.
    parts = split.addressable_devices_indices_map((1, batch_size)).values()
    ranges = [part[1].indices(batch_size) for part in parts if part is not None]
    return slice(min(r[0] for r in ranges), max(r[1] for r in ranges))


def shapes_with(shapes: Any, shardings: Any) -> Any:
    """Adds shardings to a tree of shapes, so that programs can be compiled before there are arrays.

    Args:
      shapes: tree of arrays or of their shapes.
      shardings: a tree of shardings, or one for a whole branch.
    """
    return jax.tree.map(
        lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where),
        shapes,
        jax.tree.broadcast(shardings, shapes),
    )


def batch_shapes(
    mesh: Mesh, gan: DiscoGAN, batch_size: int, image_shape: tuple[int, ...]
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes and the placement of the uint8 batches of a cycle."""
    shape = (gan.updates, batch_size, *image_shape)
    batch = jax.ShapeDtypeStruct(shape, np.uint8, sharding=split_batches(mesh))
    return dict.fromkeys(DOMAINS, batch)


def train_step_for(shardings: TrainState) -> Any:
    """Chooses the jitted train step for a state that is placed by these shardings.

    Args:
      shardings: a tree of shardings, from `of_state`.

    Returns:
      `steps.train_step_jit` on one device, a `mapped_train_step` where each of several has the
      whole state, else a `sharded_train_step`.
    """
    where = jax.tree.leaves(shardings)
    if where[0].mesh.size == 1:
        return steps.train_step_jit
    whole = all(x.is_fully_replicated for x in where)
    return mapped_train_step(where[0].mesh) if whole else sharded_train_step(shardings)


def mapped_train_step(mesh: Mesh) -> jax.stages.Wrapped:
    """Makes the jitted train step for a state that is whole on several devices.

    Each computes with its part of the batches; what they sum is combined. Networks that have no
    field ``axis_name``, which those of `models` have, leave the sums to XLA.

    Args:
      mesh: the devices.
    """

    def train_step(gan: DiscoGAN, state: TrainState, batches: Any) -> tuple[TrainState, Metrics]:
        networks = {name: getattr(gan, name) for name in NETWORKS}
        if not all(hasattr(network, "axis_name") for network in networks.values()):
            return steps.train_step(gan, state, batches)
        along = {name: x.clone(axis_name=DATA_AXIS) for name, x in networks.items()}
        mapped = replace(gan, axis_name=DATA_AXIS, **along)
        step = reductions.combined(partial(steps.train_step, mapped), DATA_AXIS)
        specs = PartitionSpec(), PartitionSpec(None, DATA_AXIS)
        spread = jax.shard_map(
            step, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False
        )
        return spread(state, batches)

    return jax.jit(train_step, static_argnums=0, donate_argnums=1)


def sharded_train_step(shardings: TrainState) -> jax.stages.Wrapped:
    """Makes the jitted train step for a state that is split over the devices, and stays so (ZeRO).

    Parameters are gathered once for a cycle, gradients once for an update; each device then updates
    its part of the optimizer's state, and the parameters' updates are gathered again.

    Args:
      shardings: a tree of shardings, from `of_state`.
    """
    everywhere = replicated(jax.tree.leaves(shardings)[0].mesh)

    def whole(tree: Any) -> Any:
        return lax.with_sharding_constraint(tree, everywhere)

    def gathering(tx: Optimizer) -> Optimizer:
        # XLA divides the work as the optimizer's state lies: each device updates its own part.
        def update(grads: Any, *rest: Any) -> tuple[Any, Any]:
            updates, opt_state = tx.update(whole(grads), *rest)
            return whole(updates), opt_state

        return optax.GradientTransformation(tx.init, update)

    def train_step(gan: DiscoGAN, state: TrainState, batches: Any) -> tuple[TrainState, Metrics]:
        # Networks compute with whole parameters; only the optimizers' states stay split.
        gan = replace(gan, gen_tx=gathering(gan.gen_tx), dis_tx=gathering(gan.dis_tx))
        gen, dis = (
            replace(p, params=whole(p.params), batch_stats=whole(p.batch_stats))
            for p in (state.gen, state.dis)
        )
        return steps.train_step(gan, replace(state, gen=gen, dis=dis), batches)

    return jax.jit(train_step, static_argnums=0, donate_argnums=1, out_shardings=(shardings, None))
