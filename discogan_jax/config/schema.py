"""A run's settings: each field with its type, range and default, and the rules that join fields."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from discogan_jax.config import measures, validate
from discogan_jax.config.validate import MAX_FLOAT, MayChangeOnRequest, MayChangeOnResume, Range
from discogan_jax.errors import InputError, nearest
from discogan_jax.files import expanded
from discogan_jax.images import Size
from discogan_jax.images.fitting import Fit
from discogan_jax.losses import LossWeights
from discogan_jax.models import MAX_FEATURES, Recipe, levels, nearest_sizes
from discogan_jax.state import Domains, Objective

MAX_IMAGE_SIZE = 4096
MAX_BOTTLENECK = 4096
MAX_CHANNELS = 16
MAX_UPDATES = 100  # each of a step's updates is a part of the compiled program
MAX_COUNT = 2**31 - 1  # steps and updates are counted in 32 bits

_DOMAINS = Domains("bags", "shoes")
_SIZE = Size(64, 64)

# The old and the new value, by dotted name.
Differences = dict[str, tuple[Any, Any]]

# Fields that several sections have. What may change when a run is resumed shapes neither the state
# nor what it is trained on; what may change on request leaves the arrays of the state as they are.
Period = Annotated[int, Range(0), MayChangeOnResume]
Decay = Annotated[float, Range(0, below=1), MayChangeOnRequest]
Weight = Annotated[float, Range(0), MayChangeOnRequest]
Rate = Annotated[float | None, Range(0, 1), MayChangeOnRequest]
Tracker = Literal["tensorboard", "wandb"]
Updates = Annotated[int, Range(above=0, high=MAX_UPDATES), MayChangeOnRequest]


@dataclass(frozen=True)
class Data:
    """Where images come from, and how they are fed.

    Attributes:
      source_a: source of domain a, as `data.sources` names them.
      source_b: source of domain b.
      archives: folder of archives that are already there, or None to download them.
      data_dir: folder of downloads, prepared data and cached arrays.
      image_size: pixels: ``64``, or height and width such as ``96x64``.
      fit: how pictures of another shape become of that size: ``crop`` cuts out the largest centred
        part, ``pad`` adds borders, ``stretch`` changes the aspect ratio.
      jitter: how much larger training images are kept, as a share of the size, to be cut at random
        places.
      channels: 1 for grey, 3 for colour; up to 16 for sources of arrays.
      range: the values that become black and white, such as ``0,4095``; None for what is found.
      pages: whether only the ``first`` page of a TIFF is a picture, or each of ``all``.
      thicken: domains whose dark lines are thickened; ``auto`` for the edges of the archives.
      batch_size: images per domain in the batch of one update, over all devices.
      flip: mirror every other training image, at random.
      feed: ``tf`` (tf.data), ``device`` (arrays on the accelerator) or ``auto``.
    """

    source_a: Annotated[str, MayChangeOnResume] = "archive:edges2handbags/photo"
    source_b: Annotated[str, MayChangeOnResume] = "archive:edges2shoes/photo"
    archives: Annotated[str | None, MayChangeOnResume] = None
    data_dir: Annotated[str, MayChangeOnResume] = "data"
    image_size: Size = _SIZE
    fit: Fit = "crop"
    jitter: Annotated[float, Range(0, 1), MayChangeOnRequest] = 0.0
    channels: Annotated[int, Range(above=0, high=MAX_CHANNELS)] = 3
    range: str | None = None
    pages: Literal["first", "all"] = "first"
    thicken: Literal["auto", "none", "a", "b", "both"] = "auto"
    batch_size: Annotated[int, Range(above=0), MayChangeOnRequest] = 256
    flip: Annotated[bool, MayChangeOnRequest] = False
    feed: Annotated[Literal["auto", "tf", "device"], MayChangeOnResume] = "auto"


@dataclass(frozen=True)
class Model:
    """Which networks.

    Attributes:
      recipe: name of the networks in `models.RECIPES`.
      width: channels of the first level; each level doubles them, up to 512.
      bottleneck: channels of the official "extra layers", 0 for none.
      literal: the book's code with its defects, for comparison only.
      batch_norm: batch norm in the generators, as in the published recipes and in earlier runs of
        ``best``, whose config does without.
      leak: least slope of the generators' sigmoid for gradients that lead away from 0 and 1, see
        `models.leaky_sigmoid`; 0 is the sigmoid's own.
    """

    recipe: Recipe = "book"
    width: Annotated[int, Range(above=0, high=MAX_FEATURES)] = 32
    bottleneck: Annotated[int, Range(0, MAX_BOTTLENECK)] = 0
    literal: bool = False
    batch_norm: bool = True
    leak: Annotated[float, Range(0, 1), MayChangeOnRequest] = 0.0


@dataclass(frozen=True)
class Loss(LossWeights):
    """The weights of the losses, `losses.LossWeights`, with their ranges, and the objective.

    Attributes:
      objective: ``discogan`` (both directions), ``recongan`` (only A→B→A) or ``gan`` (only A→B).
    """

    adversarial: Weight = LossWeights.adversarial
    feature: Weight = LossWeights.feature
    reconstruction: Weight = LossWeights.reconstruction
    identity: Weight = LossWeights.identity
    discriminator: Annotated[float, Range(above=0), MayChangeOnRequest] = LossWeights.discriminator
    rate_start: Rate = LossWeights.rate_start
    rate: Rate = LossWeights.rate
    rate_updates: Annotated[int, Range(0, MAX_COUNT), MayChangeOnRequest] = LossWeights.rate_updates
    feature_skip: Annotated[int, Range(0), MayChangeOnRequest] = LossWeights.feature_skip
    colour: Annotated[float, Range(above=0), MayChangeOnRequest] = LossWeights.colour
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
      l2: factor of the parameters that are added to the gradients.
      ema_decay: decay of the averaged parameters of the generators; 0 keeps no averages.
      schedule: how both learning rates fall to 0 at the end of the training, if they do.
      decay_steps: the last steps, over which they fall; None for all `train.steps`.
    """

    learning_rate: Annotated[float, Range(above=0), MayChangeOnRequest] = 2e-4
    d_learning_rate: Annotated[float | None, Range(above=0), MayChangeOnRequest] = None
    b1: Decay = 0.9
    b2: Decay = 0.999
    l2: Weight = 0.0
    ema_decay: Decay = 0.0
    schedule: Annotated[Literal["constant", "linear", "cosine"], MayChangeOnRequest] = "constant"
    decay_steps: Annotated[int | None, Range(above=0, high=MAX_COUNT), MayChangeOnRequest] = None


