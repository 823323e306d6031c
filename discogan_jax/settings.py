"""A run's settings: what a config file says, checked once and typed from there on."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from discogan_jax.errors import InputError
from discogan_jax.losses import LossWeights
from discogan_jax.state import Objective


@dataclass(frozen=True)
class Data:
    """Where images come from, and how they are fed.

    Attributes:
      source_a: source of domain a, as `data.sources` names them.
      source_b: source of domain b.
      archives: folder of archives that are already there, or None to download them.
      data_dir: where downloads, prepared data and cached arrays are kept.
      image_size: pixels, both ways.
      batch_size: images per domain in the batch of one update, over all devices.
      flip: mirror every other training image, at random.
      feed: ``tf`` (tf.data), ``device`` (arrays on the accelerator) or ``auto``.
    """

    source_a: str
    source_b: str
    archives: str | None
    data_dir: str
    image_size: int
    batch_size: int
    flip: bool
    feed: Literal["auto", "tf", "device"]


@dataclass(frozen=True)
class Model:
    """Which networks.

    Attributes:
      recipe: ``book`` or ``official``.
      width: channels of the first level; each level doubles them, up to 512.
      bottleneck: channels of the official "extra layers", 0 for none.
      literal: the book's code with its defects, for comparison only.
    """

    recipe: Literal["book", "official"]
    width: int
    bottleneck: int
    literal: bool


@dataclass(frozen=True)
class Loss(LossWeights):
    """`losses.LossWeights`, and the objective of `state.DiscoGAN`."""

    objective: Objective = "discogan"


@dataclass(frozen=True)
class Optim:
    """Adam, for both players: `state.adam`; `ema_decay` 0 keeps no averages."""

    learning_rate: float
    b1: float
    b2: float
    l2: float
    ema_decay: float


@dataclass(frozen=True)
class Train:
    """How long, and how often what; all in steps (cycles). A period of 0 means never.

    Attributes:
      steps: cycles to train.
      d_updates: discriminator updates in a cycle.
      g_updates: generator updates in a cycle.
      precision: what the networks compute in.
      log_every: scalars.
      print_every: a printed line.
      sample_every: sample images, histograms and held-out reconstruction.
      evaluate_every: an evaluation on held-out images, as `discogan evaluate` does it.
      checkpoint_every: a checkpoint.
      keep: how many of the last checkpoints are kept.
      keep_every: every so-many-th step's checkpoint is kept for good.
    """

    steps: int
    d_updates: int
    g_updates: int
    precision: Literal["float32", "bfloat16"]
    log_every: int
    print_every: int
    sample_every: int
    evaluate_every: int
    checkpoint_every: int
    keep: int
    keep_every: int


@dataclass(frozen=True)
class Settings:
    """Everything that a config says.

    Attributes:
      seed: of the initial weights and of the order of the images.
      domains: names of a and b, for people.
      data: images.
      model: networks.
      loss: objective and weights.
      optim: optimizer.
      train: schedule.
    """

    seed: int
    domains: tuple[str, str]
    data: Data
    model: Model
    loss: Loss
    optim: Optim
    train: Train

    @property
    def data_dir(self) -> Path:
        """`data.data_dir` with the home folder filled in."""
        return Path(self.data.data_dir).expanduser()

    @property
    def archives(self) -> Path | None:
        """`data.archives` with the home folder filled in."""
        return None if self.data.archives is None else Path(self.data.archives).expanduser()


def suggest(name: str, known: list[str]) -> str:
    """The nearest of the known names, as the end of an error message."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(sorted(known))}"


def from_config(config: Mapping[str, Any]) -> Settings:
    """Checks a config and types it.

    Args:
      config: nested mapping, an ``ml_collections.ConfigDict`` for instance.

    Raises:
      InputError: an unknown or missing field, a value of the wrong type or out of range.
    """
    settings = _fill(Settings, config, "")
    _check(settings)
    return settings


def check_name(name: str) -> None:
    """Refuses a dotted name that is no field of a config.

    Raises:
      InputError: names the nearest field beside it.
    """
    hint: Any = Settings
    prefix = ""
    for part in name.split("."):
        if not dataclasses.is_dataclass(hint):
            raise InputError(f"config.{prefix.rstrip('.')} is a value, it has no fields")
        hints = typing.get_type_hints(hint)
        _check_known(part, hints, prefix)
        hint, prefix = hints[part], f"{prefix}{part}."


