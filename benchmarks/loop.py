"""Compares a training run with its bare steps: the cost of reading, logging, samples, checkpoints.

    python -m benchmarks.loop --config configs/sample.py --steps 400 --budget 800

Each run is a whole training run, `train_and_evaluate` with the config's intervals, which is paused
four times for some bare steps: the compiled step on batches that are already on the device. Both
are thus timed within the same minute on the same memory, since the speed of machines drifts by
more than the overhead to be measured. Timing begins after the first samples that follow a step and
compile what they need, so it excludes start-up; evaluations, which are not part of training, are
off. The time spent waiting for data is reported by the loop itself, as a fraction.
"""

import argparse
import json
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import processes
from discogan_jax import steps, train
from discogan_jax.config import build
from discogan_jax.config.schema import Settings, from_config
from discogan_jax.host import keep_freed_memory, use_compile_cache
from discogan_jax.images import Size
from discogan_jax.state import create_state
from discogan_jax.train import writers

BLOCKS = 4


class Bare:
    """Bare training steps, with a separate state."""

    def __init__(self, s: Settings):
        """Compiles the step, or loads the compiled program."""
        self._gan = build.gan(s)
        rng = np.random.default_rng(0)
        shape = (self._gan.updates, s.data.batch_size, *build.image_shape(s))
        self._batches = {
            d: jax.device_put(rng.integers(256, size=shape, dtype=np.uint8)) for d in "ab"
        }
        create = jax.jit(create_state, static_argnums=(1, 2))
        self._state = create(jax.random.key(0), self._gan, build.image_shape(s))
        self.seconds_per_step(1)

    def seconds_per_step(self, number: int) -> float:
        """Runs some steps and returns the seconds per step."""
        jax.block_until_ready(self._state)
        begun = time.perf_counter()
        metrics: Any = None
        for _ in range(number):
            before = metrics
            self._state, metrics = steps.train_step_jit(self._gan, self._state, self._batches)
            jax.block_until_ready(before)  # as the training loop does
        jax.block_until_ready((self._state, metrics))
        return (time.perf_counter() - begun) / number


class Interrupting:
    """A writer that forwards metrics and times bare steps between blocks of the run."""

    def __init__(self, inner: writers.Writer, bare: Callable[[], float], first: int, block: int):
        """Takes the first step to be timed and the number of steps per block."""
        self._inner, self._bare = inner, bare
        self._next, self._block = first, block
        self._begun = (0.0, 0)
        self.run: list[tuple[float, int]] = []
        self.bare: list[float] = []
        self.waits: list[float] = []

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Forwards the metrics, and at the end of a block times bare steps."""
        self._inner.write_scalars(step, scalars)
        if self.bare and "data_wait_fraction" in scalars:
            self.waits.append(scalars["data_wait_fraction"])
        if step < self._next:
            return
        if self.bare:
            self.run.append((time.perf_counter() - self._begun[0], step - self._begun[1]))
        self._next += self._block
        self.bare.append(self._bare())
        self._begun = time.perf_counter(), step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def measure(config: Any, number: int) -> processes.Numbers:
    """Measures seconds per step of a training run and of bare steps, and the wait for data."""
    block = number // BLOCKS
    first = config.train.sample_every + config.train.log_every
    # One step more than is timed: the last one draws samples regardless of the interval.
    config.train.steps = first + BLOCKS * block + 1
    bare = Bare(from_config(config))
    opened: list[Interrupting] = []

    def open_writer(workdir: Path, step: int) -> Any:
        inner = writers.open_writer(workdir, step)
        few = partial(bare.seconds_per_step, max(block // 4, 1))
        opened.append(Interrupting(inner, few, first, block))
        return opened[0]

    with tempfile.TemporaryDirectory() as folder:
        train.train_and_evaluate(config, folder, open_writer=open_writer)
    seconds, count = np.sum(opened[0].run, axis=0)
    alone = float(np.mean(opened[0].bare))
    found = {
        "seconds_per_step": float(seconds / count),
        "bare_seconds_per_step": alone,
        "time_by_bare": float(seconds / count / alone),
    }
    waits = opened[0].waits
    return found | ({"data_wait_fraction": float(np.mean(waits))} if waits else {})


def write_noise(folder: Path, shape: tuple[int, ...], pictures: int = 4096) -> None:
    """Writes the arrays of a source, if they are not there yet; that needs no TensorFlow."""
    if folder.is_dir():
        return
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, number in (("train", pictures), ("val", 64)):
        np.save(folder / f"{split}.npy", rng.integers(256, size=(number, *shape), dtype=np.uint8))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/sample.py")
    parser.add_argument("--archives", help="folder of the pix2pix archives; noise if missing")
    parser.add_argument("--steps", type=int, default=400, help="steps to time, in four blocks")
    parser.add_argument("--feeds", nargs="+", default=["tf", "device"], choices=("tf", "device"))
    parser.add_argument("--budget", type=float, default=800, help="seconds")
    parser.add_argument("--changes", default="{}", help="other fields of the config, as JSON")
    parser.add_argument("--data_dir", help=argparse.SUPPRESS)
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.turn:
        print("\n" + json.dumps(one_turn(args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"--config={args.config}", f"--steps={args.steps}", f"--data_dir={folder}"]
        arguments += [f"--changes={args.changes}"]
        arguments += [] if args.archives is None else [f"--archives={args.archives}"]
        sides = [f"{feed} feed" for feed in args.feeds]
        turn = partial(processes.take, "benchmarks.loop", arguments=arguments)
        processes.run("loop", sides, turn, budget=args.budget, settings=vars(args), least_rounds=1)


def one_turn(args: argparse.Namespace) -> processes.Numbers:
    """Performs one run in this process."""
    sys.path.insert(0, ".")
    config = runpy.run_path(args.config)["get_config"]()
    config.train.evaluate_every = 0
    config.data.data_dir, config.data.archives = args.data_dir, args.archives
    config.data.feed = args.turn.split()[0]
    config.update_from_flattened_dict(json.loads(args.changes))
    use_compile_cache()
    height, width = Size.of(config.data.image_size)
    if args.archives is None:
        for d in "ab":
            write_noise(Path(args.data_dir) / d, (height, width, config.data.channels))
            config.data[f"source_{d}"] = f"arrays:{Path(args.data_dir) / d}"
    keep_freed_memory(config.data.batch_size * height * width)
    return measure(config, args.steps)


if __name__ == "__main__":
    main()
