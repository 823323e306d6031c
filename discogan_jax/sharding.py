"""Spreads a run over devices: the batch is split, the state is on all of them or split, too.

With the inputs placed so, ``jit`` propagates the placement through the whole step and adds the
sums over the global batch: losses, batch statistics and gradients are those of one device.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import jax
import numpy as np
import optax
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from discogan_jax.errors import InputError
from discogan_jax.state import DiscoGAN, TrainState
from discogan_jax.steps import Metrics, train_step

DATA_AXIS = "data"


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with one axis, over all devices (of all processes, in their order) or the given ones.

    The order is not rearranged for the network, so that each process has one range of the batch.
    """
    devices = jax.devices() if devices is None else devices
    return Mesh(np.asarray(devices), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split_batches(mesh: Mesh) -> NamedSharding:
    """Batches ``[updates, B, ...]``, split along B."""
    return NamedSharding(mesh, PartitionSpec(None, DATA_AXIS))


def of_state(mesh: Mesh, shapes: Any, split: bool) -> Any:
    """Where the arrays of a state belong.

    Args:
      mesh: of the devices.
      shapes: tree of arrays or of their shapes.
      split: cut every array along its longest dimension that the number of devices divides; those
        without one, all small, are on every device.

    Returns:
      A tree of shardings; on one device and without `split`, all say "everywhere".
    """
    if not split or mesh.size == 1:
        return jax.tree.map(lambda _: replicated(mesh), shapes)

    def cut(x: Any) -> NamedSharding:
        even = [d for d, n in enumerate(x.shape) if n and n % mesh.size == 0]
        if not even:
            return replicated(mesh)
        longest = max(even, key=lambda d: x.shape[d])
        return NamedSharding(mesh, PartitionSpec(*[None] * longest, DATA_AXIS))

    return jax.tree.map(cut, shapes)


def bytes_per_device(shapes: Any, shardings: Any) -> int:
    """What a tree of arrays takes of each device's memory."""
    sizes = jax.tree.map(
        lambda x, where: prod(where.shard_shape(x.shape)) * x.dtype.itemsize, shapes, shardings
    )
    return sum(jax.tree.leaves(sizes))


def gathered(tree: Any) -> Any:
    """The whole of every array, on the first device of this process.

    Split arrays are gathered: all processes must call this together. Others are not copied.
    """
    split = [x for x in jax.tree.leaves(tree) if not x.is_fully_replicated]
    if split:
        # One program: many that talk at once may come in another order on another process.
        tree = jax.jit(_same, out_shardings=replicated(split[0].sharding.mesh))(tree)
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def _same(tree: Any) -> Any:
    return tree


def own_rows(split: NamedSharding, batch_size: int) -> slice:
    """Which rows of the global batch this process feeds.

    Args:
      split: of batches, from `split_batches`.
      batch_size: of the global batch.
    """
    parts = split.addressable_devices_indices_map((1, batch_size)).values()
    ranges = [part[1].indices(batch_size) for part in parts if part is not None]
    return slice(min(r[0] for r in ranges), max(r[1] for r in ranges))


def check_batch_size(batch_size: int, devices: int) -> None:
    """Refuses a batch that does not divide among the devices.

    Raises:
      InputError: names the nearest sizes that do.
    """
    if batch_size % devices:
        below = batch_size // devices * devices
        sizes = f"{below} or {below + devices}" if below else f"{devices}"
        raise InputError(
            f"config.data.batch_size is {batch_size}, which does not divide among "
            f"{devices} devices: use {sizes}"
        )


def place(tree: Any, sharding: Any) -> Any:
    """Puts a tree of host arrays on the devices, by one sharding or a tree of them."""
    return jax.device_put(tree, sharding)


def train_step_jit(shardings: TrainState) -> Any:
    """`steps.train_step_jit` for a state that lies as these shardings say, and stays so.

    Args:
      shardings: a tree of shardings, from `sharding.of_state`.
    """
    everywhere = replicated(jax.tree.leaves(shardings)[0].mesh)

    def whole(tree: Any) -> Any:
        return lax.with_sharding_constraint(tree, everywhere)

    def telling(tx: optax.GradientTransformation) -> optax.GradientTransformation:
        def update(grads: Any, *rest: Any) -> tuple[Any, Any]:
            updates, opt_state = tx.update(whole(grads), *rest)
            return whole(updates), opt_state

        return optax.GradientTransformation(tx.init, update)

    def step(gan: DiscoGAN, state: TrainState, batches: Any) -> tuple[TrainState, Metrics]:
        gan = replace(gan, gen_tx=telling(gan.gen_tx), dis_tx=telling(gan.dis_tx))
        gen, dis = (
            replace(p, params=whole(p.params), batch_stats=whole(p.batch_stats))
            for p in (state.gen, state.dis)
        )
        return train_step(gan, replace(state, gen=gen, dis=dis), batches)

    return jax.jit(step, static_argnums=0, donate_argnums=1, out_shardings=(shardings, None))
