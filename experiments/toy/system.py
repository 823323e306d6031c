"""Points instead of images: mixtures of Gaussians, dense networks, and the coverage of modes.

Kim et al. 2017 (arXiv 1703.05192) demonstrate on points what they claim for images: A has five
modes, B has ten on a circle, and a translation should cover all ten without merging two of A's.
The updates, the losses and the state are those used for images (`steps`, `losses`, `state`).
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from discogan_jax import steps
from discogan_jax.models import official_init
from discogan_jax.state import DiscoGAN, TrainState, create_state

SPREAD = 0.1
"""Standard deviation of every mode, in each coordinate."""

REACH = 3 * SPREAD
"""Distance from a mode's centre within which points belong to it: 98.9% of its own points do."""


def circle(modes: int) -> Float[np.ndarray, "modes 2"]:
    """Places centres of modes evenly on the unit circle, the first one at the top."""
    angles = np.pi / 2 + 2 * np.pi * np.arange(modes) / modes
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def dice_five() -> Float[np.ndarray, "5 2"]:
    """Places centres of modes like the five of a die, the corners on the unit circle."""
    corners = [(x, y) for x in (-1, 1) for y in (-1, 1)]
    return np.array([(0, 0), *corners], np.float32) / np.float32(np.sqrt(2))


# Five modes on a circle would already be separate on B's circle before training; the mode in the
# middle is not, so that its translation has to be learned.
MODES_A = dice_five()

# On a circle all modes are equally hard to reach. With this radius they are six standard deviations
# apart, so that the circles of radius `REACH` just do not touch.
MODES_B = circle(10)


def draw(
    key: PRNGKeyArray, centres: Float[Any, "modes 2"], shape: tuple[int, ...]
) -> Float[Array, "*shape 2"]:
    """Draws points of a mixture of equally likely modes."""
    which, noise = jax.random.split(key)
    mode = jax.random.randint(which, shape, 0, len(centres))
    return jnp.asarray(centres)[mode] + SPREAD * jax.random.normal(noise, (*shape, 2))


def draw_each(
    key: PRNGKeyArray, centres: Float[Any, "modes 2"], n: int
) -> Float[Array, "modes n 2"]:
    """Draws `n` points of every mode."""
    return centres[:, None] + SPREAD * jax.random.normal(key, (len(centres), n, 2))


# PyTorch's default, as in the authors' networks: untrained, they map all of A near 0.
_dense = partial(nn.Dense, kernel_init=official_init)


class DenseGenerator(nn.Module):
    """Maps points to points by dense layers with ReLUs between them.

    Attributes:
      hidden: units of the layers before the last, which has two.
    """

    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Float[Array, "B 2"], train: bool) -> Float[Array, "B 2"]:
        """Translates points; `train` has no effect, since there is no batch norm."""
        for units in self.hidden:
            x = nn.relu(_dense(units)(x))
        return _dense(2)(x)


class DenseDiscriminator(nn.Module):
    """Maps points to logits of "real".

    Attributes:
      hidden: units of the layers before the last, which has one.
    """

    hidden: tuple[int, ...]

    @nn.compact
    def __call__(
        self, x: Float[Array, "B 2"], train: bool
    ) -> tuple[Float[Array, "B"], tuple[Array, ...]]:
        """Judges points; the second result is the hidden activations."""
        activations = []
        for units in self.hidden:
            x = nn.relu(_dense(units)(x))
            activations.append(x)
        return _dense(1)(x)[:, 0], tuple(activations)


@partial(jax.jit, static_argnums=0)
def create(gan: DiscoGAN, keys: Key[Array, "S"]) -> TrainState:
    """Creates the states of several runs, one per key, stacked on a leading axis."""
    return jax.vmap(lambda key: create_state(key, gan, (2,)))(keys)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def train(
    gan: DiscoGAN, batch_size: int, states: TrainState, keys: Key[Array, "S"], n: Int[Array, ""]
) -> tuple[TrainState, dict[str, Float[Array, "S"]]]:
    """Trains several runs in parallel, in one dispatch, on newly drawn points.

    Args:
      gan: networks, optimizers and losses.
      batch_size: points of a domain in an update.
      states: states of the runs, stacked.
      keys: one per run; with the state's step they determine the points of each cycle.
      n: number of cycles, at least 1; traced, so that the same program runs any number.

    Returns:
      The states afterwards, and each run's metrics of the last cycle.
    """

    def cycle(state: TrainState, key: PRNGKeyArray) -> tuple[TrainState, steps.Metrics]:
        key_a, key_b = jax.random.split(jax.random.fold_in(key, state.step))
        shape = (gan.updates, batch_size)
        batches = {"a": draw(key_a, MODES_A, shape), "b": draw(key_b, MODES_B, shape)}
        return steps.train_step(gan, state, batches)

    def run(state: TrainState, key: PRNGKeyArray) -> tuple[TrainState, steps.Metrics]:
        shapes = jax.eval_shape(cycle, state, key)[1]
        metrics = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return lax.fori_loop(0, n, lambda _, carry: cycle(carry[0], key), (state, metrics))

    return jax.vmap(run)(states, keys)


def mode_counts(
    points: Float[Any, "M N 2"], centres: Float[Any, "modes 2"] = MODES_B
) -> Int[np.ndarray, "M modes"]:
    """Counts the points of group i within reach of mode j as entry (i, j)."""
    x, c = np.asarray(points, np.float64), np.asarray(centres, np.float64)
    near = np.linalg.norm(x[:, :, None] - c, axis=-1) <= REACH
    return near.sum(1)


@dataclasses.dataclass(frozen=True)
class ModeCoverage:
    """How the translations of A's modes are spread over B's.

    Attributes:
      covered: share of B's modes that get at least half of an equal share of all translations.
      landed: share of the translations that are within reach of any mode.
      purity: share of these translations that come from the most frequent source of their mode: 1
        if no mode of B has two sources, 1 / (modes of A) at chance; 0 if there are none.
      shared: pairs of A's modes that are merged: some mode of B gets a tenth of the points of both.
    """

    covered: float
    landed: float
    purity: float
    shared: int


def coverage(counts: Int[np.ndarray, "M modes"], points: int) -> ModeCoverage:
    """Summarizes how translations are distributed over the modes of B.

    Args:
      counts: from `mode_counts`.
      points: number of translations of each mode of A, including those between B's modes.
    """
    sources, modes = counts.shape
    landed = int(counts.sum())
    # Half of the share that a mode would have if all were equal, in exact whole numbers.
    covered = 2 * modes * counts.sum(0) >= sources * points
    often = (10 * counts >= points).astype(int)
    meetings = often @ often.T
    return ModeCoverage(
        covered=float(covered.mean()),
        landed=landed / (sources * points),
        purity=float(counts.max(0).sum() / landed) if landed else 0.0,
        shared=int(np.triu(meetings > 0, 1).sum()),
    )
