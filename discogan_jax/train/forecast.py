"""Forecasts what a run takes: time on this machine, and disk."""

import math
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
from discogan_jax.config.schema import Optim, Settings, flat, from_config, to_json
from discogan_jax.data import sources
from discogan_jax.data.folder import Folder
from discogan_jax.data.source import CachedSource
from discogan_jax.images import Size
from discogan_jax.models import nearest_sizes
from discogan_jax.runs import checkpoint, layout, report
from discogan_jax.state import DOMAINS
from discogan_jax.train.samples import ROWS
from discogan_jax.train.setup import Setup
from discogan_jax.train.variants import as_text

LONG = 3600.0
"""Seconds of a run on CPUs from which on a shorter one is suggested."""

_SMALL = 32  # pixels of the shorter run's pictures
# Bytes, as measured: of one step's scalars in all files, of an evaluation's, of a parameter's
# histogram, of what a checkpoint has beside the values of an array; of the report without pictures,
# and of what a grid of samples takes there and as a PNG, however small its pictures are.
_LINE, _EVALUATION, _HISTOGRAM, _ARRAY = 1500, 6000, 900, 1500
_PAGE, _SHOWN, _GRID = 100_000, 130_000, 25_000
_BEST = flags.CONFIGS / "best.py"


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
    a, b = sources.parse(s.data.source_a), sources.parse(s.data.source_b)
    # Arrays have one size; pictures may be oblong, or small already.
    size = s.data.image_size
    if isinstance(a, CachedSource) and isinstance(b, CachedSource):
        scale = min(1, _SMALL / min(size))
        size = Size(*nearest_sizes((round(size.height * scale), round(size.width * scale)))[0])
    # The pictures, as the run has them, but fed as the recipe says.
    feeding = {name: getattr(best.data, name) for name in ("flip", "jitter", "feed")}
    batch_size = min(best.data.batch_size, images)
    data = replace(s.data, image_size=size, batch_size=batch_size, **feeding)
    other = replace(best, domains=s.domains, data=data)

    # What the config says already need not be typed.
    usual = flat(to_json(best))
    typed = {name: x for name, x in flat(to_json(other)).items() if x != usual[name]}
    words = ["best"]
    if isinstance(a, Folder) and isinstance(b, Folder):
        del typed["data.source_a"], typed["data.source_b"]
        words += [f"--a={a.folder}", f"--b={b.folder}"]
        if s.domains == (Path(a.folder).name, Path(b.folder).name):
            typed.pop("domains", None)
    words += [f"--config.{name}={as_text(value)}" for name, value in typed.items()]
    return f"discogan train {shlex.join(words)}", other


def relative(other: Settings, s: Settings) -> float | None:
    """Returns how much a step of some settings computes, relative to one of others, if known."""
    # Neither the seed nor the rates change that.
    here, there = (_operations(replace(x, seed=0, optim=Optim())) for x in (s, other))
    return there / here if here and there else None


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
    state = sum(_ARRAY + x.size * x.dtype.itemsize for x in jax.tree.leaves(shapes))
    parameters = len(jax.tree.leaves((shapes.gen.params, shapes.dis.params)))
    # The last step has what is not switched off, and a new run samples before its first one.
    sampled = math.ceil(t.steps / t.sample_every) + 1 if t.sample_every else 0
    evaluated = math.ceil(t.steps / t.evaluate_every) if t.evaluate_every else 0
    logged = t.steps // t.log_every if t.log_every else 1
    # A grid of samples is in TensorBoard's files, too. A value of it takes about a byte as a PNG,
    # and a tenth of that in the report.
    values = ROWS * 6 * size.height * size.width * s.data.channels
    lines = (logged + sampled + evaluated) * _LINE
    return {
        "checkpoints": checkpoint.most_kept(t) * state,
        "samples": 2 * sampled * (_GRID + values),
        "metrics": lines + evaluated * _EVALUATION + sampled * parameters * _HISTOGRAM,
        "the report": _PAGE + min(sampled, report.MAX_SAMPLES) * (_SHOWN + values // 10),
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
