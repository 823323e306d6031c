"""Projects the scaling efficiency on several devices, and measures it where there are several.

    python -m benchmarks.scaling --recipe official

First it compiles a cycle for eight devices, with the convolutions of a CPU and with those of a GPU,
and counts the collectives in the programs (`results/collectives-RECIPE-BATCH-MACHINE.json`). With
assumed bandwidths (`collectives`), those with the convolutions of a GPU give an expected
efficiency. The compiler is in any case the one for CPUs. Then, if this machine has more than one
accelerator, cycles on 1, 2, 4, ... of them run alternately, with the same batch size per device;
the time on one device divided by the time on n is the efficiency of weak scaling.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np

from benchmarks import collectives, flops, report, train_step
from benchmarks.harness import Case, Implementation
from discogan_jax import sharding
from discogan_jax.evaluation.table import aligned
from discogan_jax.ops import convolution
from discogan_jax.state import create_state

DEVICES = 8
CONVOLUTIONS = "cpu", "gpu"
STATES = {"replicated": False, "sharded": True}
NETWORKS = {"8 GPUs in one host": collectives.ONE_HOST, "64 hosts": collectives.MANY_HOSTS}


class Projection(NamedTuple):
    """Seconds of a cycle, and the fraction of them that is computation."""

    computing: float
    communicating: float
    efficiency: float


def placed(recipe: str, size: int, batch: int, devices: Any, split: bool, width: int | None) -> Any:
    """Returns networks, shapes of state and batches on some devices, and the matching step."""
    gan = train_step.library(recipe, size, width)
    mesh = sharding.data_mesh(devices)
    create = partial(create_state, gan=gan, image_shape=(size, size, 3))
    shapes = jax.eval_shape(create, jax.random.key(0))
    where = sharding.of_state(mesh, shapes, split)
    batches = sharding.batch_shapes(mesh, gan, batch, (size, size, 3))
    return gan, sharding.shapes_with(shapes, where), batches, sharding.train_step_for(where)


def compiled_text(
    recipe: str, size: int, batch: int, convolutions: str, split: bool, width: int | None = None
) -> str:
    """Compiles a cycle for all devices.

    Args:
      recipe: ``"official"`` or ``"book"``.
      size: pixels.
      batch: images of each domain and device; on a CPU the choice of convolutions depends on it.
      convolutions: those of a ``"cpu"`` or of a ``"gpu"``.
      split: whether the state is split over the devices.
      width: channels of the first level; the recipe's if None.
    """
    devices = jax.devices()
    gan, state, batches, step = placed(recipe, size, len(devices) * batch, devices, split, width)
    on_gpu = mock.patch.object(convolution, "_on_cpu", lambda form, xla, a, b, w: xla(a, b, w))
    with on_gpu if convolutions == "gpu" else nullcontext():
        return step.lower(gan, state, batches).compile().as_text()


def counted(recipe: str, size: int, batch: int) -> dict[str, Any]:
    """Counts the collectives of a cycle on eight devices: by convolutions, state and kind."""
    forced = f"--xla_force_host_platform_device_count={DEVICES} --xla_backend_optimization_level=0"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": forced}
    arguments = ["--recipe", recipe, "--size", str(size), "--batch", str(batch)]
    found: dict[str, Any] = {}
    for convolutions in CONVOLUTIONS:
        # A process for each, since JAX would reuse what it has traced.
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.scaling", *arguments, "--count", convolutions],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        found[convolutions] = json.loads(done.stdout.splitlines()[-1])
    return found


def projected(report: Mapping[str, Any], state: str, network: collectives.Network) -> Projection:
    """Computes what the counts of a report let expect on GPUs; nothing of it is measured."""
    found = {k: collectives.Traffic(**t) for k, t in report["programs"]["gpu"][state].items()}
    return Projection(
        computing=report["flops"] / (collectives.SHARE_OF_PEAK * collectives.PEAK_FLOPS),
        communicating=collectives.seconds(found, network),
        efficiency=collectives.efficiency(found, network, report["flops"]),
    )


def table(found: Mapping[str, Any]) -> str:
    """Formats counts and expected efficiencies as text."""
    cells: list[list[str]] = []
    for convolutions, states in found["programs"].items():
        for state, kinds in states.items():
            cells.append([f"convolutions of a {convolutions}, {state} state"])
            for kind, t in kinds.items():
                cells.append([f"  {kind}", f"{t['calls']} calls", f"{t['size'] / 2**20:.1f} MiB"])
    for state in found["programs"]["gpu"]:
        cells.append([f"expected, not measured, {state} state"])
        for name, network in NETWORKS.items():
            p = projected(found, state, network)
            times = f"{1e3 * p.communicating:.1f} ms", f"besides {1e3 * p.computing:.1f} ms"
            cells.append([f"  {name}", *times, f"{p.efficiency:.0%}"])
    return aligned(cells, right={1, 2, 3})


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
    parser.add_argument("--count", choices=CONVOLUTIONS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.count:
        texts = {
            state: compiled_text(args.recipe, args.size, args.batch, args.count, split)
            for state, split in STATES.items()
        }
        counts = {state: collectives.traffic(text) for state, text in texts.items()}
        print(json.dumps({s: {k: asdict(t) for k, t in c.items()} for s, c in counts.items()}))
        return
    settings = {"recipe": args.recipe, "size": args.size, "batch": args.batch, "devices": DEVICES}
    with report.Clocked(None, settings) as clocked:
        found = {
            "flops": flops.updates(args.recipe, args.size, args.batch)["cycle"],
            "programs": counted(args.recipe, args.size, args.batch),
        }
    name = f"collectives-{args.recipe}-batch{args.batch}"
    report.keep(name, clocked.facts, found, table(found))
    if jax.device_count() == 1 or jax.default_backend() == "cpu":
        print("There is one device here: what several bring is measured where there are several.")
        return
    settings = {k: v for k, v in vars(args).items() if k != "count"}
    work = partial(works, args.recipe, args.size, args.batch)
    report.run(f"scaling-{args.recipe}", work, args.budget, settings)


if __name__ == "__main__":
    main()
