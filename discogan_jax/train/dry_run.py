"""What a run would be: devices, data, counts, memory; nothing is trained."""

from collections.abc import Mapping
from typing import Any

import jax

from discogan_jax import models, sharding
from discogan_jax.config import build
from discogan_jax.config.schema import from_config


def describe(config: Mapping[str, Any]) -> str:
    """A table of what `train.train_and_evaluate` would use for a config.

    The counts are those of the compiled step, so this takes the time to compile it; the compile
    cache keeps the result for the run itself.

    Args:
      config: see `settings.Settings`.

    Raises:
      InputError: as the run itself would.
    """
    s = from_config(config)
    mesh = sharding.data_mesh()
    sharding.check_batch_size(s.data.batch_size, mesh.size)
    gan = build.gan(s)
    state = build.state_shapes(s, gan)
    loaded = build.images(s)
    order = build.order(s, loaded)

    where = sharding.of_state(mesh, state, s.train.shard_state)
    batches = sharding.batch_shapes(mesh, gan, s.data.batch_size, build.image_shape(s))
    step = sharding.train_step_for(where)
    compiled = step.lower(gan, sharding.shapes_with(state, where), batches).compile()
    memory = compiled.memory_analysis()
    cost = compiled.cost_analysis() or {}

    device = mesh.devices.flat[0]
    count = models.count_parameters
    rows = [("devices", f"{mesh.size} × {device.device_kind} ({device.platform})")]
    for d, name in zip("ab", s.domains, strict=True):
        x = loaded[d]
        rows.append(
            (f"data {name}", f"{len(x.train):,} to train on, {len(x.val):,} held out, {size} px")
        )
    epoch = min(order.sizes) // order.batch_size
    rows += [
        ("batch", f"{s.data.batch_size} a domain; {epoch} batches an epoch of the smaller domain"),
        ("generator", f"{count(state.gen.params['ab']):,} parameters, two of them"),
        ("discriminator", f"{count(state.dis.params['a']):,} parameters, two of them"),
        (
            "state",
            f"{_mebibytes(sum(_bytes(x) for x in jax.tree.leaves(state)))} with Adam's, "
            f"{_mebibytes(sharding.bytes_per_device(state, where))} of it on each device",
        ),
        ("images", _mebibytes(sum(x.train.nbytes for x in loaded.values()))),
    ]
    if "flops" in cost:
        rows.append(("one step", f"{cost['flops'] / 1e9:,.1f} GFLOP a device"))
    if memory is not None:
        rows.append(("a step's work", f"{_mebibytes(memory.temp_size_in_bytes)} a device"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _bytes(x: jax.ShapeDtypeStruct) -> int:
    return x.size * x.dtype.itemsize


def _mebibytes(n: float) -> str:
    return f"{n / 2**20:,.0f} MiB"