@dataclass(frozen=True)
class Train:
    """How long to train, and how often to do what, in steps (cycles). A period of 0 means never.

    Attributes:
      steps: cycles to train.
      d_updates: discriminator updates in a cycle.
      g_updates: generator updates in a cycle.
      precision: type that the networks compute in.
      shard_state: cut the state into parts, one a device, instead of keeping it whole on each.
      log_every: period of the scalars.
      print_every: period of the printed lines; more come by the clock where steps take long.
      sample_every: period of sample images, histograms and held-out reconstruction.
      evaluate_every: period of evaluations on held-out images, as of `discogan evaluate`.
      checkpoint_every: period of checkpoints.
      keep: how many of the last checkpoints are kept; two at least.
      keep_every: period of checkpoints that are kept for good.
      keep_best: a measure of the evaluation, whose best step keeps its checkpoint, or None:
        ``kernel_distance``, of which the worse direction counts, or one of a direction, such as
        ``bags_to_shoes/hue_error``.
      patience: number of evaluations without a better one after which training ends; 0 for never.
      init_from: trained weights that a new run starts from, see `runs.weights.read`; None to draw
        all of them.
      init_optimizers: take the states of the optimizers over, too.
      trackers: what gets the metrics beside `metrics.jsonl`: ``tensorboard``, ``wandb`` (Weights &
        Biases), both or, in a config file, ``()``.
    """

    steps: Annotated[int, Range(above=0, high=MAX_COUNT), MayChangeOnResume] = 100_000
    d_updates: Updates = 1
    g_updates: Updates = 2
    precision: Annotated[Literal["float32", "bfloat16"], MayChangeOnRequest] = "float32"
    shard_state: Annotated[bool, MayChangeOnResume] = False
    log_every: Period = 10
    print_every: Period = 100
    sample_every: Period = 1000
    evaluate_every: Period = 10_000
    checkpoint_every: Period = 1000
    keep: Annotated[int, Range(above=0), MayChangeOnResume] = 3
    keep_every: Period = 10_000
    keep_best: Annotated[str | None, MayChangeOnResume] = None
    patience: Period = 0
    init_from: str | None = None
    init_optimizers: bool = False
    trackers: Annotated[tuple[Tracker, ...], MayChangeOnResume] = ("tensorboard",)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a config says. A config may lack any field, but no section.

    Attributes:
      seed: seed of the initial weights and of the order of the images.
      domains: names of a and b, for people.
      data: images.
      model: networks.
      loss: objective and weights.
      optim: optimizer.
      train: schedule.
    """

    seed: Annotated[int, Range(0)] = 0
    domains: Domains = _DOMAINS
    data: Data
    model: Model
    loss: Loss
    optim: Optim
    train: Train

    def __repr__(self) -> str:
        networks, size = f"{self.model.recipe}, width {self.model.width}", self.data.image_size
        batch = f"batch {self.data.batch_size}, {self.train.steps:,} steps"
        pair = " and ".join(self.domains)
        return f"<Settings: {pair}, {size.height}x{size.width} px, {networks}, {batch}>"

    @property
    def data_dir(self) -> Path:
        """`data.data_dir` with the home folder filled in."""
        return expanded(self.data.data_dir)

    @property
    def archives(self) -> Path | None:
        """`data.archives` with the home folder filled in."""
        return None if self.data.archives is None else expanded(self.data.archives)

    @property
    def range(self) -> tuple[float, float] | None:
        """`data.range` as numbers."""
        return None if self.data.range is None else _range(self.data.range)


def from_config(config: Mapping[str, Any] | Settings) -> Settings:
    """Checks a config and types it.

    Args:
      config: nested mapping, an ``ml_collections.ConfigDict`` for instance; settings are returned
        as they are.

    Raises:
      InputError: an unknown field, a missing section, a value of the wrong type or out of range.
    """
    if isinstance(config, Settings):
        return config
    settings: Settings = validate.fill(Settings, config)
    problems = [*validate.out_of_range(settings), *_contradictions(settings)]
    if problems:
        raise InputError("\n".join(f"config.{problem}" for problem in problems))
    return settings


def to_json(settings: Settings) -> dict[str, Any]:
    """Converts settings to what JSON can hold; `from_config` is the way back."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    plain["data"]["image_size"] = settings.data.image_size.plain
    return plain


