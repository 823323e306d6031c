"""Times the start of training, from the command to the first step, and breaks the time down.

    python -m benchmarks.startup --config configs/default.py --archives DIR

The cases: `first start` with nothing prepared and nothing compiled; `second start` with images and
compiled programs cached, in an empty run directory; `resumed` is the same from a checkpoint. All
run the training command itself, at the batch size of the config, and stop when the first step has
been compiled and started. Numbers are seconds since the start of the process. Without archives,
drawn ones are used.

`import discogan_jax.models`, the first step of other JAX work, is timed as well.
"""

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

from benchmarks import processes
from benchmarks.processes import since_start
from discogan_jax.data import catalogue

SIDES = ("second start", "resumed", "first start", "import")


def start(arguments: list[str]) -> NoReturn:
    """Runs the training command until its first step has begun; prints when each part was done."""
    marks = {"Python": since_start()}
    from discogan_jax import train
    from discogan_jax.commands import train as command  # noqa: F401

    marks["command imported"] = since_start()
    train.train_and_evaluate = partial(_until_first_step, marks)
    sys.argv = ["experiments.bags_shoes", *arguments]
    runpy.run_module("experiments.bags_shoes", run_name="__main__")
    raise AssertionError("the command ended before its first step")


def _until_first_step(marks: dict[str, float], *args: Any, **rest: Any) -> NoReturn:
    """Trains in place of the command, and notes when what is done."""
    marks["flags read, JAX imported"] = since_start()
    from discogan_jax import steps
    from discogan_jax.config import build
    from discogan_jax.train import loop, writers

    marks["Orbax imported"] = since_start()
    images, step = build.images, steps.train_step_jit

    def open_images(*args: Any) -> Any:
        opened = images(*args)
        marks["pictures"] = since_start()
        return opened

    def open_writer(*args: Any) -> Any:
        marks["initial state or checkpoint, feed"] = since_start()
        return writers.open_writer(*args)

    def first_step(*args: Any) -> NoReturn:
        marks["writer and first samples"] = since_start()
        step(*args)
        marks["first step begun"] = since_start()
        print("\n" + json.dumps(marks), flush=True)
        os._exit(0)

    first_step.lower = step.lower
    build.images, steps.train_step_jit = open_images, first_step
    loop.train_and_evaluate(*args, **rest, open_writer=open_writer)
    raise AssertionError("the run ended before its first step")


def take(side: str, command: list[str], folder: Path) -> processes.Numbers:
    """Performs one run in a separate process.

    Args:
      side: one of `SIDES`.
      command: flags of the training command, without directories.
      folder: folder with the caches and a run that has a checkpoint.
    """
    if side == "import":
        return processes.take("benchmarks.startup", side, [])
    with tempfile.TemporaryDirectory() as empty:
        cached = Path(empty) if side == "first start" else folder
        run = folder / "run" if side == "resumed" else Path(empty) / "run"
        flags = [*command, f"--config.data.data_dir={cached / 'data'}", f"--workdir={run}"]
        cache = {"JAX_COMPILATION_CACHE_DIR": str(cached / "xla")}
        with mock.patch.dict(os.environ, cache):
            return processes.take("benchmarks.startup", side, ["--", *flags])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/default.py")
    parser.add_argument("--archives", help="folder of the pix2pix archives; drawn ones if missing")
    parser.add_argument("--budget", type=float, default=60, help="seconds")
    parser.add_argument("--turn", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("flags", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.turn == "import":
        code = "import time; t = time.time(); import discogan_jax.models; print(time.time() - t)"
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
        )
        print(json.dumps({"import discogan_jax.models": float(done.stdout)}))
        return
    if args.turn:
        start(args.flags)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archives = args.archives
        if archives is None:
            archives = folder / "archives"
            catalogue.write_archives(archives)
        command = [f"--config={args.config}", f"--config.data.archives={archives}"]
        command.append("--config.train.evaluate_every=0")
        flags = [f"--config.data.data_dir={folder / 'data'}", f"--workdir={folder / 'run'}"]
        train = [sys.executable, "-m", "experiments.bags_shoes", *command, *flags]
        subprocess.run(
            [*train, "--config.train.steps=1"],
            env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "xla")},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        processes.run(
            "startup",
            SIDES,
            lambda side: take(side, command, folder),
            budget=args.budget,
            settings={"config": args.config, "drawn": not args.archives},
            least_rounds=2,
        )


if __name__ == "__main__":
    main()
