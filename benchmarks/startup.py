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
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

from benchmarks import turns
from benchmarks.turns import since_start
from discogan_jax.data import catalogue

SIDES = ("second start", "resumed", "first start", "import")


def _marked(marks: dict[str, float], name: str, function: Callable[..., Any]) -> Any:
    """The function, that notes when it returns."""

    def called(*args: Any, **fields: Any) -> Any:
        result = function(*args, **fields)
        marks[name] = since_start()
        return result

    return called


def start(arguments: list[str]) -> NoReturn:
    """Runs the training command until its first step has begun and prints when what was done."""
    marks = {"Python": since_start()}
    from discogan_jax import host

    kept = host.keep_freed_memory
    with mock.patch.object(host, "keep_freed_memory", _told(marks, kept)):
        sys.argv = ["experiments.bags_shoes", *arguments]
        runpy.run_module("experiments.bags_shoes", run_name="__main__")
    raise AssertionError("the command ended before its first step")


def _told(marks: dict[str, float], inner: Callable[..., Any]) -> Callable[..., Any]:
    """What the command calls once its config is right, and which then notes milestones."""

    def entered(*args: Any) -> Any:
        marks["JAX imported, flags read"] = since_start()
        result = inner(*args)
        from discogan_jax.config import build
        from discogan_jax.train import loop

        marks["Orbax imported"] = since_start()
        make_advance = loop._make_advance

        def first_step(*args: Any, **fields: Any) -> Any:
            marks["initial state or checkpoint"] = since_start()
            advance, waiting = make_advance(*args, **fields)
            marks["feed"] = since_start()

            def once(state: Any, n: int) -> NoReturn:
                marks["writer and first samples"] = since_start()
                advance(state, n)
                marks["first step begun"] = since_start()
                print("\n" + json.dumps(marks), flush=True)
                os._exit(0)

            return once, waiting

        build.images = _marked(marks, "pictures", build.images)
        loop._make_advance = first_step
        return result

    return entered


def take(side: str, command: list[str], folder: Path) -> turns.Numbers:
    """Performs one run in a separate process.

    Args:
      side: one of `SIDES`.
      command: flags of the training command, without directories.
      folder: folder with the caches and a run that has a checkpoint.
    """
    if side == "import":
        return turns.take("benchmarks.startup", side, [])
    with tempfile.TemporaryDirectory() as empty:
        cached = Path(empty) if side == "first start" else folder
        run = folder / "run" if side == "resumed" else Path(empty) / "run"
        flags = [*command, f"--config.data.data_dir={cached / 'data'}", f"--workdir={run}"]
        cache = {"JAX_COMPILATION_CACHE_DIR": str(cached / "xla")}
        with mock.patch.dict(os.environ, cache):
            return turns.take("benchmarks.startup", side, ["--", *flags])


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
        turns.run(
            "startup",
            SIDES,
            lambda side: take(side, command, folder),
            budget=args.budget,
            settings={"config": args.config, "drawn": not args.archives},
            least_rounds=2,
        )


if __name__ == "__main__":
    main()