def _range(text: str) -> tuple[float, float]:
    """Reads ``low,high``.

    Raises:
      ValueError: these are not two finite numbers, the first one the smaller.
    """
    low, high = map(float, text.split(","))
    if not -MAX_FLOAT <= low < high <= MAX_FLOAT:
        raise ValueError(text)
    return low, high


def _contradictions(s: Settings) -> Iterator[str]:
    """Yields what is wrong although each field by itself is in its range."""
    yield from _levels(s)
    t = s.train
    if s.data.range is not None:
        try:
            _range(s.data.range)
        except ValueError:
            yield f"data.range must be two numbers such as 0,4095, it is {s.data.range!r}"
    if s.domains.a == s.domains.b:
        yield f"domains must have two different names, both are {s.domains.a!r}"
    # Settings that another one leaves without effect.
    if s.loss.rate_start is not None and s.loss.rate is None:
        yield "loss.rate_start without loss.rate has no effect: set both or neither"
    if s.model.literal and (s.model.recipe != "book" or s.model.leak):
        yield "model.literal is the book's code: it needs model.recipe='book' and model.leak=0.0"
    if s.model.bottleneck and s.model.recipe != "official":
        yield "model.bottleneck needs model.recipe='official'"
    if not s.model.batch_norm and s.model.recipe != "best":
        yield (
            "model.batch_norm=False needs model.recipe='best': the published recipes have batch "
            "norm, set it to True with them"
        )
    if t.init_optimizers and t.init_from is None:
        yield "train.init_optimizers without train.init_from has no effect: set both or neither"
    # The schedule.
    updates = t.steps * (t.d_updates + t.g_updates)
    if updates > MAX_COUNT:
        yield (
            f"train.steps times the updates of a step must be at most {MAX_COUNT}, it is {updates}"
        )
    decay = s.optim.decay_steps
    if decay is not None and s.optim.schedule == "constant":
        yield "optim.decay_steps has no effect on constant rates: set optim.schedule, too"
    elif decay is not None and decay > t.steps:
        yield f"optim.decay_steps must be at most train.steps ({t.steps}), it is {decay}"
    # A checkpoint beyond the last step is never due, so it cannot be missed.
    if 0 < t.keep_every <= t.steps and (
        t.checkpoint_every <= 0 or t.keep_every % t.checkpoint_every
    ):
        yield (
            f"train.keep_every must be a multiple of train.checkpoint_every "
            f"({t.checkpoint_every}), or 0, it is {t.keep_every}"
        )
    yield from _best_step(s)


