"""Forecasts what a run takes: time on this machine, and disk."""

import argparse
import shlex
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import numpy as np
from absl import logging
from jax.sharding import Mesh

from discogan_jax import files, host, steps, units
from discogan_jax.config import build, flags
from discogan_jax.config.schema import (
    Data,
    Domains,
    Loss,
    Optim,
    Settings,
    Train,
    from_config,
    to_json,
)
from discogan_jax.data import sources
from discogan_jax.data.folder import Folder
from discogan_jax.data.source import CachedSource
from discogan_jax.images import Size
from discogan_jax.models import nearest_sizes
from discogan_jax.runs import checkpoint, layout
from discogan_jax.state import DOMAINS
from discogan_jax.train.samples import ROWS
from discogan_jax.train.setup import Setup
from discogan_jax.train.variants import as_text

LONG = 3600.0
"""Seconds of a run on CPUs from which on a shorter one is suggested."""

_SMALL = 32  # pixels of the shorter run's pictures
_LINE = 1500  # bytes of one step's scalars in all files, as measured
_BEST = flags.CONFIGS / "best.py"
_OF_RECIPES = ("flip", "jitter", "feed")  # what a recipe says about its data


def time_of(setup: Setup, seconds: float, start: int = 0) -> str:
    """Says how long a run takes here, and what a shorter one would take if that is long.

    Args:
      setup: the setup of the run.
      seconds: duration of the steps that remain.
      start: number of finished steps.
    """
    count = setup.settings.train.steps - start
    what = f"the remaining {count:,} steps" if start else f"{count:,} steps"
    text = f"{what} take {units.duration(seconds)} on {machine(setup.mesh)}"
    if not setup.on_cpu or seconds < LONG:
        return text
    # Much shorter, or not worth another recipe.
    command, other = shorter(setup.settings, min(setup.order.sizes))
    ratio = relative(other, setup.settings)
    other_seconds = ratio * seconds / count * other.train.steps if ratio else seconds
    if other_seconds > seconds / 2:
        return text
    size = other.data.image_size
    return f"{text}; {units.duration(other_seconds)} at {size} px with: {command}"


def machine(mesh: Mesh) -> str:
    """Names the devices of a mesh: "2 CPU cores", "NVIDIA H200", "8 × NVIDIA H200"."""
    device = mesh.devices.flat[0]
    if device.platform == "cpu" and jax.process_count() == 1:
        cores = host.usable_cores()
        return f"{cores} CPU core{'s' * (cores > 1)}"
    return device.device_kind if mesh.size == 1 else f"{mesh.size} × {device.device_kind}"


def shorter(s: Settings, images: int) -> tuple[str, Settings]:
    """Returns command and settings of `configs/best.py` at 32 px on the pictures of a run.

    Args:
      s: the settings of the run.
      images: number of training images of the smaller domain.
    """
    best = from_config(flags.load(_BEST))
    # The pictures, as the run has them.
    wanted = {k: x for k, x in to_json(s)["data"].items() if k not in _OF_RECIPES}
    found_a, found_b = sources.parse(s.data.source_a), sources.parse(s.data.source_b)
    folders = {}
    if isinstance(found_a, Folder) and isinstance(found_b, Folder):
        folders = {"a": found_a.folder, "b": found_b.folder}
        del wanted["source_a"], wanted["source_b"]
    # Arrays have one size; pictures may be oblong, or small already.
    size = s.data.image_size
    if isinstance(found_a, CachedSource) and isinstance(found_b, CachedSource):
        scale = min(1, _SMALL / min(size))
        size = Size(*nearest_sizes((round(size.height * scale), round(size.width * scale)))[0])
    wanted["image_size"] = size.plain
    wanted["batch_size"] = min(best.data.batch_size, images)

    # What the config says already need not be typed.
    usual = to_json(best)["data"]
    typed = {f"data.{name}": x for name, x in wanted.items() if x != usual[name]}
    fields = [f"--config.{name}={as_text(value)}" for name, value in typed.items()]
    given = argparse.Namespace(name="best", config=None, a=None, b=None, default_config=None)
    vars(given).update(folders, fields=fields)
    if from_config(flags.read(given)).domains != s.domains:
        fields.append(f"--config.domains={tuple(s.domains)}")
    words = ["best", *(f"--{d}={folder}" for d, folder in folders.items()), *fields]
    return f"discogan train {shlex.join(words)}", from_config(flags.read(given))


def relative(other: Settings, s: Settings) -> float | None:
    """Returns how much a step of some settings computes, relative to one of others, if known."""
    here, there = _operations(_work(s)), _operations(_work(other))
    return there / here if here and there else None


def _work(s: Settings) -> Settings:
    """Leaves of settings what determines how much a step computes."""
    d, t = s.data, s.train
    return replace(
        s,
        seed=0,
        domains=Domains("a", "b"),
        data=Data(image_size=d.image_size, channels=d.channels, batch_size=d.batch_size),
        loss=Loss(identity=float(s.loss.identity > 0), objective=s.loss.objective),
        optim=Optim(),
        train=Train(d_updates=t.d_updates, g_updates=t.g_updates, precision=t.precision),
    )


@cache
def _operations(s: Settings) -> float | None:
    """Counts the operations of a step before XLA optimizes it: this takes seconds."""
    gan = build.gan(s)
    shape = (gan.updates, s.data.batch_size, *build.image_shape(s))
    batches = dict.fromkeys(DOMAINS, jax.ShapeDtypeStruct(shape, np.uint8))
    lowered = steps.train_step_jit.lower(gan, build.state_shapes(s, gan), batches)
    return (lowered.cost_analysis() or {}).get("flops")


def disk(s: Settings) -> dict[str, int]:
    """Returns about how many bytes the files of a run take at the most, by kind."""
    t, size = s.train, s.data.image_size
    shapes = build.state_shapes(s, build.gan(s))
    state = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(shapes))
    sampled = t.steps // t.sample_every + 1 if t.sample_every else 0
    logged = t.steps // t.log_every if t.log_every else 1
    # A grid of samples is in TensorBoard's files, too; as a PNG it has about a byte a value.
    grid = ROWS * 6 * size.height * size.width * s.data.channels
    return {
        "checkpoints": checkpoint.most_kept(t) * state,
        "samples": 2 * sampled * grid,
        "metrics": (logged + sampled) * _LINE,
    }


def warn_of_little_room(s: Settings, workdir: Path) -> None:
    """Warns if the disk of a run has less room than the run's checkpoints will take.

    Args:
      s: the settings.
      workdir: the run directory, which exists.
    """
    needed = disk(s)["checkpoints"] - files.folder_size(workdir / layout.CHECKPOINTS)
    free = shutil.disk_usage(workdir).free
    if needed > free:
        logging.warning(
            "the checkpoints of this run will take about %s in %s, where %s are free: training "
            "stops when the disk is full. Make room, or keep fewer: config.train.keep_every, "
            "config.train.keep",
            units.size(needed),
            workdir,
            units.size(free),
        )
