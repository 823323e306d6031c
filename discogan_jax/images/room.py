"""Memory for decoding: pictures share it, and a lack of it is told from a damaged file."""

import contextlib
import functools
import threading
from collections.abc import Iterator

import numpy as np

from discogan_jax import host, units

BYTES_A_PIXEL = 32
"""What decoding takes at most, but of 16-bit RGB with an opacity, which takes 50."""

_turn = threading.Condition()
_taken: list[int] = []


@contextlib.contextmanager
def room(pixels: int) -> Iterator[None]:
    """Waits until a picture has room beside those that other threads are decoding; then decodes it.

    Together they take at most half of the memory that is free; one alone need not wait.

    Args:
      pixels: number of pixels of the picture.

    Raises:
      MemoryError: the body failed and there is no room for the picture. Most decoders call their
        file damaged when they get no memory.
    """
    needed = pixels * BYTES_A_PIXEL
    with _turn:
        _turn.wait_for(lambda: not _taken or sum(_taken) + needed <= _half_of_memory())
        _taken.append(needed)
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or not _is_free(needed):
            raise MemoryError(f"decoding may take {units.size(needed)}") from error
        raise
    finally:
        with _turn:
            _taken.remove(needed)
            _turn.notify_all()


@functools.cache
def _half_of_memory() -> int:
    there = host.memory()
    return (there.total - there.taken) // 2


def _is_free(size: int) -> bool:
    try:
        np.empty(size, np.uint8)  # addresses, which take no memory until they are used
    except MemoryError:
        return False
    return True