def _check_known(name: str, hints: Mapping[str, Any], prefix: str) -> None:
    if name not in hints:
        raise InputError(f"there is no field config.{prefix}{name}: {suggest(name, [*hints])}")


def _fill(cls: type, values: Mapping[str, Any], prefix: str) -> Any:
    if not hasattr(values, "items"):
        raise InputError(f"config{prefix and '.'}{prefix[:-1]} must hold fields, not {values!r}")
    hints = typing.get_type_hints(cls)
    for name in values:
        _check_known(name, hints, prefix)
    missing = [f"{prefix}{name}" for name in hints if name not in values]
    if missing:
        raise InputError(f"config lacks {', '.join(missing)}: see configs/default.py")
    return cls(**{name: _value(hints[name], values[name], prefix + name) for name in hints})


def _value(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _fill(typing.cast(type, hint), value, f"{name}.")
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if types.NoneType in args:
        return None if value is None else _value(args[0], value, name)
    if origin is Literal:
        if value not in args:
            raise InputError(f"config.{name} must be one of {', '.join(args)}, not {value!r}")
        return value
    if origin is tuple:
        names = tuple(value) if isinstance(value, list | tuple) else ()
        if len(names) != len(args) or not all(isinstance(n, str) and n for n in names):
            raise InputError(f"config.{name} must be {len(args)} names, not {value!r}")
        return names
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise InputError(f"config.{name} must be of type {hint.__name__}, not {value!r}")
    return value


def _check(s: Settings) -> None:
    """Ranges; types are right by now."""
    size = s.data.image_size
    not_negative = {
        "seed": s.seed,
        "model.bottleneck": s.model.bottleneck,
        "loss.adversarial": s.loss.adversarial,
        "loss.feature": s.loss.feature,
        "loss.reconstruction": s.loss.reconstruction,
        "loss.identity": s.loss.identity,
        "loss.rate_updates": s.loss.rate_updates,
        "optim.l2": s.optim.l2,
        "train.log_every": s.train.log_every,
        "train.print_every": s.train.print_every,
        "train.sample_every": s.train.sample_every,
        "train.evaluate_every": s.train.evaluate_every,
        "train.checkpoint_every": s.train.checkpoint_every,
        "train.keep_every": s.train.keep_every,
    }
    positive = {
        "data.batch_size": s.data.batch_size,
        "model.width": s.model.width,
        "loss.discriminator": s.loss.discriminator,
        "optim.learning_rate": s.optim.learning_rate,
        "train.steps": s.train.steps,
        "train.d_updates": s.train.d_updates,
        "train.g_updates": s.train.g_updates,
        "train.keep": s.train.keep,
    }
    rates = [r for r in (s.loss.rate_start, s.loss.rate) if r is not None]
    decays = (s.optim.b1, s.optim.b2, s.optim.ema_decay)
    problems = [f"{n} must not be negative, it is {v}" for n, v in not_negative.items() if v < 0]
    problems += [f"{n} must be above 0, it is {v}" for n, v in positive.items() if v <= 0]
    if size < 16 or size & (size - 1):
        problems.append(f"data.image_size must be 16, 32, 64, 128, 256, ..., it is {size}")
    if s.seed >= 2**32:
        problems.append(f"seed must be below 2^32, it is {s.seed}")
    if len(set(s.domains)) == 1:
        problems.append(f"domains must have two different names, both are {s.domains[0]!r}")
    if any(not 0 <= r <= 1 for r in rates):
        problems.append(f"loss.rate_start and loss.rate must lie in [0, 1], they are {rates}")
    if s.loss.rate_start is not None and s.loss.rate is None:
        problems.append("loss.rate_start without loss.rate has no effect: set both or neither")
    if any(not 0 <= d < 1 for d in decays):
        problems.append(f"optim.b1, b2 and ema_decay must lie in [0, 1), they are {decays}")
    if s.model.literal and s.model.recipe != "book":
        problems.append("model.literal is the book's code: it needs model.recipe='book'")
    if s.model.bottleneck and s.model.recipe != "official":
        problems.append("model.bottleneck needs model.recipe='official'")
    if problems:
        raise InputError("config." + "; config.".join(problems))
