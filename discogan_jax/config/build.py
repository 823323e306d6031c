"""Builds what the settings describe: networks, images, their order, the shapes of the state."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import optax

from discogan_jax import models
from discogan_jax.config.schema import Settings
from discogan_jax.data import sources
from discogan_jax.data.arrays import InMemory
from discogan_jax.data.catalogue.items import Item
from discogan_jax.data.order import Order
from discogan_jax.errors import InputError
from discogan_jax.images import Preparation, Size
from discogan_jax.losses import LossWeights
from discogan_jax.state import DOMAINS, Adam, DiscoGAN, Schedule, TrainState, create_state

# What a run has fixed about each domain's pictures: fields of `source.Wanted`.
Known = Mapping[str, Mapping[str, Any]]
# Those that are found in the pictures.
_FOUND = ("range", "deep_only")


def gan(s: Settings) -> DiscoGAN:
    """Builds the networks, optimizers and losses."""
    # The networks of the recipe.
    common: dict[str, Any] = {
        "image_size": s.data.image_size,
        "width": s.model.width,
        "dtype": jnp.dtype(s.train.precision),
    }
    generator, discriminator = models.RECIPES[s.model.recipe]
    # Networks that are added need not take these; the schema refuses what others do not take.
    if s.model.bottleneck:
        generator = partial(generator, bottleneck=s.model.bottleneck)
    if s.model.recipe == "best":  # whose own values are not those of earlier runs
        generator = partial(generator, leak=s.model.leak, batch_norm=s.model.batch_norm)
    elif s.model.leak:
        generator = partial(generator, leak=s.model.leak)
    if s.model.literal:
        common["literal"] = True

    rate, d_rate = _rates(s)
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
        schedule=_schedule(s),
    )


def learning_rates(s: Settings, step: int) -> dict[str, float]:
    """Returns the learning rates of the updates that follow so many finished steps.

    Returns:
      ``learning_rate`` of the generators and ``d_learning_rate`` of the discriminators.
    """
    schedule = _schedule(s)
    factor = 1.0 if schedule is None else float(schedule(step))
    rate, d_rate = _rates(s)
    return {"learning_rate": factor * rate, "d_learning_rate": factor * d_rate}


def _rates(s: Settings) -> tuple[float, float]:
    # The discriminators may learn at a rate of their own.
    rate, d_rate = s.optim.learning_rate, s.optim.d_learning_rate
    return rate, rate if d_rate is None else d_rate


def _schedule(s: Settings) -> Schedule | None:
    decay = s.optim.decay_steps or s.train.steps
    start = s.train.steps - decay
    if s.optim.schedule == "linear":
        return Schedule(optax.linear_schedule, (1.0, 0.0, decay, start))
    return Schedule(_cosine, (decay, start)) if s.optim.schedule == "cosine" else None


def _cosine(decay: int, start: int) -> optax.Schedule:
    """Falls from 1 to 0 after so many steps."""
    falling = optax.cosine_decay_schedule(1.0, decay)
    return lambda step: falling(jnp.maximum(step - start, 0))


def sources_of(s: Settings, known: Known = MappingProxyType({})) -> dict[str, dict[str, Any]]:
    """Returns, by domain, the arguments of the functions of `data.sources`.

    Args:
      s: the settings.
      known: by domain, the fields of `source.Wanted` that a run has fixed when it was started.
    """
    data = s.data
    common = {
        "data_dir": s.data_dir,
        "archives": s.archives,
        "image_size": data.image_size,
        "fit": data.fit,
        "channels": data.channels,
        "pages": data.pages,
        "range": s.range,
    }
    found = {}
    for d, source in zip(DOMAINS, (data.source_a, data.source_b), strict=True):
        # None leaves it to the source.
        thicken = None if data.thicken == "auto" else data.thicken in (d, "both")
        fixed = {k: v for k, v in known.get(d, {}).items() if k not in _FOUND}
        found[d] = {"source": source, **common, "thicken": thicken, **fixed}
    return found


def with_arrays(s: Settings, arrays: Sequence[InMemory]) -> Settings:
    """Returns settings whose sources are pictures in memory, see `sources.keep`.

    Args:
      s: the settings.
      arrays: the pictures of both domains.

    Raises:
      InputError: the pictures do not suit the settings, or cannot be written.
    """
    if len(arrays) != len(DOMAINS):
        raise InputError(f"arrays of 2 domains are needed, not of {len(arrays)}")
    kept, shape = [], {"image_size": s.data.image_size, "channels": s.data.channels}
    for name, x in zip(s.domains, arrays, strict=True):
        try:
            kept.append(sources.keep(x, data_dir=s.data_dir, **shape))
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    return replace(s, data=replace(s.data, source_a=kept[0], source_b=kept[1]))


def images(s: Settings, known: Known = MappingProxyType({})) -> dict[str, sources.Splits]:
    """Opens both domains' images, from their sources or from the cache.

    Raises:
      InputError: the images cannot be used, or a new run would have the same ones in both domains.
    """
    if not known:
        sources.check_apart(s.data.source_a, s.data.source_b)
    return {d: _load(x, known.get(d, {})) for d, x in sources_of(s, known).items()}


def _load(source: dict[str, Any], fixed: Mapping[str, Any]) -> sources.Splits:
    found = sources.load(**source)
    # Other pictures of a run that goes on keep the range of the first ones.
    kept = fixed.get("range")
    if kept and (found.about.get("preparation") or {}).get("range") != list(kept):
        found = sources.load(**source | {name: fixed[name] for name in _FOUND})
    return found


def larger_images(
    s: Settings, known: Known, loaded: Mapping[str, sources.Splits]
) -> dict[str, sources.Splits]:
    """Opens the images that are cut at random places; `loaded` ones where `data.jitter` is 0.

    Raises:
      InputError: the larger images cannot be had, or are no larger.
    """
    jitter, size = s.data.jitter, s.data.image_size
    if not jitter:
        return dict(loaded)
    larger = Size(*(round(side * (1 + jitter)) for side in size))
    if larger == size:
        advice = f"use 0, or at least {1 / max(size):.3f} for one pixel"
        raise InputError(f"config.data.jitter is {jitter}, not a pixel of {size}: {advice}")
    wanted = {d: x | {"image_size": larger, "quiet": True} for d, x in sources_of(s, known).items()}
    try:
        return {d: _load(x, known.get(d, {})) for d, x in wanted.items()}
    except InputError as error:
        needs = f"config.data.jitter is {jitter}, which needs training images of {larger}, too"
        raise InputError(f"{needs}: {error}") from error


def prepared_images(s: Settings, known: Known = MappingProxyType({})) -> dict[str, sources.Splits]:
    """Opens the domains' images that are in the cache; unlike `images`, this waits for nothing."""
    found = {d: sources.prepared(**source) for d, source in sources_of(s, known).items()}
    return {d: x for d, x in found.items() if x is not None}


