"""Run by `test_devices` in a process with eight CPU devices: prints differences as JSON.

Every way to split a batch over devices makes the same SGD update (plain gradients: Adam would hide
a wrong scale) in float64, where rounding cannot be mistaken for an error.
"""

import json
import sys
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import tiny
from jax.sharding import PartitionSpec as P

from discogan_jax import sharding, steps

AXIS = "data"


def doubled(tree):
    return jax.tree.map(
        lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
    )


def differences(recipe, objective):
    plain = tiny.gan(recipe, objective=objective)
    f64 = {"dtype": jnp.float64}
    one = replace(
        plain,
        generator=plain.generator.clone(**f64),
        discriminator=plain.discriminator.clone(**f64),
    )
    mapped = replace(
        one,
        generator=one.generator.clone(axis_name=AXIS),
        discriminator=one.discriminator.clone(axis_name=AXIS),
        axis_name=AXIS,
    )
    state = doubled(tiny.state(plain))
    batches = doubled(tiny.batch(16, updates=plain.updates))
    expected = jax.jit(partial(steps.train_step, one))(state, batches)

    mesh = sharding.data_mesh()
    split = sharding.split_batches(mesh)
    placed = sharding.place(state, sharding.replicated(mesh)), sharding.place(batches, split)
    found = {"jit": jax.jit(partial(steps.train_step, one))(*placed)}
    for check in (True, False):
        spread = jax.shard_map(
            partial(steps.train_step, mapped),
            mesh=mesh,
            in_specs=(P(), P(None, AXIS)),
            out_specs=P(),
            check_vma=check,
        )
        found[f"shard_map, check_vma={check}"] = jax.jit(spread)(state, batches)
    n = mesh.size
    shares = jax.tree.map(
        lambda x: x.reshape(x.shape[0], n, -1, *x.shape[2:]).swapaxes(0, 1), batches
    )
    parallel = jax.pmap(partial(steps.train_step, mapped), axis_name=AXIS, in_axes=(None, 0))
    found["pmap"] = jax.tree.map(lambda x: x[-1], parallel(state, shares))
    return {
        way: max(
            float(jnp.abs(a - b).max())
            for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True)
        )
        for way, result in found.items()
    }


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    assert jax.device_count() == 8
    cases = [("official", "discogan"), ("book", "recongan")]
    json.dump({" ".join(c): differences(*c) for c in cases}, sys.stdout)