def _levels(s: Settings) -> Iterator[str]:
    """Yields what is wrong with the size of the images, or with what it allows."""
    size, skip = s.data.image_size, s.loss.feature_skip
    # Each level of the networks halves the image.
    nearest = nearest_sizes(size, MAX_IMAGE_SIZE)
    if nearest != (size,):
        sizes = " or ".join(str(Size(*near)) for near in nearest)
        yield (
            f"data.image_size must be a size that the networks can halve, it is {size}; nearest: "
            f"{sizes}"
        )
    # Each level of a discriminator but the first has a feature map; the book's has a level more.
    elif skip >= (maps := levels(size) - (s.model.recipe != "book")):
        yield f"loss.feature_skip must be below {maps}, the feature maps at {size} px, it is {skip}"


def _best_step(s: Settings) -> Iterator[str]:
    """Yields what is wrong with the choice of the best step."""
    t = s.train
    if t.keep_best is None:
        if t.patience:
            yield "train.patience needs train.keep_best, the measure of what is better"
        return
    if t.evaluate_every <= 0:
        yield "train.keep_best needs evaluations: train.evaluate_every must not be 0"
    known = [*measures.of_translations(*s.domains)]
    if measures.better(t.keep_best) == "nearer":
        yield f"train.keep_best: {t.keep_best} has no best value, it should be near its reference"
    elif t.keep_best not in known:
        yield f"train.keep_best: there is no measure {t.keep_best!r}; {nearest(t.keep_best, known)}"


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens a nested config to one level of dotted names."""
    fields: dict[str, Any] = {}
    for name, value in config.items():
        nested = isinstance(value, Mapping)
        fields |= flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return fields


def differences(old: Settings, new: Settings) -> tuple[Differences, Differences]:
    """Compares the config of a run with one that is to resume it, but for what may change.

    Returns:
      The old and the new value of the fields that change on request, and of those that never do.
    """
    a, b = flat(to_json(old)), flat(to_json(new))
    differing = {name: (a[name], b[name]) for name in sorted(a) if a[name] != b[name]}
    fields = [*validate.leaves(Settings)]
    free = {field.name for field in fields if field.may_change}
    on_request = {field.name for field in fields if field.on_request}
    # The length of the run is a part of a schedule.
    if {old.optim.schedule, new.optim.schedule} != {"constant"}:
        free -= {"train.steps"}
        on_request |= {"train.steps"}
    # With or without these, a state has other arrays.
    on_request -= {name for name in ("optim.l2", "optim.ema_decay") if 0 in (a[name], b[name])}
    requested = {name: x for name, x in differing.items() if name in on_request}
    fixed = {name: x for name, x in differing.items() if name not in on_request | free}
    return requested, fixed
