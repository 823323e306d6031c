"""The two halves of a training run: arrays that change, and everything that is not an array."""

import functools
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jaxtyping import Array, Int, PRNGKeyArray

from discogan_jax.losses import LossWeights

Objective = Literal["discogan", "recongan", "gan"]
OBJECTIVES: tuple[Objective, ...] = ("discogan", "recongan", "gan")
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
    """Both networks of one side of the game.

    Attributes:
      params: parameters by network: ``ab``, ``ba`` (generators) or ``a``, ``b`` (discriminators).
      batch_stats: running batch-norm statistics by network.
      opt_state: state of the one optimizer for both networks.
    """

    params: dict[str, Any]
    batch_stats: dict[str, Any]
    opt_state: optax.OptState


@struct.dataclass
class TrainState:
    """All arrays of a run, and nothing but arrays.

    Attributes:
      step: finished cycles.
      updates: finished updates of either player; the rate schedule counts these.
      gen: the generators; ``ab`` makes B from A.
      dis: the discriminators; ``a`` judges images of A.
      ema: exponential averages of the generators' parameters, or None.
    """

    step: Int[Array, ""]
    updates: Int[Array, ""]
    gen: Player
    dis: Player
    ema: dict[str, Any] | None = None


@dataclass(frozen=True)
class DiscoGAN:
    """What is trained and how: hashable, goes to ``jax.jit`` as a static argument.

    Attributes:
      generator: image to image, both directions: ``apply(variables, x, train) -> x``.
      discriminator: ``apply(variables, x, train) -> (logits, activations)``.
      gen_tx: optimizer of both generators.
      dis_tx: optimizer of both discriminators.
      weights: weights of the loss terms and the rate schedule.
      objective: ``discogan`` (both directions), ``recongan`` (only A→B→A) or ``gan`` (only A→B).
      d_updates: discriminator updates in a cycle.
      g_updates: generator updates in a cycle, after those of the discriminators.
      ema_decay: decay of the averages of the generators' parameters, or None for no averages.
      axis_name: the mapped axis that splits the batch, under pmap or shard_map; the modules must
        have the same.
    """

    generator: nn.Module
    discriminator: nn.Module
    gen_tx: optax.GradientTransformation
    dis_tx: optax.GradientTransformation
    weights: LossWeights = field(default_factory=LossWeights)
    objective: Objective = "discogan"
    d_updates: int = 1
    g_updates: int = 2
    ema_decay: float | None = None
    axis_name: str | None = None

    @property
    def directions(self) -> tuple[str, ...]:
        """Translations whose results are judged: both, or A→B alone in the baselines."""
        return DIRECTIONS if self.objective == "discogan" else DIRECTIONS[:1]

    @property
    def cycles(self) -> tuple[str, ...]:
        """Ways there and back that are trained: both, ``"aba"`` alone, or none."""
        return {"discogan": ("aba", "bab"), "recongan": ("aba",), "gan": ()}[self.objective]

    @property
    def updates(self) -> int:
        """Updates in a cycle, each on its own batch."""
        return self.d_updates + self.g_updates


@functools.cache  # equal settings, the same object: jit compiles nothing twice
def adam(
    learning_rate: float, b1: float, b2: float, l2: float = 0.0
) -> optax.GradientTransformation:
    """Adam, with an L2 penalty that is added to the gradient (coupled, as in PyTorch's ``Adam``).

    Args:
      learning_rate: step size.
      b1: decay of the gradient's average.
      b2: decay of the squared gradient's average.
      l2: times the parameter is added to its gradient.
    """
    optimizer = optax.adam(learning_rate, b1, b2)
    return optax.chain(optax.add_decayed_weights(l2), optimizer) if l2 else optimizer


def _create_player(
    key: PRNGKeyArray,
    module: nn.Module,
    names: tuple[str, str],
    tx: optax.GradientTransformation,
    image_shape: tuple[int, ...],
) -> Player:
    image = jnp.zeros((1, *image_shape))
    variables = {
        name: module.init(k, image, True)
        for name, k in zip(names, jax.random.split(key, 2), strict=True)
    }
    params = {name: v["params"] for name, v in variables.items()}
    batch_stats = {name: v.get("batch_stats", {}) for name, v in variables.items()}
    return Player(params=params, batch_stats=batch_stats, opt_state=tx.init(params))


def create_state(key: PRNGKeyArray, gan: DiscoGAN, image_shape: tuple[int, ...]) -> TrainState:
    """Draws the initial state.

    Args:
      key: a JAX random key; the same key gives the same state.
      gan: what is trained.
      image_shape: shape of one image, ``(height, width, channels)``.

    Returns:
      The state before the first step. Under ``jax.eval_shape`` its shapes, for nothing.
    """
    gen_key, dis_key = jax.random.split(key)
    gen = _create_player(gen_key, gan.generator, DIRECTIONS, gan.gen_tx, image_shape)
    dis = _create_player(dis_key, gan.discriminator, DOMAINS, gan.dis_tx, image_shape)
    # A copy: the state's buffers are donated, and one buffer cannot be given away twice.
    ema = None if gan.ema_decay is None else jax.tree.map(jnp.copy, gen.params)
    return TrainState(
        step=jnp.zeros((), jnp.int32), updates=jnp.zeros((), jnp.int32), gen=gen, dis=dis, ema=ema
    )


def generators_only(state: TrainState) -> TrainState:
    """A state that can translate and no more, on one device, whatever it is trained on."""
    nobody = Player(params={}, batch_stats={}, opt_state=())
    alone = replace(state, gen=replace(state.gen, opt_state=()), dis=nobody)
    return jax.device_put(jax.device_get(alone), jax.local_devices()[0])
