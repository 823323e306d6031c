"""The smallest complete system: 16 px, a few channels, random weights."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import optax

from discogan_jax import models, steps
from discogan_jax.losses import LossWeights
from discogan_jax.ops import convolution
from discogan_jax.state import DiscoGAN, create_state

SIZE = 16
SGD = optax.sgd(0.1)
WEIGHTS = LossWeights(
    adversarial=0.5, feature=0.5, identity=0.3, discriminator=0.5, rate_start=0.1, rate=0.4,
    rate_updates=4,
)  # fmt: skip

# Compiled without donation, so that a test can compare the state before and after.
d_step, g_step, train_step, eval_step = (
    jax.jit(step, static_argnums=0)
    for step in (steps.d_step, steps.g_step, steps.train_step, steps.eval_step)
)
translate = steps.translate


def conv(x, kernel, stride, padding):
    """Computes what `layers.Conv` does."""
    window = convolution.window_of_conv(x.shape[1:3], kernel.shape[:2], stride, padding)
    return convolution.conv(x, kernel, window)


@functools.cache
def gan(recipe="official", tx=None, **fields):
    tx = tx or SGD
    if recipe == "book":
        networks = (
            models.book_generator(SIZE, width=4),
            models.book_discriminator(SIZE, width=4, hidden=8),
        )
    elif recipe == "best":
        networks = (
            models.best_generator(SIZE, width=4),
            models.best_discriminator(SIZE, width=4),
        )
    else:
        networks = (
            models.official_generator(SIZE, width=4),
            models.official_discriminator(SIZE, width=4),
        )
    return replace(DiscoGAN(*networks, tx, tx, WEIGHTS), **fields)


def state(gan, seed=0, shape=(SIZE, SIZE, 3)):
    """Redraws every parameter: parameters initialized to 0 or 1 would hide errors."""
    fresh = jax.jit(create_state, static_argnums=(1, 2))(jax.random.key(seed), gan, shape)
    leaves, tree = jax.tree.flatten((fresh.gen.params, fresh.dis.params))
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    drawn = [x + 0.2 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    gen, dis = jax.tree.unflatten(tree, drawn)
    ema = None if fresh.ema is None else jax.tree.map(jnp.copy, gen)
    return fresh.replace(
        gen=fresh.gen.replace(params=gen), dis=fresh.dis.replace(params=dis), ema=ema
    )


def batch(n=4, seed=0, updates=None):
    shape = (n, SIZE, SIZE, 3) if updates is None else (updates, n, SIZE, SIZE, 3)
    keys = jax.random.split(jax.random.key(100 + seed))
    return {d: jax.random.uniform(k, shape) for d, k in zip("ab", keys, strict=True)}
