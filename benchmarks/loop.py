"""A whole training run beside its bare steps: what reading, logging, samples and checkpoints cost.

    python -m benchmarks.loop --config configs/sample.py --steps 200 --budget 240

The sides: `bare` calls the compiled step on batches that lie on the device; `run` is
`train_and_evaluate` with the config's cadences, timed from a quarter of its steps to its return, so
with the last samples and checkpoint but without start-up. Evaluations, which are no part of
training, are off. Waiting for data is what the loop itself reports, as a share of the time.
"""

import argparse
import json
import runpy
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import turns
from discogan_jax import build, steps, train, writers
from discogan_jax.host_memory import keep_freed_memory
from discogan_jax.launch import start_jax
from discogan_jax.settings import Settings, from_config
from discogan_jax.state import create_state


def bare(s: Settings, number: int) -> turns.Numbers:
    """Seconds of a step by itself."""
    gan = build.gan(s)
    rng = np.random.default_rng(0)
    size = s.data.image_size
    shape = (gan.updates, s.data.batch_size, size, size, 3)
    batches = {d: jax.device_put(rng.integers(256, size=shape, dtype=np.uint8)) for d in "ab"}
    create = jax.jit(create_state, static_argnums=(1, 2))
    state = create(jax.random.key(0), gan, build.image_shape(s))
    state, metrics = steps.train_step_jit(gan, state, batches)
    jax.block_until_ready(metrics)
    begun = time.perf_counter()
    for _ in range(number):
        before = metrics
        state, metrics = steps.train_step_jit(gan, state, batches)
        jax.block_until_ready(before)  # as the training loop does
    jax.block_until_ready((state, metrics))
    return {"seconds_per_step": (time.perf_counter() - begun) / number}


class _Listening:
    """A writer that notes when numbers came, and hands them on."""

    def __init__(self, inner: writers.Writer):
        self._inner = inner
        self.seen: list[tuple[float, int, Mapping[str, float]]] = []

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self.seen.append((time.perf_counter(), step, scalars))
        self._inner.write_scalars(step, scalars)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def whole(config: Any, number: int) -> turns.Numbers:
    """Seconds of a step of a training run, and the share of them that it waited for data."""
    opened: list[_Listening] = []

    def open_writer(workdir: Path, step: int) -> Any:
        opened.append(_Listening(writers.open_writer(workdir, step)))
        return opened[0]

    with tempfile.TemporaryDirectory() as folder:
        train.train_and_evaluate(config, folder, open_writer=open_writer)
        ended = time.perf_counter()
    seen = opened[0].seen
    # By then TensorFlow is imported, beside the first steps.
    first, begun = next((step, at) for at, step, _ in seen if step >= number / 4)
    wait = "data_wait_fraction"
    waits = [numbers[wait] for _, _, numbers in seen if wait in numbers]
    found = {"seconds_per_step": (ended - begun) / (number - first)}
    return found | ({wait: float(np.mean(waits))} if waits else {})


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/sample.py")
    parser.add_argument("--archives", help="folder of the pix2pix archives, if the config has some")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--feeds", nargs="+", default=["tf", "device"], choices=("tf", "device"))
    parser.add_argument("--budget", type=float, default=240, help="seconds")
    parser.add_argument("--data_dir", help=argparse.SUPPRESS)
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.turn:
        print("\n" + json.dumps(one_turn(args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"--config={args.config}", f"--steps={args.steps}", f"--data_dir={folder}"]
        arguments += [f"--archives={args.archives}"] if args.archives else []
        sides = ["bare", *(f"run, {feed} feed" for feed in args.feeds)]
        turn = partial(turns.take, "benchmarks.loop", arguments=arguments)
        turns.run("loop", sides, turn, budget=args.budget, settings=vars(args), least_rounds=2)


def one_turn(args: argparse.Namespace) -> turns.Numbers:
    """What the process of a turn does."""
    sys.path.insert(0, ".")
    config = runpy.run_path(args.config)["get_config"]()
    config.train.steps, config.train.evaluate_every = args.steps, 0
    config.data.data_dir, config.data.archives = args.data_dir, args.archives
    start_jax()
    s = from_config(config)
    keep_freed_memory(s.data.batch_size * s.data.image_size**2)
    if args.turn == "bare":
        return bare(s, args.steps)
    config.data.feed = args.turn.split()[1]
    return whole(config, args.steps)


if __name__ == "__main__":
    main()
