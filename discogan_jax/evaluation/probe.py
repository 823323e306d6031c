"""A small network that learns, on the spot, to read numbers from real images.

It serves as a judge ("which domain is this?"), as a pair of eyes where the truth is known ("what
angle is this?") and as a feature space, without weights to download. How well it reads held-out
real images belongs beside whatever it says of generated ones.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Num, UInt8
from tqdm import tqdm

from discogan_jax.steps import unit

MAX_IMAGES = 4000  # to learn from
STEPS = 400
BATCH = 64
NOISE = 0.05  # on every pixel in training: what a generator leaves must not confuse the reader
_AT_ONCE = 100

Images = UInt8[np.ndarray, "N S S 3"] | Float[np.ndarray, "N S S 3"]


class _Network(nn.Module):
    """Strided convolutions down to 4×4, a dense layer, the outputs."""

    outputs: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "B S S 3"]
    ) -> tuple[Float[Array, "B outputs"], Float[Array, "B features"]]:
        pooled = []
        width = 24
        while x.shape[1] > 4:
            x = nn.relu(nn.GroupNorm(8)(nn.Conv(width, (4, 4), 2)(x)))
            pooled.append(x.mean((1, 2)))
            width = min(2 * width, 96)
        hidden = nn.relu(nn.Dense(128)(x.reshape(len(x), -1)))
        return nn.Dense(self.outputs)(hidden), jnp.concatenate(pooled, 1)


@dataclass(frozen=True)
class Reader:
    """A trained reader; `fit` makes it.

    Attributes:
      network: what it computes with.
      params: its parameters.
      middle: mean of every feature over the images learnt from.
      spread: its standard deviation.
    """

    network: nn.Module
    params: Any
    middle: Float[np.ndarray, "features"]
    spread: Float[np.ndarray, "features"]

    def read(self, images: Images) -> Float[np.ndarray, "N outputs"]:
        """What it was taught to say of such images."""
        return self._apply(images)[0]

    def features(self, images: Images) -> Float[np.ndarray, "N features"]:
        """The mean activation of every channel of every level, centred, in units of its spread."""
        return (self._apply(images)[1] - self.middle) / self.spread

    def _apply(self, images: Images) -> tuple[np.ndarray, np.ndarray]:
        said, seen = [], []
        for start in range(0, len(images), _AT_ONCE):
            batch = np.asarray(images[start : start + _AT_ONCE])
            filled = np.resize(batch, (_AT_ONCE, *batch.shape[1:]))  # one shape compiles once
            y, features = _forward(self.network, self.params, filled)
            said.append(np.asarray(y)[: len(batch)])
            seen.append(np.asarray(features)[: len(batch)])
        return np.concatenate(said), np.concatenate(seen)


def fit(
    images: UInt8[np.ndarray, "N S S 3"],
    targets: Float[np.ndarray, "N outputs"],
    seed: int = 0,
    steps: int = STEPS,
) -> Reader:
    """Trains a reader to say the targets, in the least squares sense.

    Args:
      images: square ones, of a side that is a power of two; of more than `MAX_IMAGES`, so many are
        taken evenly.
      targets: what each shows, in numbers of about unit size: ±1 for yes and no, cosine and sine
        for an angle.
      seed: of initial weights, order and noise. The same seed gives the same reader.
      steps: of Adam, each on `BATCH` images.

    Returns:
      The reader.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), MAX_IMAGES)).astype(int))
    images, targets = np.asarray(images[rows]), targets[rows].astype(np.float32)
    network = _Network(targets.shape[1])
    key = jax.random.key(seed)
    params = jax.jit(network.init)(key, jnp.zeros((1, *images.shape[1:])))
    tx = _adam(steps)
    opt_state = tx.init(params)
    random = np.random.default_rng(seed)
    shown = "learning to read real images"
    for step in tqdm(range(steps), shown, delay=1.0, disable=None, leave=False):
        chosen = random.integers(0, len(images), min(BATCH, len(images)))
        batch = images[chosen], targets[chosen]
        noise = jax.random.fold_in(key, step)
        params, opt_state = _learn(network, tx, params, opt_state, *batch, noise)
    seen = Reader(network, params, np.zeros(1), np.ones(1)).features(images)
    return Reader(network, params, seen.mean(0), np.maximum(seen.std(0), 1e-3))


@cache  # one object for equal steps: jit compiles nothing twice
def _adam(steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(2e-3, steps))


@partial(jax.jit, static_argnums=0)
def _forward(network: nn.Module, params: Any, images: Num[Array, "B S S 3"]) -> Any:
    return network.apply(params, unit(images) - 0.5)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _learn(
    network: nn.Module,
    tx: optax.GradientTransformation,
    params: Any,
    opt_state: Any,
    images: Num[Array, "B S S 3"],
    targets: Float[Array, "B outputs"],
    key: Array,
) -> tuple[Any, Any]:
    x = unit(images) - 0.5
    x += NOISE * jax.random.normal(key, x.shape)

    def loss(params: Any) -> Array:
        return jnp.square(network.apply(params, x)[0] - targets).mean()

    updates, opt_state = tx.update(jax.grad(loss)(params), opt_state)
    return optax.apply_updates(params, updates), opt_state
