"""Decodes halves of pairs with tf.data: in order, on all cores, a bounded number ahead of use."""

import functools
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from discogan_jax import host
from discogan_jax.data.pix2pix.half import Half
from discogan_jax.data.pix2pix.tar import Examples
from discogan_jax.errors import InputError

# Pictures that tf.data moves at once, since moving one takes as long.
CHUNK = 16


class Decoded(NamedTuple):
    """What became of one picture.

    Attributes:
      name: its name among the examples.
      picture: what a network sees of it; None if it cannot be decoded.
      problem: why it cannot be decoded, else ''.
    """

    name: str
    picture: UInt8[np.ndarray, "h w c"] | None
    problem: str


def decoded(examples: Examples, decoder: Half) -> Iterator[Decoded]:
    """Decodes pictures on all cores.

    What cannot be decoded costs no other picture: a chunk in which anything fails is decoded once
    more, one picture at a time.

    Args:
      examples: the pictures.
      decoder: decodes one.

    Yields:
      One result an example, in their order.

    Raises:
      Exception: whatever the iterable raises; the last examples before that may be missing.
    """
    tf = host.tensorflow()
    failures: list[Exception] = []
    if isinstance(examples, tf.data.Dataset):
        chunks = examples.batch(CHUNK)
    else:
        chunks = _streamed(examples, failures)
    decoding = _in_parallel(chunks.prefetch(2), _on_chunks(decoder))
    for names, pictures, failed in decoding.as_numpy_iterator():
        texts = [name.decode("utf-8", "surrogateescape") for name in names]
        if len(failed):
            yield from (_alone(*example, decoder) for example in zip(texts, failed, strict=True))
        else:
            yield from (Decoded(*found, "") for found in zip(texts, pictures, strict=True))
    if failures:
        raise failures[0]


def _in_parallel(data: Any, function: Callable[..., Any]) -> Any:
    """Maps a data set in order, on all cores, a few elements ahead."""
    tf = host.tensorflow()
    cores = host.usable_cores()
    # Threads of its own, one more than cores, since one is reading; every operation in one thread.
    # There is nothing to optimize, and looking for it takes time.
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.threading.private_threadpool_size = cores + 1
    options.threading.max_intra_op_parallelism = 1
    as_it_is = tf.autograph.experimental.do_not_convert(function)
    return data.map(as_it_is, num_parallel_calls=cores + 1).prefetch(1).with_options(options)


def _streamed(examples: Iterable[tuple[str, bytes]], failures: list[Exception]) -> Any:
    """Makes a `tf.data.Dataset` of chunks; what the iterable raises ends it and is kept."""
    tf = host.tensorflow()

    def chunks() -> Iterator[tuple[list[bytes], list[bytes]]]:
        remaining = iter(examples)
        try:
            while chunk := list(islice(remaining, CHUNK)):
                names = [name.encode("utf-8", "surrogateescape") for name, _ in chunk]
                yield names, [data for _, data in chunk]
        except Exception as error:  # TensorFlow would make a text of it
            failures.append(error)

    texts = tf.TensorSpec([None], tf.string)
    return tf.data.Dataset.from_generator(chunks, output_signature=(texts, texts))


@functools.lru_cache(8)  # of one archive, many times in a process: building it takes 0.1 s
def _on_chunks(decoder: Half) -> Any:
    """Returns a function of tensors: names and bytes to names, pictures, and bytes that failed."""
    tf = host.tensorflow()

    def all_accepted(data: np.ndarray) -> np.bool_:
        return np.bool_(all(map(decoder.accepts, data)))

    def acceptable(data: Any) -> Any:
        return tf.numpy_function(all_accepted, [data], tf.bool, stateful=False)

    def decode_all(data: Any) -> Any:
        # One after the other: the chunks themselves are decoded in parallel.
        result = tf.TensorSpec(decoder.shape, tf.uint8)
        pictures = tf.map_fn(
            decoder.decode, data, parallel_iterations=1, fn_output_signature=result
        )
        return pictures, tf.zeros([0], tf.string)

    def decode(names: Any, data: Any) -> Any:
        # A data set of one chunk: there is no other way to go on after an error in a graph.
        chunk = tf.data.Dataset.from_tensors(data)
        good = chunk.filter(as_it_is(acceptable)).map(as_it_is(decode_all)).ignore_errors()
        nothing = tf.zeros([0, *decoder.shape], tf.uint8)
        failed = tf.data.Dataset.from_tensors((nothing, data))
        return names, *good.concatenate(failed).take(1).get_single_element()

    # TensorFlow would translate the Python code of all these, which takes time for nothing.
    as_it_is = tf.autograph.experimental.do_not_convert
    texts = tf.TensorSpec([None], tf.string)
    return tf.function(decode, input_signature=(texts, texts), autograph=False)


def _alone(name: str, data: bytes, decoder: Half) -> Decoded:
    try:
        return Decoded(name, decoder.decode_alone(data), "")
    except InputError as error:
        return Decoded(name, None, str(error))
