"""The two halves of a training run: the arrays, which change, and everything else."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, cast, get_args

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jaxtyping import Array, Float, Int, PRNGKeyArray

from discogan_jax.losses import LossWeights

Weight = float | Float[Array, ""]
Objective = Literal["discogan", "recongan", "gan"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
DIRECTIONS = ("ab", "ba")
DOMAINS = ("a", "b")


class Domains(NamedTuple):
    """Names the two domains for people: ``Domains("bags", "shoes")``.

    Attributes:
      a: name of domain ``a``.
      b: name of domain ``b``.
    """

    a: str
    b: str

    def name(self, domain: str) -> str:
        """Returns the name of ``"a"`` or ``"b"``."""
        return self[DOMAINS.index(domain)]

    def route(self, path: str) -> str:
        """Spells out where an image goes: ``"aba"`` is "bags → shoes → bags"."""
        return " → ".join(map(self.name, path))


@struct.dataclass
class Player:
    """Holds the arrays of both networks of one side of the game.

    Attributes:
      params: parameters by network: ``ab``, ``ba`` (generators) or ``a``, ``b`` (discriminators).
      batch_stats: running batch-norm statistics by network.
      opt_state: state of the one optimizer for both networks.
    """

    params: dict[str, Any]
    batch_stats: dict[str, Any]
    opt_state: optax.OptState

    def __repr__(self) -> str:
        return f"<Player: {_described(self)}>"


@struct.dataclass
class TrainState:
    """Holds all arrays of a run, and nothing else.

    Attributes:
      step: finished cycles.
      updates: finished updates of either player; the rate schedule counts these.
      gen: the generators; ``ab`` makes B from A.
      dis: the discriminators; ``a`` judges images of A.
      ema: exponential averages of the generators' parameters, or None.
      ema_stats: the same averages of their running batch-norm statistics.
    """

    step: Int[Array, ""]
    updates: Int[Array, ""]
    gen: Player
    dis: Player
    ema: dict[str, Any] | None = None
    ema_stats: dict[str, Any] | None = None

    def __repr__(self) -> str:
        averages = "" if self.ema is None else ", averages of the generators"
        return f"<TrainState: {_described(self.gen, self.dis)}{averages}>"


def _described(*players: Player) -> str:
    """Describes players by their shapes alone: their arrays may be deleted, or be none."""
    params = [player.params for player in players]
    parameters = sum(math.prod(getattr(x, "shape", ())) for x in jax.tree.leaves(params))
    return f"{sum(map(len, params))} networks, {parameters:,} parameters"


@dataclass(frozen=True)
class Schedule:
    """A factor of the learning rates that changes from cycle to cycle, described for Optax.

    Two schedules of Optax are never equal, since they are closures; two descriptions are, and then
    ``jax.jit`` finds the program that it has compiled: ``Schedule(optax.cosine_decay_schedule,
    (1.0, 10_000))``.

    Attributes:
      make: a function of Optax, or one like it, that returns a schedule.
      arguments: its arguments.
    """

    make: Callable[..., optax.Schedule]
    arguments: tuple[Any, ...] = ()

    def __call__(self, step: int | Int[Array, ""]) -> Weight:
        """Returns the factor for the updates that follow so many finished cycles."""
        return cast(Weight, self.make(*self.arguments)(step))


@dataclass(frozen=True)
class Adam:
    """Adam, with an L2 penalty that is added to the gradient (coupled, as in PyTorch's ``Adam``).

    It is used like a transformation of Optax, but unlike those, two with equal settings are equal,
    so that ``jax.jit`` compiles nothing twice.

    Attributes:
      learning_rate: the step size.
      b1: decay of the gradient's average.
      b2: decay of the squared gradient's average.
      l2: the factor of the parameter that is added to its gradient.
    """

    learning_rate: float
    b1: float
    b2: float
    l2: float = 0.0

    def _transformation(self) -> optax.GradientTransformation:
        # Created at each use, which happens only while tracing: it holds no state.
        optimizer = optax.adam(self.learning_rate, self.b1, self.b2)
        return optax.chain(optax.add_decayed_weights(self.l2), optimizer) if self.l2 else optimizer

    def init(self, params: Any) -> optax.OptState:
        """Makes the optimizer's first state."""
        return self._transformation().init(params)

    def update(self, grads: Any, state: optax.OptState, params: Any = None) -> tuple[Any, Any]:
        """Turns gradients into updates, and makes the next state."""
        return self._transformation().update(grads, state, params)


Optimizer: TypeAlias = Adam | optax.GradientTransformation
"""What updates parameters: `Adam`, or any transformation of Optax (which equals only
itself: create one, and reuse it, or programs are compiled again)."""


@dataclass(frozen=True)
class DiscoGAN:
    """Describes what is trained and how; hashable, so a static argument of ``jax.jit``.

    Attributes:
      generator: image to image, both directions: ``apply(variables, x, train) -> x``.
      discriminator: ``apply(variables, x, train) -> (logits, activations)``.
      gen_tx: optimizer of both generators.
      dis_tx: optimizer of both discriminators.
      weights: weights of the loss terms and the rate schedule.
      objective: ``discogan`` (both directions), ``recongan`` (only A→B→A) or ``gan`` (only A→B).
      d_updates: discriminator updates in a cycle.
      g_updates: generator updates in a cycle, after those of the discriminators.
      ema_decay: decay of the averages of the generators' parameters and batch-norm statistics, or
        None for no averages.
      schedule: the factor of all updates by cycle, or None for constant learning rates.
      axis_name: the mapped axis that splits the batch, under pmap or shard_map; the modules must
        have the same.
    """

    generator: nn.Module
    discriminator: nn.Module
    gen_tx: Optimizer
    dis_tx: Optimizer
    weights: LossWeights = field(default_factory=LossWeights)
    objective: Objective = "discogan"
    d_updates: int = 1
    g_updates: int = 2
    ema_decay: float | None = None
    schedule: Schedule | None = None
    axis_name: str | None = None

    def __repr__(self) -> str:
        networks = f"{type(self.generator).__name__} and {type(self.discriminator).__name__}"
        updates = f"{self.d_updates} + {self.g_updates} updates"
        return f"<DiscoGAN: {networks}, {self.objective}, {updates} in a cycle>"

    @property
    def directions(self) -> tuple[str, ...]:
        """Translations whose results are judged: both, or A→B alone in the baselines."""
        return DIRECTIONS if self.objective == "discogan" else DIRECTIONS[:1]

    @property
    def cycles(self) -> tuple[str, ...]:
        """Cycles that are trained: both, ``"aba"`` alone, or none."""
        return {"discogan": ("aba", "bab"), "recongan": ("aba",), "gan": ()}[self.objective]

    @property
    def translations(self) -> tuple[str, ...]:
        """Directions whose generators are trained, be it only on the way back of a cycle."""
        return DIRECTIONS if self.cycles else self.directions

    @property
    def updates(self) -> int:
        """Updates in a cycle, each on its own batch."""
        return self.d_updates + self.g_updates

    def balance(self, updates: Int[Array, ""]) -> tuple[Weight, Weight]:
        """Weighs reconstruction against the terms that a discriminator judges.

        Args:
          updates: finished updates of either player.

        Returns:
          The weight of reconstruction and that of the other terms (`losses.LossWeights`); both are
          1 without a rate, and where there is nothing to balance since no cycle is trained.
        """
        # `rate_start` for the first updates, then `rate`.
        weights = self.weights
        if weights.rate is None or not self.cycles:
            return 1.0, 1.0
        start = weights.rate if weights.rate_start is None else weights.rate_start
        rate = jnp.where(updates < weights.rate_updates, start, weights.rate).astype(jnp.float32)
        return rate, 1 - rate


def create_state(key: PRNGKeyArray, gan: DiscoGAN, image_shape: tuple[int, ...]) -> TrainState:
    """Draws the initial state.

    Args:
      key: a JAX random key; the same key gives the same state.
      gan: what is trained.
      image_shape: shape of one image, ``(height, width, channels)``.

    Returns:
      The state before the first step. Under ``jax.eval_shape`` its shapes, without computing it.
    """

    def player(
        key: PRNGKeyArray, module: nn.Module, names: tuple[str, ...], tx: Optimizer
    ) -> Player:
        made = [_init(module, tuple(image_shape), k) for k in jax.random.split(key, 2)]
        variables = dict(zip(names, made, strict=True))
        params = {name: v["params"] for name, v in variables.items()}
        batch_stats = {name: v.get("batch_stats", {}) for name, v in variables.items()}
        return Player(params=params, batch_stats=batch_stats, opt_state=tx.init(params))

    # Generators and discriminators draw from keys of their own.
    gen_key, dis_key = jax.random.split(key)
    gen = player(gen_key, gan.generator, DIRECTIONS, gan.gen_tx)
    dis = player(dis_key, gan.discriminator, DOMAINS, gan.dis_tx)
    # Copied, since the state's buffers are donated, and no buffer can be donated twice.
    averaged = (gen.params, gen.batch_stats) if gan.ema_decay is not None else (None, None)
    ema, ema_stats = jax.tree.map(jnp.copy, averaged)
    step, updates = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    return TrainState(step=step, updates=updates, gen=gen, dis=dis, ema=ema, ema_stats=ema_stats)


# Compiled by itself, so that the networks of a kind are traced once: for the state and its shapes.
@partial(jax.jit, static_argnums=(0, 1))
def _init(module: nn.Module, image_shape: tuple[int, ...], key: PRNGKeyArray) -> Any:
    return module.init(key, jnp.zeros((1, *image_shape)), True)


def generators_only(state: TrainState) -> TrainState:
    """Keeps what translates, and moves it to one device, wherever the state is."""
    none = Player(params={}, batch_stats={}, opt_state=())
    kept = replace(state, gen=replace(state.gen, opt_state=()), dis=none)
    return jax.device_put(jax.device_get(kept), jax.local_devices()[0])
