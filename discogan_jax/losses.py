"""Losses: arrays in, float32 scalars out.

Every function takes ``axis_name``. Where the batch is split over a mapped axis (pmap, shard_map)
it averages over that axis, so that the value is that of the global batch. Its derivative is each
device's share, so `steps` averages the gradients, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float


@dataclass(frozen=True)
class LossWeights:
    """Weighs the terms of the losses.

    The generator's loss, per direction, is
    ``(adversarial·A + feature·F)·(1 - r) + reconstruction·R·r + identity·I``, where the rate ``r``
    is `rate_start` for the first `rate_updates` updates and `rate` from then on. With
    ``rate=None`` there is no balance: both brackets have weight 1.

    Attributes:
      adversarial: on the adversarial term A.
      feature: on feature matching F.
      reconstruction: on reconstruction R.
      identity: on CycleGAN's identity term I (Zhu et al. 2017, arXiv 1703.10593, 5.2).
      discriminator: on each half, real and fake, of a discriminator's loss.
      rate_start: the rate of the first updates.
      rate: the rate of the others, or None.
      rate_updates: how many updates `rate_start` lasts; all updates of both players count.
      feature_skip: how many feature maps, from the first on, F leaves out; 1 in the authors'
        rotation tasks.
      colour: what the discriminators and the terms R and I see of the images: their differences
        of colour times this, see `vivid`.
    """

    adversarial: float = 1.0
    feature: float = 0.0
    reconstruction: float = 1.0
    identity: float = 0.0
    discriminator: float = 1.0
    rate_start: float | None = None
    rate: float | None = None
    rate_updates: int = 0
    feature_skip: int = 0
    colour: float = 1.0


def device_mean(x: Any, axis_name: str | None = None) -> Any:
    """Averages a tree of arrays over the devices of a mapped axis, if there is one."""
    return x if axis_name is None else lax.pmean(x, axis_name)


def vivid(images: Float[Array, "*shape C"], factor: float) -> Float[Array, "*shape C"]:
    """Multiplies the differences of each pixel's channels from their mean.

    A faint tint of what should be grey or black then counts as much as an equally visible error of
    lightness. Grey images, of one channel, stay as they are.
    """
    if factor == 1:
        return images
    grey = images.mean(-1, keepdims=True)
    return grey + factor * (images - grey)


def adversarial(
    logits: Float[Array, "B"], real: bool, axis_name: str | None = None
) -> Float[Array, ""]:
    """Computes the binary cross entropy of logits against the label "real" (1) or "fake" (0).

    A generator's loss is this with ``real=True`` on its own images, the non-saturating form
    (Goodfellow et al. 2014, arXiv 1406.2661, section 3).
    """
    labels = jnp.full_like(logits, float(real))
    return device_mean(optax.sigmoid_binary_cross_entropy(logits, labels).mean(), axis_name)


def reconstruction(
    x: Float[Array, "*shape"], target: Float[Array, "*shape"], axis_name: str | None = None
) -> Float[Array, ""]:
    """Computes the mean squared error over all elements."""
    return device_mean(jnp.square(x - target).mean(), axis_name)


def feature_matching(
    real: Sequence[Float[Array, "B ..."]],
    fake: Sequence[Float[Array, "B ..."]],
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Computes the squared distance of the batch means of activations, summed over their maps.

    Per map it is the mean over channels and positions of (batch mean of real - batch mean of
    fake)² (Salimans et al. 2016, arXiv 1606.03498, in the form of the published DiscoGAN).
    """
    distance = jnp.zeros(())
    for r, f in zip(real, fake, strict=True):
        difference = device_mean(r.mean(0) - f.mean(0), axis_name)
        distance += jnp.square(difference).mean()
    return distance
