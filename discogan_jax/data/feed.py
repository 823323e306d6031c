"""Feeds: the batches of a run, step by step, on the device.

Both give the same batches, since the order is `data.order`'s. ``device`` keeps the images on the
accelerator and gathers there; ``tf`` reads them from (memory-mapped) host arrays in tf.data's
threads, for data that does not fit.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import UInt8

from discogan_jax.data.order import Order, Resident
from discogan_jax.errors import InputError
from discogan_jax.host import tensorflow

Arrays = Mapping[str, UInt8[np.ndarray, "N S S 3"]]
PREFETCHED_STEPS = 2
# Of a device's memory; the rest is for the state and the activations.
MAX_RESIDENT_FRACTION = 0.25
# Where a device does not say what it has, as CPUs do not.
ASSUMED_DEVICE_BYTES = 16 << 30


def choose(feed: Literal["auto", "tf", "device"], images: Arrays) -> tuple[str, str]:
    """Which feed a run uses.

    Args:
      feed: the setting.
      images: both domains' training images.

    Returns:
      ``"tf"`` or ``"device"``, and why.
    """
    if feed != "auto":
        return feed, "as config.data.feed says"
    size = sum(x.nbytes for x in images.values())
    stats = jax.local_devices()[0].memory_stats() or {}
    limit = stats.get("bytes_limit", ASSUMED_DEVICE_BYTES) * MAX_RESIDENT_FRACTION
    what = f"the images take {size / 2**20:,.0f} MiB, the device has room for {limit / 2**20:,.0f}"
    return ("device" if size <= limit else "tf"), what


def resident(images: Arrays, order: Order, sharding: Any = None) -> Resident:
    """Puts both domains' training images on the device.

    Args:
      images: host arrays.
      order: of the run.
      sharding: where to, the default device if None.
    """

    def put(x: np.ndarray) -> jax.Array:
        if sharding is None:
            return jax.device_put(x)
        # `device_put` would compare the images of all processes.
        return jax.make_array_from_process_local_data(sharding, x, x.shape)

    placed = {d: put(np.asarray(x)) for d, x in images.items()}
    return Resident(images=placed, order=order)


def device_feed(
    data: Resident, seed: int, start: int, sharding: Any = None
) -> Iterator[dict[str, jax.Array]]:
    """Batches gathered on the device.

    Args:
      data: the images, on the device, and their order.
      seed: of the order.
      start: the first step.
      sharding: of the batches ``[updates, B, S, S, 3]``.

    Yields:
      Each step's batches, uint8, without end.
    """
    draw = jax.jit(_draw, out_shardings=sharding)
    step = start
    while True:
        yield draw(data, np.asarray([seed], np.uint32), np.asarray([step], np.uint32))
        step += 1


def _draw(data: Resident, seed: jax.Array, step: jax.Array) -> dict[str, jax.Array]:
    return data.order.batches(data.images, seed, step)


def host_batches(
    images: Arrays, order: Order, seed: int, step: int, rows: slice = slice(None)
) -> dict[str, np.ndarray]:
    """A step's batches, or some `rows` of each, as NumPy arrays gathered from host arrays."""
    words = np.asarray([seed], np.uint32), np.asarray([step], np.uint32)
    return {d: order.gather(images[d], *words, d, rows) for d in ("a", "b")}


def tf_feed(
    images: Arrays,
    order: Order,
    seed: int,
    *,
    start: int,
    stop: int,
    rows: slice = slice(None),
    sharding: Any = None,
) -> Iterator[dict[str, jax.Array]]:
    """Batches gathered on the host by tf.data and sent to the device ahead of their use.

    Args:
      images: host arrays, memory-mapped ones too.
      order: of the run.
      seed: of the order.
      start: the first step.
      stop: the step after the last.
      rows: of each global batch, those that this process feeds; the others are not read.
      sharding: of the batches ``[updates, B, S, S, 3]``.

    Yields:
      Each step's batches, uint8, on the device.

    Raises:
      InputError: TensorFlow is not installed.
    """
    try:
        tf = tensorflow()
    except ImportError as error:
        raise InputError(
            "config.data.feed='tf' needs TensorFlow, which is not installed: install tensorflow, "
            "or use config.data.feed='device'"
        ) from error

    def gather(step: np.integer) -> tuple[np.ndarray, np.ndarray]:
        batches = host_batches(images, order, seed, int(step), rows)
        return batches["a"], batches["b"]

    def load(step: Any) -> Any:
        return tf.numpy_function(gather, [step], (tf.uint8, tf.uint8), stateful=False)

    dataset = tf.data.Dataset.range(start, stop)
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.prefetch(PREFETCHED_STEPS)

    def send(pair: tuple[np.ndarray, np.ndarray]) -> dict[str, jax.Array]:
        if sharding is None:
            return {d: jax.device_put(x) for d, x in zip("ab", pair, strict=True)}
        whole = jax.make_array_from_process_local_data
        return {d: whole(sharding, x) for d, x in zip("ab", pair, strict=True)}

    ahead: list[dict[str, jax.Array]] = []
    for pair in dataset.as_numpy_iterator():
        ahead.append(send(pair))
        if len(ahead) > PREFETCHED_STEPS:
            yield ahead.pop(0)
    yield from ahead
