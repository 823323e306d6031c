"""Feeds a run with its batches, step by step, on the device.

Both feeds give the same batches, since `data.order` chooses them. ``device`` keeps the images on
the accelerator and gathers there; ``tf`` reads them from (memory-mapped) host arrays in tf.data's
threads, for data that does not fit.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import UInt8

from discogan_jax import host, units
from discogan_jax.data.order import DeviceDataset, Order
from discogan_jax.state import DOMAINS

Arrays = Mapping[str, UInt8[np.ndarray, "N H W C"]]
PREFETCHED_STEPS = 2

# Share of a device's memory that images may take; the rest is for the state and the activations.
MAX_IMAGES_FRACTION = 0.25


def choose(feed: Literal["auto", "tf", "device"], images: Arrays) -> tuple[str, str]:
    """Chooses the feed of a run.

    Args:
      feed: the setting; ``"auto"`` for what the memory of the device allows.
      images: both domains' training images.

    Returns:
      ``"tf"`` or ``"device"``, and why.
    """
    if feed != "auto":
        return feed, "as config.data.feed says"
    # What fits stays on the device: then the host has nothing to do.
    size = sum(x.nbytes for x in images.values())
    limit = host.device_memory(jax.local_devices()[0]).total * MAX_IMAGES_FRACTION
    what = f"the images take {units.size(size)}, the device has room for {units.size(limit)}"
    return ("device" if size <= limit else "tf"), what


def device_dataset(
    images: Arrays, order: Order, seed: int, sharding: NamedSharding | None = None
) -> DeviceDataset:
    """Puts both domains' training images on the device.

    Args:
      images: host arrays.
      order: of the run.
      seed: of the order.
      sharding: where to, the default device if None.
    """
    placed = {d: _put(np.asarray(x), sharding, x.shape) for d, x in images.items()}
    return DeviceDataset(placed, np.asarray([seed], np.uint32), order)


def _put(x: np.ndarray, sharding: NamedSharding | None, shape: Any = None) -> jax.Array:
    """Puts an array, or what this process has of it, on the devices."""
    if sharding is None:
        return jax.device_put(x)
    # `device_put` would compare the arrays of all processes.
    return jax.make_array_from_process_local_data(sharding, x, shape)


def device_feed(
    data: DeviceDataset, start: int, sharding: NamedSharding | None = None
) -> Iterator[dict[str, jax.Array]]:
    """Gathers batches on the device.

    Args:
      data: the images, on the device, and their order.
      start: the first step.
      sharding: of the batches ``[updates, B, H, W, C]``.

    Yields:
      Each step's batches, uint8, without end.
    """
    draw = jax.jit(DeviceDataset.batches, out_shardings=sharding)
    for step in itertools.count(start):
        yield draw(data, np.asarray([step], np.uint32))


def host_batches(
    images: Arrays, order: Order, seed: int, step: int, rows: slice = slice(None)
) -> dict[str, np.ndarray]:
    """Gathers a step's batches, or some `rows` of each, from host arrays."""
    words = np.asarray([seed], np.uint32), np.asarray([step], np.uint32)
    return order.batches(images, *words, rows)


def tf_feed(
    images: Arrays,
    order: Order,
    seed: int,
    *,
    start: int,
    stop: int,
    rows: slice = slice(None),
    sharding: NamedSharding | None = None,
) -> Iterator[dict[str, jax.Array]]:
    """Gathers batches on the host, by tf.data, and sends them to the device ahead of their use.

    Args:
      images: host arrays, memory-mapped ones too.
      order: of the run.
      seed: of the order.
      start: the first step.
      stop: the step after the last.
      rows: the rows of each global batch that this process feeds; the others are not read.
      sharding: of the batches ``[updates, B, H, W, C]``.

    Yields:
      Each step's batches, uint8, on the device.

    Raises:
      InputError: TensorFlow is not installed.
    """
    tf = host.require_tensorflow("config.data.feed='tf'", "use config.data.feed='device'")

    def gather(step: np.integer) -> list[np.ndarray]:
        return [*host_batches(images, order, seed, int(step), rows).values()]

    def load(step: Any) -> Any:
        return tf.numpy_function(gather, [step], (tf.uint8, tf.uint8), stateful=False)

    dataset = tf.data.Dataset.range(start, stop)
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.prefetch(PREFETCHED_STEPS)

    # Transfers are asynchronous: batches are sent before their turn.
    ahead: list[dict[str, jax.Array]] = []
    for pair in dataset.as_numpy_iterator():
        ahead.append({d: _put(x, sharding) for d, x in zip(DOMAINS, pair, strict=True)})
        if len(ahead) > PREFETCHED_STEPS:
            yield ahead.pop(0)
    yield from ahead
