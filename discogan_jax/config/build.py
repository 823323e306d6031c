"""Builds what the settings describe: networks, images, their order, the shapes of the state."""

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
from discogan_jax.state import DOMAINS, Adam, DiscoGAN, TrainState, create_state


def gan(s: Settings) -> DiscoGAN:
    """Builds the networks, optimizers and losses."""
    # The networks of the recipe.
    common: dict[str, Any] = {
        "image_size": s.data.image_size,
        "width": s.model.width,
        "dtype": jnp.dtype(s.train.precision),
    }
    generator, discriminator = models.RECIPES[s.model.recipe]
    # The schema refuses both with recipes that do not take them.
    if s.model.bottleneck:
        generator = partial(generator, s.model.bottleneck)
    if s.model.literal:
        common["literal"] = True

    # The discriminators may learn at a rate of their own.
    rate = s.optim.learning_rate
    d_rate = rate if s.optim.d_learning_rate is None else s.optim.d_learning_rate
    weights = LossWeights(**{f.name: getattr(s.loss, f.name) for f in fields(LossWeights)})
    return DiscoGAN(
        generator=generator(**common),
        discriminator=discriminator(**common),
        gen_tx=Adam(rate, s.optim.b1, s.optim.b2, s.optim.l2),
        dis_tx=Adam(d_rate, s.optim.b1, s.optim.b2, s.optim.l2),
        weights=weights,
        objective=s.loss.objective,
        d_updates=s.train.d_updates,
        g_updates=s.train.g_updates,
        ema_decay=s.optim.ema_decay or None,
    )


def sources_of(s: Settings) -> dict[str, dict[str, Any]]:
    """Returns, by domain, the arguments of the functions of `data.sources`."""
    common = {"image_size": s.data.image_size, "data_dir": s.data_dir, "archives": s.archives}
    named = zip(DOMAINS, (s.data.source_a, s.data.source_b), strict=True)
    return {d: {"source": source, **common} for d, source in named}


def images(s: Settings) -> dict[str, sources.Splits]:
    """Opens both domains' images, from their sources or from the cache."""
    return {d: sources.load(**source) for d, source in sources_of(s).items()}


def prepared_images(s: Settings) -> dict[str, sources.Splits]:
    """Opens the domains' images that are in the cache; unlike `images`, this waits for nothing."""
    found = {d: sources.prepared(**source) for d, source in sources_of(s).items()}
    return {d: x for d, x in found.items() if x is not None}


def described(s: Settings) -> dict[str, dict[str, list[Item]]]:
    """Returns, by domain and split, the known contents of images: only drawn ones have that."""
    found = {}
    for d, source in sources_of(s).items():
        del source["image_size"]  # the contents are those of any size
        found[d] = sources.items(**source)
    return {d: items for d, items in found.items() if items is not None}


def order(s: Settings, loaded: Mapping[str, sources.Splits]) -> Order:
    """Returns the order in which a run sees its training images.

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
    """Returns height, width and channels of one image."""
    return s.data.image_size, s.data.image_size, 3


def state_shapes(s: Settings, gan: DiscoGAN) -> TrainState:
    """Returns the shapes of the state; nothing is allocated."""
    create = partial(create_state, gan=gan, image_shape=image_shape(s))
    return jax.eval_shape(create, jax.random.key(s.seed))
