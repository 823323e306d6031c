"""A small network that is trained, within seconds, to predict numbers from real images.

It serves as a domain classifier, as a predictor of attributes where these are known, and as a
feature space, without weights to download. Report its accuracy on held-out real images beside its
predictions for generated ones.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int, Num, UInt8
from tqdm import tqdm

from discogan_jax.images import in_batches
from discogan_jax.steps import unit

MAX_IMAGES = 4000  # to train on
STEPS = 400
BATCH = 64
NOISE = 0.05  # on every pixel in training, so that artefacts of generators confuse it less
_AT_ONCE = 100  # images of a batch in prediction

ByteOrFloatImages = UInt8[np.ndarray, "N H W C"] | Float[np.ndarray, "N H W C"]


class _Network(nn.Module):
    """Strided convolutions until the smaller side is 4 at most, a dense layer, the outputs."""

    outputs: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"]
    ) -> tuple[Float[Array, "B outputs"], Float[Array, "B features"]]:
        # Halve the sides, keeping the mean activation of every channel as a feature.
        pooled = []
        width = 24
        while min(x.shape[1:3]) > 4:
            x = nn.relu(nn.GroupNorm(8)(nn.Conv(width, (4, 4), 2)(x)))
            pooled.append(x.mean((1, 2)))
            width = min(2 * width, 96)
        # Predict from what is left.
        hidden = nn.relu(nn.Dense(128)(x.reshape(len(x), -1)))
        return nn.Dense(self.outputs)(hidden), jnp.concatenate(pooled, 1)


@dataclass(frozen=True)
class Probe:
    """A trained network; `fit` makes it.

    Attributes:
      network: the module.
      params: its parameters.
      mean: mean of every feature over the training images.
      spread: standard deviation of every feature over the training images.
    """

    network: nn.Module
    params: Any
    mean: Float[np.ndarray, "features"]
    spread: Float[np.ndarray, "features"]

    def predict(self, images: ByteOrFloatImages) -> Float[np.ndarray, "N outputs"]:
        """Predicts the targets of images."""
        return self._apply(images, 0)

    def features(self, images: ByteOrFloatImages) -> Float[np.ndarray, "N features"]:
        """Averages the activations of every channel of every level; standardised."""
        return (self._apply(images, 1) - self.mean) / self.spread

    def _apply(self, images: ByteOrFloatImages, result: int) -> np.ndarray:
        forward = partial(_forward, self.network, self.params)
        return in_batches(lambda x: forward(x)[result], images, _AT_ONCE)


def fit(
    images: UInt8[np.ndarray, "N H W C"],
    targets: Float[np.ndarray, "N outputs"],
    seed: int = 0,
    steps: int = STEPS,
) -> Probe:
    """Trains a probe to predict the targets, by least squares.

    Args:
      images: images whose sides are above 4 pixels; of more than `MAX_IMAGES`, an evenly spaced
        selection is used.
      targets: what each image shows, as numbers of about unit size: ±1 for yes and no, cosine and
        sine for an angle.
      seed: of initial weights, order and noise. The same seed gives the same probe.
      steps: number of Adam's steps, each on `BATCH` images.
    """
    # Select the images.
    rows = spaced(len(images), min(len(images), MAX_IMAGES))
    images, targets = np.asarray(images[rows]), targets[rows].astype(np.float32)
    network = _Network(targets.shape[1])
    key = jax.random.key(seed)
    params = jax.jit(network.init)(key, jnp.zeros((1, *images.shape[1:])))
    opt_state = _optimizer(steps).init(params)

    # Train.
    random = np.random.default_rng(seed)
    title = "training on real images"
    for step in tqdm(range(steps), title, delay=1.0, disable=None, leave=False):
        chosen = random.integers(0, len(images), min(BATCH, len(images)))
        batch = images[chosen], targets[chosen]
        noise = jax.random.fold_in(key, step)
        params, opt_state = _train_step(network, steps, params, opt_state, *batch, noise)

    # Measure the features, by which they are standardised from now on.
    activations = Probe(network, params, np.zeros(1), np.ones(1)).features(images)
    return Probe(network, params, activations.mean(0), np.maximum(activations.std(0), 1e-3))


@dataclass(frozen=True)
class DomainClassifier:
    """The judge: tells the two domains of a run apart; its activations serve as a feature space.

    Attributes:
      probe: predicts -1 for domain a, 1 for b.
      training_features: features of training images, per domain.
    """

    probe: Probe
    training_features: dict[str, Float[np.ndarray, "N features"]]

    @classmethod
    def fit(cls, train: dict[str, UInt8[np.ndarray, "N H W C"]]) -> "DomainClassifier":
        """Trains one on equally many training images of both domains."""
        most = min(MAX_IMAGES // 2, *(len(x) for x in train.values()))
        chosen = {d: np.asarray(x[spaced(len(x), most)]) for d, x in train.items()}
        # -1 for domain a, 1 for b.
        targets = np.repeat(np.array([[-1.0], [1.0]]), most, 0)
        trained = fit(np.concatenate([chosen["a"], chosen["b"]]), targets)
        return cls(trained, {d: trained.features(x) for d, x in chosen.items()})

    def share(self, images: ByteOrFloatImages, domain: str) -> float:
        """Finds the share of images that it takes for a domain's."""
        predicted = self.probe.predict(images)[:, 0]
        return float(((predicted > 0) if domain == "b" else (predicted <= 0)).mean())


def spaced(count: int, chosen: int) -> Int[np.ndarray, "chosen"]:
    """Chooses indices that are evenly spaced, from the first to the last."""
    return np.linspace(0, count - 1, chosen).astype(int)


def _optimizer(steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(2e-3, steps))


@partial(jax.jit, static_argnums=0)
def _forward(network: nn.Module, params: Any, images: Num[Array, "B H W C"]) -> Any:
    return network.apply(params, unit(images) - 0.5)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _train_step(
    network: nn.Module,
    steps: int,
    params: Any,
    opt_state: Any,
    images: Num[Array, "B H W C"],
    targets: Float[Array, "B outputs"],
    key: Array,
) -> tuple[Any, Any]:
    x = unit(images) - 0.5
    x += NOISE * jax.random.normal(key, x.shape)

    def loss(params: Any) -> Array:
        return jnp.square(network.apply(params, x)[0] - targets).mean()

    updates, opt_state = _optimizer(steps).update(jax.grad(loss)(params), opt_state)
    return optax.apply_updates(params, updates), opt_state
