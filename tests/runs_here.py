"""Training runs for tests: tiny images and networks, in this process or in a separate one."""

import json
import os
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from discogan_jax import runs, sharding
from discogan_jax.config import build, schema
from discogan_jax.configs import official
from discogan_jax.runs import checkpoint, layout, manifest, reading
from discogan_jax.runs import run as runs_run

SIZE = 16
DOMAINS = ("bags", "shoes")


def write_arrays(folder, channels=3):
    """Writes `arrays:` sources: 24 training and 8 held-out images per domain."""
    rng = np.random.default_rng(0)
    for domain in DOMAINS:
        (folder / domain).mkdir(parents=True)
        for split, number in (("train", 24), ("val", 8)):
            pictures = rng.integers(0, 256, (number, SIZE, SIZE, channels), dtype=np.uint8)
            np.save(folder / domain / f"{split}.npy", pictures)
    return folder


def fields(data, **changes):
    """Returns config fields, by dotted name, of a run that compiles and trains in seconds."""
    return {
        "data.source_a": f"arrays:{data / DOMAINS[0]}",
        "data.source_b": f"arrays:{data / DOMAINS[1]}",
        "data.data_dir": str(data / "cache"),
        "data.image_size": SIZE,
        "data.batch_size": 4,
        "data.flip": True,
        "model.width": 4,
        "optim.ema_decay": 0.9,
        "train.evaluate_every": 0,
        "train.keep": 100,
    } | {name.replace("__", "."): value for name, value in changes.items()}


def config(data, **changes):
    made = official.get_config()
    made.update_from_flattened_dict(fields(data, **changes))
    return made


def command(data, workdir, **changes):
    """Returns the arguments of the experiment's command."""
    flags = [f"--config.{name}={value}" for name, value in fields(data, **changes).items()]
    return ["--config=configs/official.py", f"--workdir={workdir}", *flags]


_BARE = """
import runpy, sys
from importlib.machinery import PathFinder

class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] not in {"tensorflow", "tensorflow_datasets", "clu", "tensorboard"}:
            return super().find_spec(name, path, target)

sys.meta_path = [Bare if finder is PathFinder else finder for finder in sys.meta_path]
%s
runpy.run_module("experiments.bags_shoes", run_name="__main__")
"""


def bare(first=""):
    """Returns a program for `start`: code, then the experiment without TensorFlow and CLU."""
    return "-c", _BARE % first


def environment(cache):
    """Returns an environment with a shared cache of compiled programs."""
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_COMPILATION_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONUNBUFFERED": "1",
    }


def start(arguments, cache, *, program=("-m", "experiments.bags_shoes"), **kw):
    """Starts the experiment in a separate process."""
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kw,
    )


def untrained(made, workdir, steps=(1,)):
    """A run that was never trained: checkpoints of random parameters, opened at the last one."""
    settings = schema.from_config(made)
    gan = build.gan(settings)
    runs_run.begin(workdir, settings)
    with checkpoint.Checkpoints(workdir / layout.CHECKPOINTS, keep=9, keep_every=0) as saved:
        for step in steps:
            # A checkpoint knows its step.
            state = tiny.state(gan, seed=step, shape=build.image_shape(settings))
            saved.save(step, state.replace(step=jnp.int32(step)))
    return runs.open(workdir)


def run(arguments, cache, **kw):
    """Runs the experiment to its end; returns exit code, standard output, standard error."""
    process = start(arguments, cache, **kw)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def wait_for_line(path, step, process):
    """Waits until the metrics of a step, or of a later one, are in a file."""
    deadline = time.monotonic() + 300
    while not path.exists() or not any(line["step"] >= step for line in lines(path)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lines(path):
    """Reads the complete lines of `metrics.jsonl`."""
    return [json.loads(line) for line in path.read_text().splitlines(True) if line[-1] == "\n"]


def steps_saved(workdir):
    return manifest.steps(workdir / layout.CHECKPOINTS)


def saved(workdir, made, step=None):
    """Reads the state of a checkpoint."""
    s = schema.from_config(made)
    shapes = build.state_shapes(s, build.gan(s))
    where = sharding.replicated(sharding.data_mesh())
    return reading.read(workdir / layout.CHECKPOINTS, shapes, where, step)[1]


def assert_same(one, other):
    """Asserts bit-for-bit equal parameters, statistics, optimizers, averages and counts."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for (path, a), b in zip(jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), jax.tree_util.keystr(path)
