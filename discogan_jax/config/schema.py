"""A run's settings: what a config file says, checked once and typed from there on."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from discogan_jax.config.validate import check_known, fill
from discogan_jax.errors import InputError
from discogan_jax.files import expanded
from discogan_jax.losses import LossWeights
from discogan_jax.models import MAX_FEATURES, MIN_IMAGE_SIZE
from discogan_jax.state import Domains, Objective

MAX_IMAGE_SIZE = 4096
MAX_BOTTLENECK = 4096
MAX_UPDATES = 100  # each of a step's updates is a part of the compiled program
MAX_COUNT = 2**31 - 1  # steps and updates are counted in 32 bits
BELOW_ONE = 1 - 2**-24  # the last before 1 in float32


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
      recipe: ``book``, ``official`` or ``best``.
      width: channels of the first level; each level doubles them, up to 512.
      bottleneck: channels of the official "extra layers", 0 for none.
      literal: the book's code with its defects, for comparison only.
    """

    recipe: Literal["book", "official", "best"]
    width: int
    bottleneck: int
    literal: bool


@dataclass(frozen=True)
class Loss(LossWeights):
    """`losses.LossWeights`, and the objective of `state.DiscoGAN`."""

    objective: Objective = "discogan"


@dataclass(frozen=True)
class Optim:
    """Adam, for both players: `state.Adam`.

    Attributes:
      learning_rate: of the generators, and of the discriminators if they have none of their own.
      d_learning_rate: of the discriminators (two time scales; Heusel et al. 2017, arXiv
        1706.08500), or None.
      b1: decay of the mean of gradients.
      b2: decay of the mean of their squares.
      l2: times the parameters, added to the gradients.
      ema_decay: of the averaged parameters of the generators; 0 keeps no averages.
    """

    learning_rate: float
    d_learning_rate: float | None
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
      shard_state: cut the state into parts, one a device, instead of keeping it whole on each.
      log_every: scalars.
      print_every: a printed line.
      sample_every: sample images, histograms and held-out reconstruction.
      evaluate_every: an evaluation on held-out images, as `discogan evaluate` does it.
      checkpoint_every: a checkpoint.
      keep: how many of the last checkpoints are kept; two at least.
      keep_every: every so-many-th step's checkpoint is kept for good.
    """

    steps: int
    d_updates: int
    g_updates: int
    precision: Literal["float32", "bfloat16"]
    shard_state: bool
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
    domains: Domains
    data: Data
    model: Model
    loss: Loss
    optim: Optim
    train: Train

    @property
    def data_dir(self) -> Path:
        """`data.data_dir` with the home folder filled in."""
        return expanded(self.data.data_dir)

    @property
    def archives(self) -> Path | None:
        """`data.archives` with the home folder filled in."""
        return None if self.data.archives is None else expanded(self.data.archives)


def from_config(config: Mapping[str, Any]) -> Settings:
    """Checks a config and types it.

    Args:
      config: nested mapping, an ``ml_collections.ConfigDict`` for instance.

    Raises:
      InputError: an unknown or missing field, a value of the wrong type or out of range.
    """
    settings = fill(Settings, config)
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
        check_known(part, hints, prefix)
        hint, prefix = hints[part], f"{prefix}{part}."


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
    at_most = {
        "model.width": (s.model.width, MAX_FEATURES),
        "model.bottleneck": (s.model.bottleneck, MAX_BOTTLENECK),
        "loss.rate_updates": (s.loss.rate_updates, MAX_COUNT),
        "train.d_updates": (s.train.d_updates, MAX_UPDATES),
        "train.g_updates": (s.train.g_updates, MAX_UPDATES),
    }
    if s.optim.d_learning_rate is not None:
        positive["optim.d_learning_rate"] = s.optim.d_learning_rate
    rates = {"loss.rate_start": s.loss.rate_start, "loss.rate": s.loss.rate}
    decays = {"b1": s.optim.b1, "b2": s.optim.b2, "ema_decay": s.optim.ema_decay}
    problems = [f"{n} must not be negative, it is {v}" for n, v in not_negative.items() if v < 0]
    problems += [f"{n} must be above 0, it is {v}" for n, v in positive.items() if v <= 0]
    problems += [f"{n} must be at most {m}, it is {v}" for n, (v, m) in at_most.items() if v > m]
    problems += [
        f"{n} must lie in [0, 1], it is {r}" for n, r in rates.items() if r and not 0 <= r <= 1
    ]
    problems += [
        f"optim.{n} must lie in [0, 1), it is {d}"
        for n, d in decays.items()
        if not 0 <= d <= BELOW_ONE
    ]
    if not MIN_IMAGE_SIZE <= size <= MAX_IMAGE_SIZE or size & (size - 1):
        sizes = f"16, 32, 64, 128, 256, ..., {MAX_IMAGE_SIZE}"
        problems.append(f"data.image_size must be {sizes}, it is {size}")
    if len(set(s.domains)) == 1:
        problems.append(f"domains must have two different names, both are {s.domains[0]!r}")
    if s.loss.rate_start is not None and s.loss.rate is None:
        problems.append("loss.rate_start without loss.rate has no effect: set both or neither")
    if s.model.literal and s.model.recipe != "book":
        problems.append("model.literal is the book's code: it needs model.recipe='book'")
    if s.model.bottleneck and s.model.recipe != "official":
        problems.append("model.bottleneck needs model.recipe='official'")
    problems += _impossible_schedule(s.train)
    if problems:
        raise InputError("\n".join(f"config.{problem}" for problem in problems))


def _impossible_schedule(t: Train) -> Iterator[str]:
    updates = t.steps * (t.d_updates + t.g_updates)
    if updates > MAX_COUNT:
        yield (
            f"train.steps times the updates of a step must be at most {MAX_COUNT}, it is {updates}"
        )
    # Beyond the last step it is no promise that would be broken.
    if 0 < t.keep_every <= t.steps and (
        not t.checkpoint_every or (t.checkpoint_every > 0 and t.keep_every % t.checkpoint_every)
    ):
        yield (
            f"train.keep_every must be a multiple of train.checkpoint_every "
            f"({t.checkpoint_every}), or 0, it is {t.keep_every}"
        )


# What may differ when a run is continued: it shapes neither the state nor what it is trained on.
CONTINUABLE = frozenset(
    {
        "data.archives",
        "data.data_dir",
        "data.feed",
        "train.steps",
        "train.shard_state",
        "train.log_every",
        "train.print_every",
        "train.sample_every",
        "train.evaluate_every",
        "train.checkpoint_every",
        "train.keep",
        "train.keep_every",
    }
)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as one level of dotted names."""
    fields: dict[str, Any] = {}
    for name, value in config.items():
        nested = isinstance(value, Mapping)
        fields |= flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return fields


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Fields in which two configs differ so much that one cannot continue the other's run."""
    a, b = flat(old), flat(new)
    return [
        f"{name}: {a.get(name)!r} there, {b.get(name)!r} now"
        for name in sorted({*a, *b} - CONTINUABLE)
        if a.get(name) != b.get(name)
    ]
