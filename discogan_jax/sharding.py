"""Spreads a run over devices: the batch is split, the state is on all of them.

With the inputs placed so, ``jit`` propagates the placement through the whole step and adds the
sums over the global batch: losses, batch statistics and gradients are those of one device.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from discogan_jax.errors import InputError

DATA_AXIS = "data"


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with one axis, over all devices or the given ones."""
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh(
        (len(devices),), (DATA_AXIS,), axis_types=(AxisType.Auto,), devices=devices
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device: where the state belongs."""
    return NamedSharding(mesh, PartitionSpec())


def split_batches(mesh: Mesh) -> NamedSharding:
    """Batches ``[updates, B, ...]``, split along B."""
    return NamedSharding(mesh, PartitionSpec(None, DATA_AXIS))


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


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Puts a tree of host arrays on the devices."""
    return jax.device_put(tree, sharding)
