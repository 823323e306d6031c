"""Decodes pictures of any kind into `train.npy` and `val.npy`, on all cores."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import UInt8

from discogan_jax import images
from discogan_jax.data import cache
from discogan_jax.data.census import Census, Seen, left_out_text
from discogan_jax.data.listing import is_named_as_picture
from discogan_jax.data.progress import progress_bar
from discogan_jax.errors import InputError
from discogan_jax.host import usable_cores
from discogan_jax.images import Picture, PictureError, Preparation, Size
from discogan_jax.images.reading import NO_PICTURE, TOO_LARGE, UNREADABLE

# Unreadable pictures that a warning lists.
MAX_REPORTED = 10

# The part of the pictures that is held out where a source has no split for that.
HELD_OUT = 0.05

# Pictures that a thread takes at once, since waking it costs as much as decoding one; and how many
# such chunks are in memory at a time.
_CHUNK, _MAX_CHUNKS = 16, 16
T = TypeVar("T")
R = TypeVar("R")

# Given the positions of the readable pictures, returns those of each of `cache.SPLITS`, in the
# order of the rows.
Split = Callable[[list[int]], dict[str, list[int]]]


class Item(NamedTuple):
    """A picture to decode.

    Attributes:
      source: its file, or the bytes of that.
      name: name for people.
      page: number of the page, of a TIFF, from 0.
      side: side that is taken of two pictures side by side, left or right; None for all of it.
    """

    source: Path | bytes
    name: str
    page: int = 0
    side: str | None = None

    def load(self, preparation: Preparation) -> Picture:
        """Reads the picture as its preparation needs it.

        Raises:
          PictureError: it cannot be read, or one side is taken and it is of odd width.
        """
        if self.side is None:
            return preparation.load(self.source, page=self.page)
        # In full: a smaller one may be cut beside its middle.
        whole = images.load(self.source, page=self.page)
        height, width = whole.size
        if width % 2:
            problem = "of odd width, so not two pictures side by side"
            raise PictureError(f"{self.name}: {problem}", problem)
        start = width // 2 if self.side == "right" else 0
        half = whole.pixels[:, start : start + width // 2]
        return whole._replace(pixels=half, size=Size(height, width // 2))


def write_pictures(
    folder: Path, items: Callable[[], Iterable[Item]], count: int, census: Census, split: Split
) -> dict[str, Any]:
    """Decodes pictures of any kind and size with Pillow, in threads, on all cores.

    Deep ones are decoded twice: their range is that of the set, known when all have been seen.

    Args:
      folder: the folder for `train.npy` and `val.npy`.
      items: gives the pictures, as often as it is called.
      count: number of the pictures.
      census: what is done to them; counts them.
      split: divides the readable pictures.

    Returns:
      What was found, the `Census` as JSON.

    Raises:
      InputError: no picture can be read, or none is left for one of the splits.
    """
    if not count:
        raise InputError(f"{census.label} has no pictures.")
    # Which of them are readable, and so held out, is known only after all are decoded.
    scratch = folder / "all.npy"
    shape = (count, *census.preparation.size, census.preparation.channels)
    out = cache.create_array(scratch, shape)
    readable = _decode(out, items, census)

    # Copy the rows of each split to its own file.
    for name, rows in split(readable).items():
        if not rows:
            found = f"{len(readable)} readable picture{'s' * (len(readable) != 1)}"
            needed = "one to train on and one to hold out, in files of their own"
            problem = f"of {found} none is left for {name}; needed are {needed}"
            raise InputError(f"{census.label}: {problem}.")
        cache.write_rows(out, rows, folder / f"{name}.npy")
    census.warn(*census.warnings([out[row] for row in readable]))
    del out
    scratch.unlink()
    return census.to_json()


def _decode(
    out: UInt8[np.ndarray, "N H W C"], items: Callable[[], Iterable[Item]], census: Census
) -> list[int]:
    """Decodes pictures into the rows of their positions, and returns those that can be read."""

    def look(numbered: tuple[int, Item]) -> Seen | PictureError:
        row, item = numbered
        try:
            picture = item.load(census.preparation)
        except PictureError as error:
            return error
        if picture.bits == 8 or census.preparation.range:
            out[row] = census.preparation.apply(picture)
        return census.look_at(picture)

    problems, readable, deep = [], [], set()
    needs_range = census.preparation.range is None
    results = map_ahead(look, enumerate(items()))
    for (row, item), found in progress_bar(census.label, len(out), " pictures", iterable=results):
        if isinstance(found, PictureError):
            reason = _reason(item, found)
            census.leave_out(item.name, reason)
            problems += [str(found)] if reason in (UNREADABLE, TOO_LARGE) else []
            continue
        census.used[found] += 1
        readable.append(row)
        if needs_range and found.bits != 8:
            deep.add(row)
    _report(problems, census)
    if not deep:
        return readable

    # The others once more, now that it is known how deep they are.
    census.find_range()

    again = ((row, item) for row, item in enumerate(items()) if row in deep)
    results = map_ahead(look, again)
    title = f"{census.label}, deep"
    for _, found in progress_bar(title, len(deep), " pictures", iterable=results):
        if isinstance(found, PictureError):  # gone or damaged since
            raise found
    return readable


def _reason(item: Item, error: PictureError) -> str:
    """Returns why a file is left out; one that is named like a picture should have been one."""
    should_be_one = error.reason == NO_PICTURE and is_named_as_picture(item.name)
    return UNREADABLE if should_be_one else error.reason


def _report(problems: Sequence[str], census: Census) -> None:
    """Logs why pictures cannot be read, or raises an error if that is so of all."""
    pictures = (len(names) for why, names in census.left_out.items() if why != NO_PICTURE)
    total = census.number + sum(pictures)
    if not census.number:
        left_out = left_out_text(census.to_json()["left_out"])
        why = f"The first: {problems[0]}" if problems else f"Left out: {left_out}"
        none = f"none of {total} pictures can be read" if total else "holds no pictures"
        raise InputError(f"{census.label}: {none}. {why}")
    if problems:
        more = ["..."] if len(problems) > MAX_REPORTED else []
        shown = "\n  ".join([*problems[:MAX_REPORTED], *more])
        census.warn(f"{len(problems)} of {total} skipped, unreadable:\n  {shown}")


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
