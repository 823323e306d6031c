"""Compares every way to use eight devices with one device; run in a separate process.

`test_devices` runs a few cases; ``python tests/many_devices.py --all`` runs every way with every
recipe, objective and optimizer and prints a table. Everything is computed in float64, where
rounding cannot be mistaken for an error. With SGD the parameters after a step reveal the
gradients; Adam would divide these by their size.
"""

import itertools
import json
import os
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    flags = os.environ.get("XLA_FLAGS", "--xla_backend_optimization_level=0")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count=8"
    os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny
from jax.sharding import PartitionSpec as P

from discogan_jax import sharding, steps
from discogan_jax.data import feed
from discogan_jax.data.order import Order
from discogan_jax.ops import convolution, layers
from discogan_jax.runs import checkpoint, reading, weights
from discogan_jax.state import OBJECTIVES, Adam, Schedule

AXIS = "data"
BATCH = 16
SEED = 7
TX = {"sgd": tiny.SGD, "adam": Adam(2e-4, 0.5, 0.999, 1e-5)}
SCHEDULE = Schedule(optax.linear_schedule, (0.5, 0.0, 4))
WAYS = (
    "jit",
    "split state",
    "pmap",
    "shard_map, check_vma=True",
    "shard_map, check_vma=False",
    "device feed",
    "three of them",
    "train_steps",
)
# All ways except `jit` and `train_steps`, and each recipe and optimizer.
FEW = (
    ("official", "discogan", "sgd", ("device feed", "three of them", *WAYS[3:5])),
    ("book", "recongan", "adam", ("split state", "pmap")),
    ("best", "discogan", "sgd", ("shard_map, check_vma=True",)),
)


def doubled(tree):
    return jax.tree.map(
        lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
    )


def system(recipe, objective, tx, axis_name=None):
    plain = tiny.gan(
        recipe, TX[tx], objective=objective, ema_decay=0.9, g_updates=1, schedule=SCHEDULE
    )
    fields = {"dtype": jnp.float64, "axis_name": axis_name}
    return replace(
        plain,
        generator=plain.generator.clone(**fields),
        discriminator=plain.discriminator.clone(**fields),
        axis_name=axis_name,
    )


def images():
    rng = np.random.default_rng(0)
    shape = (tiny.SIZE, tiny.SIZE, 3)
    return {d: rng.integers(0, 256, (n, *shape), np.uint8) for d, n in (("a", 24), ("b", 29))}


def spread(gan, state, batches, way):
    """Performs one step on all devices in one of the ways; returns what `train_step` does."""
    # Of three devices two divide the batch.
    there = jax.devices()[: 3 if way == "three of them" else None]
    mesh = sharding.data_mesh(sharding.devices_for(BATCH, there))
    split, everywhere = sharding.split_batches(mesh), sharding.replicated(mesh)
    if way in ("pmap", "shard_map, check_vma=True", "shard_map, check_vma=False"):
        step = partial(steps.train_step, gan)
        if way == "pmap":
            shares = jax.tree.map(
                lambda x: x.reshape(len(x), mesh.size, -1, *x.shape[2:]).swapaxes(0, 1), batches
            )
            parallel = jax.pmap(step, axis_name=AXIS, in_axes=(None, 0))
            return jax.tree.map(lambda x: x[-1], parallel(state, shares))
        specs = {"in_specs": (P(), P(None, AXIS)), "out_specs": P()}
        checked = way.endswith("True")
        return jax.jit(jax.shard_map(step, mesh=mesh, check_vma=checked, **specs))(state, batches)
    where = sharding.of_state(mesh, state, way == "split state")
    state = jax.device_put(state, where)
    order = Order((24, 29), BATCH, gan.updates, flip=True)
    if way == "train_steps":
        data = feed.device_dataset(images(), order, SEED, everywhere)
        return steps.train_steps_jit(gan, state, data, jnp.int32(1))
    if way == "device feed":
        data = feed.device_dataset(images(), order, SEED, everywhere)
        batches = next(feed.device_feed(data, 0, split))
        assert batches["a"].sharding.spec == split.spec
    batches = jax.device_put(batches, split)
    state, metrics = sharding.train_step_for(where)(gan, state, batches)
    if way == "split state":
        kept = jax.tree.map(lambda x, at: x.sharding == at, state, where)
        assert all(jax.tree.leaves(kept))
    return state, metrics


def differences(recipe, objective, tx, ways):
    """Computes the largest difference from one device, per way and part of the result."""
    one, mapped = (system(recipe, objective, tx, axis) for axis in (None, AXIS))
    fresh = doubled(tiny.state(tiny.gan(recipe, TX[tx], objective=objective, ema_decay=0.9)))
    order = Order((24, 29), BATCH, one.updates, flip=True)
    drawn = {
        "random": doubled(tiny.batch(BATCH, updates=one.updates)),
        "images": feed.host_batches(images(), order, SEED, 0),
    }
    step = jax.jit(partial(steps.train_step, one))
    found = {}
    for way in ways:
        batches = drawn["images" if way in ("device feed", "train_steps") else "random"]
        gan = mapped if way == "pmap" or way.startswith("shard_map") else one
        state, metrics = spread(gan, jax.tree.map(jnp.copy, fresh), batches, way)
        expected, numbers = step(fresh, batches)
        found[way] = {
            "losses": difference(metrics, numbers),
            "feature matching": difference(*(feature_matching(m) for m in (metrics, numbers))),
            "parameters": difference(*((s.gen.params, s.dis.params) for s in (state, expected))),
            "statistics": difference(
                *((s.gen.batch_stats, s.dis.batch_stats) for s in (state, expected))
            ),
            "rest of the state": difference(state, expected),
        }
    return found


