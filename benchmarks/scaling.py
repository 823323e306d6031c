"""Projects the scaling efficiency on several devices, and measures it where there are several.

    python -m benchmarks.scaling --recipe official

First it compiles a cycle for eight devices and counts the collectives in the program; with assumed
bandwidths (`collectives`) these give an expected efficiency. Then, if this machine has more than
one accelerator, cycles on 1, 2, 4, ... of them run alternately, with the same batch size per
device; the time on one device divided by the time on n is the efficiency of weak scaling.
"""

import argparse
import json
import os
import subprocess
import sys
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks import collectives, flops, report, train_step
from benchmarks.harness import Case, Implementation
from discogan_jax import sharding
from discogan_jax.state import create_state

DEVICES = 8


def placed(recipe: str, size: int, batch: int, devices: Any, split: bool, width: int | None) -> Any:
    """Returns networks, shapes of state and batches on some devices, and the matching step."""
    gan = train_step.library(recipe, size, width)
    mesh = sharding.data_mesh(devices)
    create = partial(create_state, gan=gan, image_shape=(size, size, 3))
    shapes = jax.eval_shape(create, jax.random.key(0))
    where = sharding.of_state(mesh, shapes, split)
    batches = sharding.batch_shapes(mesh, gan, batch, (size, size, 3))
    return gan, sharding.shapes_with(shapes, where), batches, sharding.train_step_for(where)


def compiled_text(recipe: str, size: int, split: bool, width: int | None = None) -> str:
    """Compiles a cycle for all devices with one image each, which does not change collectives."""
    devices = jax.devices()
    gan, state, batches, step = placed(recipe, size, len(devices), devices, split, width)
    return step.lower(gan, state, batches).compile().as_text()


def counted(recipe: str, size: int) -> dict[str, dict[str, collectives.Traffic]]:
    """Counts the collectives of a cycle on eight devices, with a whole and with a split state."""
    forced = f"--xla_force_host_platform_device_count={DEVICES} --xla_backend_optimization_level=0"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": forced}
    arguments = ["--recipe", recipe, "--size", str(size), "--count"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", *arguments],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        state: {kind: collectives.Traffic(*t) for kind, t in kinds.items()}
        for state, kinds in found.items()
    }


def projection(recipe: str, size: int, batch: int) -> str:
    """Formats bytes and expected efficiencies as text."""
    work = flops.updates(recipe, size, batch)["cycle"]
    networks = {"8 GPUs in one host": collectives.ONE_HOST, "64 hosts": collectives.MANY_HOSTS}
    lines = [f"{recipe}, {size} px, {batch} images of each domain a device, a cycle:"]
    for state, found in counted(recipe, size).items():
        lines.append(f"  {state} state")
        for kind, t in found.items():
            lines.append(f"    {kind:20} {t.calls:5} calls  {t.size / 2**20:9.1f} MiB")
        for name, network in networks.items():
            expected = collectives.efficiency(found, network, work)
            lines.append(
                f"    {name:20} {1e3 * collectives.seconds(found, network):7.2f} ms of traffic, "
                f"{1e3 * work / (collectives.SHARE_OF_PEAK * collectives.PEAK_FLOPS):.1f} ms of "
                f"computation: {expected:.0%} expected, not measured"
            )
    return "\n".join(lines)


def works(recipe: str, size: int, batch: int) -> tuple[list[Case], dict[str, str]]:
    """Compiles a cycle for 1, 2, 4, ... devices."""
    sides = []
    n = 1
    while n <= jax.device_count():
        gan, state, batches, step = placed(recipe, size, n * batch, jax.devices()[:n], False, None)
        at = jax.tree.map(lambda x: x.sharding, (state, batches))
        draw = jax.jit(create_state, static_argnums=(1, 2), out_shardings=at[0])
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, batches["a"].shape, np.uint8)
        images = jax.device_put({"a": pixels, "b": pixels}, at[1])
        held = {"state": draw(jax.random.key(0), gan, (size, size, 3))}

        def call(step: Any = step, gan: Any = gan, held: Any = held, images: Any = images) -> Any:
            held["state"], metrics = step(gan, held["state"], images)
            return metrics

        sides.append(
            Implementation(f"{n} devices" if n > 1 else "1 device", call, jax.block_until_ready)
        )
        n *= 2
    return [Case(f"cycle, {batch} images a device", sides)], {}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=("official", "book"), default="official")
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch", type=int, default=256, help="images per domain and device")
    parser.add_argument("--budget", type=float, default=120, help="seconds")
    parser.add_argument("--count", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.count:
        states = {"whole": False, "split": True}
        found = {
            name: collectives.traffic(compiled_text(args.recipe, args.size, split))
            for name, split in states.items()
        }
        plain = {s: {k: (t.calls, t.size) for k, t in f.items()} for s, f in found.items()}
        print(json.dumps(plain))
        return
    print(projection(args.recipe, args.size, args.batch), flush=True)
    if jax.device_count() == 1 or jax.default_backend() == "cpu":
        print("There is one device here: what several bring is measured where there are several.")
        return
    settings = {k: v for k, v in vars(args).items() if k != "count"}
    work = partial(works, args.recipe, args.size, args.batch)
    report.run(f"scaling-{args.recipe}", work, args.budget, settings)


if __name__ == "__main__":
    main()