def preparations(s: Settings, known: Known = MappingProxyType({})) -> dict[str, Preparation]:
    """Returns, by domain, what is done to a picture before a network sees it."""
    return {d: sources.preparation(**source) for d, source in sources_of(s, known).items()}


def described(s: Settings) -> dict[str, dict[str, list[Item]]]:
    """Returns, by domain and split, the known contents of images: only drawn ones have that."""
    typed = zip(DOMAINS, (s.data.source_a, s.data.source_b), strict=True)
    # The contents are those of any size.
    found = {d: sources.items(x, data_dir=s.data_dir, archives=s.archives) for d, x in typed}
    return {d: items for d, items in found.items() if items is not None}


def order(s: Settings, loaded: Mapping[str, sources.Splits]) -> Order:
    """Returns the order in which a run sees its training images.

    Args:
      s: the settings.
      loaded: the images that are trained on, see `larger_images`.

    Raises:
      InputError: the batch is larger than a domain.
    """
    height, width = loaded["a"].train.shape[1:3]
    return Order(
        sizes=(len(loaded["a"].train), len(loaded["b"].train)),
        batch_size=s.data.batch_size,
        updates=s.train.d_updates + s.train.g_updates,
        flip=s.data.flip,
        margin=(height - s.data.image_size.height, width - s.data.image_size.width),
    )


def image_shape(s: Settings) -> tuple[int, int, int]:
    """Returns height, width and channels of one image."""
    return (*s.data.image_size, s.data.channels)


def state_shapes(s: Settings, gan: DiscoGAN) -> TrainState:
    """Returns the shapes of the state; nothing is allocated."""
    create = partial(create_state, gan=gan, image_shape=image_shape(s))
    return jax.eval_shape(create, jax.random.key(s.seed))