def feature_matching(metrics):
    return {name: value for name, value in metrics.items() if name.startswith("fm_")}


def difference(one, other):
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max((float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in leaves), default=0.0)


def layer_differences():
    """Computes the same for kernel gradients of single layers, in the forms of large layers."""
    convolution.WORTHWHILE = convolution.MANY_TILES = 0
    mesh = sharding.data_mesh()
    x = jax.random.normal(jax.random.key(0), (8, 8, 8, 16), jnp.float64)
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 16, 16), jnp.float64)
    found = {}
    for layer, stride in itertools.product((tiny.conv, layers.conv_transpose), (1, 2)):

        def gradient(kernel, x, layer=layer, stride=stride):
            return jax.grad(lambda k: jnp.sin(layer(x, k, stride, "SAME")).sum())(kernel)

        def checked(kernel, x, gradient=gradient):
            return gradient(kernel, x)  # summed over the devices, since the kernel is replicated

        def unchecked(kernel, x, gradient=gradient):
            return jax.lax.psum(gradient(kernel, x), AXIS)

        mapped = partial(jax.shard_map, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P())
        shards = x.reshape(8, 1, *x.shape[1:])
        ways = {
            "jit": jax.jit(gradient)(kernel, jax.device_put(x, jax.NamedSharding(mesh, P(AXIS)))),
            "pmap": jax.pmap(unchecked, AXIS, in_axes=(None, 0))(kernel, shards)[0],
            "shard_map, check_vma=True": jax.jit(mapped(checked))(kernel, x),
            "shard_map, check_vma=False": jax.jit(mapped(unchecked, check_vma=False))(kernel, x),
        }
        expected = gradient(kernel, x)
        found[f"{layer.__name__}, stride {stride}"] = {
            way: difference(result, expected) for way, result in ways.items()
        }
    return found


def restored():
    """Restores a checkpoint of four devices on one and on eight; returns names of differences."""
    gan = tiny.gan(ema_decay=0.9)
    state = tiny.state(gan).replace(step=jnp.int32(3))
    shapes = jax.eval_shape(lambda: state)

    def on(devices, split):
        return sharding.of_state(sharding.data_mesh(jax.devices()[:devices]), shapes, split)

    wrong = []
    for split in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            saved = Path(folder) / "saved"
            with checkpoint.Checkpoints(saved, keep=2, keep_every=0) as checkpoints:
                checkpoints.save(3, jax.device_put(state, on(4, split)))
            for devices, again in itertools.product((1, 8), (True, False)):
                where = on(devices, again)
                _, found = reading.read(saved, shapes, where, 3)
                same = jax.tree.map(
                    lambda a, b, at: a.sharding == at and np.array_equal(a, b), found, state, where
                )
                if not all(jax.tree.leaves(same)):
                    wrong.append(f"split {split} on 4, split {again} on {devices}")
    return wrong


def taken_over():
    """Takes weights over into a state on eight devices; returns whether it is right."""
    gan = tiny.gan(ema_decay=0.9)
    trained = tiny.state(gan, seed=1)
    there = weights.Weights("there", 1, (tiny.SIZE, tiny.SIZE, 3), jax.device_get(trained))
    new = tiny.state(gan, seed=2)
    right = {}
    for split in (True, False):
        where = sharding.of_state(sharding.data_mesh(), new, split)
        state = jax.device_put(new, where)
        found = weights.fit(there, state, there.image_shape).apply(state)
        placed = jax.tree.map(lambda x, at: x.sharding == at, found, where)
        same = jax.tree.map(np.array_equal, found.gen.params, trained.gen.params)
        right[f"split {split}"] = all(jax.tree.leaves((placed, same)))
    return right


def main():
    jax.config.update("jax_enable_x64", True)
    assert jax.device_count() == 8
    if "--all" not in sys.argv:
        found = {" ".join(c[:3]): differences(*c) for c in FEW}
        found = {
            "differences": found,
            "restored wrongly": restored(),
            "taken over": taken_over(),
            "layers": layer_differences(),
        }
        json.dump(found, sys.stdout)
        return
    parts = None
    for case in itertools.product(("official", "book", "best"), OBJECTIVES, TX):
        for way, found in differences(*case, WAYS).items():
            if parts is None:
                parts = list(found)
                print(f"| case | way | {' | '.join(parts)} |\n|---|---|{'---|' * len(parts)}")
            cells = (f"{value:.1e}" for value in found.values())
            print(f"| {' '.join(case)} | {way} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
