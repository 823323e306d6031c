"""Measures how the start of a run and its memory grow with the number of pictures.

    python -m benchmarks.large_set --pictures 1000 1000000

The pictures of each domain are holes of a sparse file, which takes no room on the disk; they are
black, but are mapped, checked, put in order and fed as any others. Each row is a process that does
what a run does until its first batch is on the device: the first start takes a digest of every
picture, which is kept; a later start compares some. ``anonymous_mib`` is the memory of the process
besides mapped files; ``step_kib`` is the most that choosing and gathering a step's batches
allocates on the host.
"""

import argparse
import json
import tempfile
import time
import tracemalloc
from functools import partial
from pathlib import Path

import jax
import numpy as np

from benchmarks import processes
from discogan_jax.config.schema import from_config
from discogan_jax.configs import best
from discogan_jax.data import feed
from discogan_jax.train.setup import Setup

HELD_OUT = 200
STARTS = "first start", "later start"


def write(folder: Path, pictures: int, size: int) -> None:
    """Creates the arrays of both domains, so many pictures in all."""
    for domain in "ab":
        (folder / domain).mkdir(parents=True)
        for split, number in (("train", pictures // 2), ("val", HELD_OUT)):
            path, shape = folder / domain / f"{split}.npy", (number, size, size, 3)
            np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def one_turn(folder: Path, size: int) -> processes.Numbers:
    """Starts a run, without training it."""
    config = best.get_config()
    config.data.source_a, config.data.source_b = (f"arrays:{folder / d}" for d in "ab")
    config.data.data_dir = str(folder / "data")
    config.data.image_size, config.data.feed = size, "tf"
    begun = time.perf_counter()
    setup = Setup(from_config(config))
    jax.block_until_ready(next(setup.batches(0)))
    seconds = time.perf_counter() - begun

    tracemalloc.start()
    begun = time.perf_counter()
    feed.host_batches(setup.train_images, setup.order, 0, 1000)
    step = time.perf_counter() - begun
    status = Path("/proc/self/status").read_text()
    [anonymous] = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")]
    return {
        "start_seconds": seconds,
        "anonymous_mib": int(anonymous) / 1024,
        "step_seconds": step,
        "step_kib": tracemalloc.get_traced_memory()[1] / 1024,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 1_000_000])
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.turn:
        print("\n" + json.dumps(one_turn(args.folder / args.turn.split()[0], args.size)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for number in args.pictures:
            write(Path(folder) / str(number), number, args.size)
        sides = [f"{number} pictures, {start}" for number in args.pictures for start in STARTS]
        given = ["--folder", folder, "--size", str(args.size)]
        turn = partial(processes.take, "benchmarks.large_set", arguments=given)
        settings = {"size": args.size}
        processes.run("large_set", sides, turn, budget=0.0, settings=settings, least_rounds=1)


if __name__ == "__main__":
    main()
