"""Decodes pictures of any kind into `train.npy` and `val.npy`, on all cores."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from absl import logging

from discogan_jax import images
from discogan_jax.data import cache
from discogan_jax.data.census import Census
from discogan_jax.data.progress import progress_bar
from discogan_jax.errors import InputError
from discogan_jax.host import usable_cores
from discogan_jax.images import Preparation

# The part of the pictures that is held out where a source has no split for that; more than so many
# are not needed to measure with.
HELD_OUT, MAX_HELD_OUT = 0.05, 500

# Unreadable pictures that a warning lists.
MAX_REPORTED = 10

# Pictures that a thread takes at once, since waking it costs as much as decoding one; and how many
# such chunks are in memory at a time.
_CHUNK, _MAX_CHUNKS = 16, 16
T = TypeVar("T")
R = TypeVar("R")


def held_out_count(total: int) -> int:
    """Returns how many of so many pictures to hold out: about 5%, at least one."""
    return min(max(round(HELD_OUT * total), 1), MAX_HELD_OUT)


def write_pictures(
    folder: Path,
    pictures: Iterable[Path | bytes],
    count: int,
    preparation: Preparation,
    *,
    held_out: Callable[[Sequence[int]], Collection[int]],
    label: str,
) -> dict[str, Any]:
    """Decodes pictures of any kind and size with Pillow, on all cores.

    Args:
      folder: the folder for `train.npy` and `val.npy`.
      pictures: files, or their bytes; read as they are needed.
      count: number of the pictures.
      preparation: what is done to them.
      held_out: given the positions of the readable pictures, returns those that are not for
        training.
      label: name of the pictures, for messages.

    Returns:
      What was found, a `Census` as JSON.

    Raises:
      InputError: no picture can be read, or none is left for one of the splits.
    """
    if not count:
        raise InputError(f"{label} has no pictures.")
    # Which of them are readable, and so held out, is known only after all are decoded.
    scratch = folder / "all.npy"
    out = cache.create_array(scratch, count, preparation.size, preparation.channels)

    def decode(job: tuple[int, Path | bytes]) -> str | None:
        row, picture = job
        try:
            out[row] = preparation.apply(images.read(picture))
        except InputError as error:
            return str(error)
        return None

    problems, readable = [], []
    with progress_bar(label, count, " pictures") as bar:
        for (row, _), problem in map_ahead(decode, enumerate(pictures)):
            problems.append(problem) if problem else readable.append(row)
            bar.update()
    _report(problems, count, label)

    # Copy the rows of each split to its own file.
    held = set(held_out(readable))
    for split in cache.SPLITS:
        rows = [row for row in readable if (row in held) == (split == "val")]
        if not rows:
            found = f"{len(readable)} readable pictures"
            raise InputError(f"{label}: {found} leave none for {split}; add some.")
        cache.write_rows(out, rows, folder / f"{split}.npy")
    del out
    scratch.unlink()
    return Census(preparation).to_json()


def _report(problems: Sequence[str], count: int, label: str) -> None:
    if len(problems) == count:
        raise InputError(f"{label}: none of {count} pictures can be read. The first: {problems[0]}")
    if problems:
        more = ["..."] if len(problems) > MAX_REPORTED else []
        shown = "\n  ".join([*problems[:MAX_REPORTED], *more])
        text = "%s: %d of %d skipped, unreadable:\n  %s"
        logging.warning(text, label, len(problems), count, shown)


def map_ahead(function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Maps in parallel and yields (item, result) pairs in order, a bounded number ahead of use."""
    remaining = iter(items)
    chunks = iter(lambda: list(islice(remaining, _CHUNK)), [])
    with ThreadPoolExecutor(usable_cores()) as pool:
        submitted = ((chunk, pool.submit(list, map(function, chunk))) for chunk in chunks)
        # For every chunk that is taken, another one is submitted.
        waiting = deque(islice(submitted, _MAX_CHUNKS))
        try:
            while waiting:
                chunk, future = waiting.popleft()
                yield from zip(chunk, future.result(), strict=True)
                waiting.extend(islice(submitted, 1))
        finally:
            pool.shutdown(cancel_futures=True)
