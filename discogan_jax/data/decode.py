"""Encoded pictures -> `train.npy` and `val.npy` of a folder."""

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from absl import logging
from PIL import Image, ImageFilter
from tqdm import tqdm

from discogan_jax import images
from discogan_jax.data import cache
from discogan_jax.data.pix2pix import tar
from discogan_jax.data.pix2pix.archives import Archive
from discogan_jax.data.pix2pix.tar import Member
from discogan_jax.errors import InputError
from discogan_jax.host import usable_cores

_SPLITS = ("train", "val")
_AHEAD = 16  # chunks, so that no more pictures than these are in memory
_CHUNK = 16  # pictures that a thread takes at once: waking it costs as much as decoding
_BAR: dict[str, Any] = {"delay": 3.0, "disable": None}  # None: not where the output is no terminal
_BYTES: dict[str, Any] = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
T = TypeVar("T")
R = TypeVar("R")


def write_pictures(
    folder: Path,
    pictures: Iterable[Path | bytes],
    *,
    count: int,
    image_size: int,
    held_out: Callable[[Sequence[int]], Collection[int]],
    label: str,
) -> None:
    """Decodes pictures of any kind and size with Pillow, on all cores.

    Args:
      folder: where `train.npy` and `val.npy` are written.
      pictures: files, or their bytes; read as they are needed.
      count: how many they are.
      image_size: side of the squares that are cut out of them.
      held_out: given the positions of the readable pictures, returns those that are not for
        training.
      label: what messages call the pictures.

    Raises:
      InputError: if no picture can be read, or none is left for one of the splits.
    """
    if not count:
        raise InputError(f"{label} has no pictures.")
    scratch = folder / "all.npy"
    out = cache.create(scratch, count, image_size)

    def decode(job: tuple[int, Path | bytes]) -> str | None:
        try:
            out[job[0]] = images.fit(images.read(job[1]), image_size)
        except InputError as error:
            return str(error)
        return None

    complaints, good = [], []
    with tqdm(total=count, desc=label, unit=" pictures", **_BAR) as bar:
        for (position, _), complaint in _ahead(decode, enumerate(pictures)):
            complaints.append(complaint) if complaint else good.append(position)
            bar.update()
    if complaints:
        shown = "\n  ".join(complaints[:10]) + ("\n  ..." if len(complaints) > 10 else "")
        logging.warning(
            "%s: %d of %d skipped, unreadable:\n  %s", label, len(complaints), count, shown
        )
    if not good:
        reason = f" The first: {complaints[0]}" if complaints else ""
        raise InputError(f"{label}: none of {count} pictures can be read.{reason}")
    held = set(held_out(good))
    for split, rows in (
        ("train", [row for row in good if row not in held]),
        ("val", [row for row in good if row in held]),
    ):
        if not rows:
            raise InputError(
                f"{label}: {len(good)} readable pictures leave none for {split}; add some."
            )
        cache.gather(out, rows, folder / f"{split}.npy")
    del out
    scratch.unlink()


def write_archive(
    folder: Path,
    path: Path,
    archive: Archive,
    *,
    image_size: int,
    right: bool,
    thicken: bool,
    half: str | None,
) -> None:
    """Decodes one side of the pictures of a pix2pix archive, in one pass over it, on all cores.

    Rows follow the numbers in the file names. That holds for both sides, so row i of one is the
    partner of row i of the other, unless halves were chosen.

    Args:
      folder: where `train.npy` and `val.npy` are written.
      path: the tar.gz.
      archive: what it is.
      image_size: side of the pictures.
      right: whether the right one of the two pictures is taken.
      thicken: whether it is a line drawing, whose lines are made two pixels thicker first.
      half: 'first' or 'second' keeps that half of the training files.

    Raises:
      InputError: if the archive is damaged, or too many of its pictures are.
    """
    cut = partial(_half, image_size=image_size, right=right, thicken=thicken)

    def decode(member: Member) -> tuple[np.ndarray | None, str]:
        return tar.decode(member, archive, cut)

    tallies = {split: tar.Tally(path, archive, split) for split in _SPLITS}
    scratch = {split: folder / f"{split}.raw" for split in _SPLITS}
    names: dict[str, list[str]] = {split: [] for split in _SPLITS}
    with (
        ExitStack() as stack,
        tqdm(desc=archive.name, total=path.stat().st_size, **_BAR, **_BYTES) as bar,
    ):
        files = {split: stack.enter_context(scratch[split].open("wb")) for split in _SPLITS}
        found = tar.members(path, archive, lambda read: bar.update(read - bar.n))
        wanted = (member for member in found if member.split in _SPLITS)
        for member, (picture, fault) in _ahead(decode, wanted):
            if tallies[member.split].take(member.name, fault):
                assert picture is not None
                files[member.split].write(picture.tobytes())
                names[member.split].append(member.name)
    for split in _SPLITS:
        tallies[split].close()
        order = [_by_number(name) for name in names[split]]
        rows = sorted(range(len(order)), key=order.__getitem__)
        if split == "train" and half:
            middle = len(rows) // 2
            rows = rows[:middle] if half == "first" else rows[middle:]
        if not rows:
            raise InputError(f"{path} has too few pictures to take the {half} half of.")
        shape = (len(names[split]), image_size, image_size, 3)
        pictures = np.memmap(scratch[split], np.uint8, "r", shape=shape)
        cache.gather(pictures, rows, folder / f"{split}.npy")
        del pictures
        scratch[split].unlink()


def _ahead(function: Callable[[T], R], items: Iterator[T]) -> Iterator[tuple[T, R]]:
    """Items with what the function makes of them, in order; others are worked on meanwhile."""

    def work(chunk: list[T]) -> list[R]:
        return [function(item) for item in chunk]

    chunks = iter(lambda: list(islice(items, _CHUNK)), [])
    waiting: deque[tuple[list[T], Future[list[R]]]] = deque()
    with ThreadPoolExecutor(usable_cores()) as pool:
        try:
            for chunk in chunks:
                waiting.append((chunk, pool.submit(work, chunk)))
                if len(waiting) == _AHEAD:
                    first, future = waiting.popleft()
                    yield from zip(first, future.result(), strict=True)
            for first, future in waiting:
                yield from zip(first, future.result(), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


def _by_number(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _half(pair: Image.Image, *, image_size: int, right: bool, thicken: bool) -> np.ndarray:
    """Cuts one of two pictures side by side to its largest square and fits that to a size.

    A whole factor is an exact mean of blocks, as is 4 for 64 px of the published archives.
    """
    if thicken:
        # A drawing's colours are noise of its compression; without them it decodes faster.
        pair.draft("L", None)
    width, height = pair.width // 2, pair.height
    side = min(width, height)
    left, top = (width - side) // 2 + (width if right else 0), (height - side) // 2
    picture = pair.crop((left, top, left + side, top + side))
    if thicken:
        picture = picture.convert("L").filter(ImageFilter.MinFilter(3))  # dilates dark lines
    if side % image_size == 0:
        picture = picture.reduce(side // image_size)
    else:
        shrinks = side > image_size
        resample = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
        picture = picture.resize((image_size, image_size), resample)
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))
