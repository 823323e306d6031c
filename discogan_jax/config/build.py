"""What the settings describe, built: networks, images, order, the state's shapes."""

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from discogan_jax import models
from discogan_jax.config.schema import Settings
from discogan_jax.data import sources
from discogan_jax.data.catalogue.items import Item
from discogan_jax.data.order import Order
from discogan_jax.losses import LossWeights
from discogan_jax.state import Adam, DiscoGAN, TrainState, create_state


def gan(s: Settings) -> DiscoGAN:
    """The networks, optimizers and losses."""
    common: dict[str, Any] = {
        "image_size": s.data.image_size,
        "width": s.model.width,
        "dtype": jnp.dtype(s.train.precision),
    }
    if s.model.recipe == "book":
        generator = models.book_generator(literal=s.model.literal, **common)
        discriminator = models.book_discriminator(literal=s.model.literal, **common)
    elif s.model.recipe == "best":
        generator = models.best_generator(**common)
        discriminator = models.best_discriminator(**common)
    else:
        generator = models.official_generator(s.model.bottleneck or None, **common)
        discriminator = models.official_discriminator(**common)
    rate = s.optim.learning_rate
    d_rate = rate if s.optim.d_learning_rate is None else s.optim.d_learning_rate
    return DiscoGAN(
        generator=generator,
        discriminator=discriminator,
        gen_tx=Adam(rate, s.optim.b1, s.optim.b2, s.optim.l2),
        dis_tx=Adam(d_rate, s.optim.b1, s.optim.b2, s.optim.l2),
        weights=LossWeights(**{f.name: getattr(s.loss, f.name) for f in fields(LossWeights)}),
        objective=s.loss.objective,
        d_updates=s.train.d_updates,
        g_updates=s.train.g_updates,
        ema_decay=s.optim.ema_decay or None,
    )


def sources_of(s: Settings) -> dict[str, dict[str, Any]]:
    """Per domain, the arguments of `sources.load` and `sources.identify`."""
    common = {"image_size": s.data.image_size, "data_dir": s.data_dir, "archives": s.archives}
    named = {"a": s.data.source_a, "b": s.data.source_b}
    return {d: {"source": source, **common} for d, source in named.items()}


def images(s: Settings) -> dict[str, sources.Images]:
    """Both domains' images, from their sources or from the cache."""
    return {d: sources.load(**source) for d, source in sources_of(s).items()}


def prepared_images(s: Settings) -> dict[str, sources.Images]:
    """The domains' images that are in the cache; unlike `images`, this waits for nothing."""
    named = {"a": s.data.source_a, "b": s.data.source_b}
    find = partial(
        sources.prepared, image_size=s.data.image_size, data_dir=s.data_dir, archives=s.archives
    )
    found = {d: find(source) for d, source in named.items()}
    return {d: x for d, x in found.items() if x is not None}


def described(s: Settings) -> dict[str, dict[str, list[Item]]]:
    """Per domain and split, what its images are known to show: drawn ones alone have that."""
    named = {"a": s.data.source_a, "b": s.data.source_b}
    found = {
        d: sources.described(source, data_dir=s.data_dir, archives=s.archives)
        for d, source in named.items()
    }
    return {d: items for d, items in found.items() if items is not None}


def order(s: Settings, loaded: Mapping[str, sources.Images]) -> Order:
    """The order in which a run sees its training images.

    Raises:
      InputError: the batch is larger than a domain.
    """
    return Order(
        sizes=(len(loaded["a"].train), len(loaded["b"].train)),
        batch_size=s.data.batch_size,
        updates=s.train.d_updates + s.train.g_updates,
        flip=s.data.flip,
    )


def image_shape(s: Settings) -> tuple[int, int, int]:
    """Height, width and channels of one image."""
    return s.data.image_size, s.data.image_size, 3


def state_shapes(s: Settings, gan: DiscoGAN) -> TrainState:
    """The state's shapes; nothing is allocated."""
    create = partial(create_state, gan=gan, image_shape=image_shape(s))
    return jax.eval_shape(create, jax.random.key(s.seed))
