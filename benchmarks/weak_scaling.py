"""Measures weak scaling on this machine: processes of one core each, beside one such process.

    python -m benchmarks.weak_scaling --recipe official --batch 16 --cycles 5

Every process computes with as many images, so that cycles would take equally long if communication
and the other processes cost nothing. ``without_sums`` is the same program without sums over the
processes: what it takes longer than one process is what cores take from each other, and the rest,
``share_of_sums``, is time in collectives.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from jax import lax

from benchmarks import processes, train_step
from discogan_jax import multihost, sharding
from discogan_jax.ops import reductions
from discogan_jax.state import create_state

ROUNDS = 3


def run_all(number: int, arguments: list[str]) -> processes.Numbers:
    """Starts the processes and returns what the first one has found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.weak_scaling", *arguments]
    started = [
        subprocess.Popen(
            [*command, "--process", f"{i}", f"{number}", f"{port}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(number)
    ]
    printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(f"one of {number} processes failed")
    return dict(json.loads(printed[0].splitlines()[-1]))


def seconds(args: argparse.Namespace, sums: bool) -> list[float]:
    """Trains some cycles, and returns how long each took."""
    gan, number = train_step.library(args.recipe, args.size, args.width), jax.process_count()
    shape, mesh = (args.size, args.size, 3), sharding.data_mesh()
    draw = jax.jit(create_state, static_argnums=(1, 2), out_shardings=sharding.replicated(mesh))
    state: Any = draw(jax.random.key(0), gan, shape)
    rng, split = np.random.default_rng(jax.process_index()), sharding.split_batches(mesh)
    own = rng.integers(256, size=(gan.updates, args.batch, *shape), dtype=np.uint8)
    whole = (gan.updates, number * args.batch, *shape)
    batches = {d: jax.make_array_from_process_local_data(split, own, whole) for d in "ab"}
    where = jax.tree.map(lambda x: x.sharding, state)
    psum = lax.psum if sums else lambda x, axis_name: x
    with mock.patch.object(reductions.lax, "psum", psum):
        step = sharding.train_step_for(where).lower(gan, state, batches).compile()
    taken = []
    for _ in range(1 + args.cycles):
        begun = time.perf_counter()
        state, metrics = step(state, batches)
        jax.block_until_ready((state, metrics))
        taken.append(time.perf_counter() - begun)
    return taken[1:]


def one_process(args: argparse.Namespace) -> processes.Numbers:
    """Trains as one of the processes."""
    process, number, port = args.process
    core = sorted(os.sched_getaffinity(0))[process]
    info = multihost.process_info(f"127.0.0.1:{port}", number, process, {})
    with multihost.joined(info):
        jax.devices()
        # While both are at the same point: the first collective waits half a minute for the others,
        # and compiling may take one of them so much longer.
        multihost.all_max(0)
        # Only now, and all threads: a pool of one thread would wait for itself in a collective.
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
        taken = [np.median(seconds(args, sums)) for sums in (True, False)[:number]]
    found = {"cycle": float(taken[0])}
    if number > 1:
        found |= {"without_sums": float(taken[1]), "share_of_sums": float(1 - taken[1] / taken[0])}
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=tuple(train_step.CONFIGS), default="official")
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch", type=int, default=16, help="images per domain and process")
    parser.add_argument("--width", type=int, help="channels of the first level; the recipe's")
    parser.add_argument("--cycles", type=int, default=5, help="cycles that are timed")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    parser.add_argument("--process", nargs=3, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.process:
        print("\n" + json.dumps(one_process(args)))
        return
    given = [f"--{k}={getattr(args, k)}" for k in ("recipe", "size", "batch", "cycles")]
    given += [] if args.width is None else [f"--width={args.width}"]
    if args.turn:
        print("\n" + json.dumps(run_all(int(args.turn.split()[0]), given)))
        return
    settings = {k: v for k, v in vars(args).items() if k not in ("turn", "process")}
    turn = partial(processes.take, "benchmarks.weak_scaling", arguments=given)
    sides, name = ["1 process", "2 processes"], f"weak_scaling-{args.recipe}"
    processes.run(name, sides, turn, budget=0.0, settings=settings, least_rounds=ROUNDS)


if __name__ == "__main__":
    main()
