"""Projects the scaling efficiency on several devices, and measures it where there are several.

    python -m benchmarks.scaling --recipe official

First it compiles a cycle for eight devices, with the convolutions of a GPU, and counts the
collectives in the programs (`results/collectives-RECIPE-BATCH-MACHINE.json`): as training does with
a state that is whole on each device, the same without combining sums (``jit``), and with a split
state. With assumed bandwidths (`collectives`) they give an expected efficiency. The compiler is the
one for CPUs, or with ``--target``, and ``jax[cuda12]``, the one for the GPU that a file of XLA
describes, such as its ``h100_sxm.txtpb``; no GPU is needed for that.

Then, if this machine has more than one accelerator, cycles on 1, 2, 4, ... of them run alternately,
with the same batch size per device; the time on one device divided by the time on n is the
efficiency of weak scaling.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np
from jax.experimental import topologies

from benchmarks import collectives, flops, report, train_step
from benchmarks.harness import Case, Implementation
from discogan_jax import sharding, steps
from discogan_jax.evaluation.table import aligned
from discogan_jax.ops import convolution, reductions
from discogan_jax.state import DiscoGAN, create_state

DEVICES = 8
STATES = ("replicated", "replicated, jit", "sharded")


class Projection(NamedTuple):
    """Seconds of a cycle that are computation, and that are communication beside it."""

    computing: float
    communicating: float

    @property
    def efficiency(self) -> float:
        """The fraction that is computation."""
        return self.computing / (self.computing + self.communicating)


def placed(
    gan: DiscoGAN, size: int, batch: int, devices: Sequence[Any], state: str = STATES[0]
) -> Any:
    """Returns shapes of state and batches on some devices, and the matching step.

    Args:
      gan: the networks.
      size: pixels.
      batch: images of each domain in the global batch.
      devices: the devices.
      state: one of `STATES`.
    """
    mesh = sharding.data_mesh(devices)
    create = partial(create_state, gan=gan, image_shape=(size, size, 3))
    shapes = jax.eval_shape(create, jax.random.key(0))
    where = sharding.of_state(mesh, shapes, state == "sharded")
    batches = sharding.batch_shapes(mesh, gan, batch, (size, size, 3))
    step = steps.train_step_jit if "jit" in state else sharding.train_step_for(where)
    return sharding.shapes_with(shapes, where), batches, step


def target_devices(path: str | None) -> Sequence[Any]:
    """Returns the devices to compile for: those there are, or eight that a file describes."""
    if path is None:
        return jax.devices()
    jax.devices()  # loads the plugins
    described = Path(path).read_text()
    return topologies.get_topology_desc(
        platform="cuda", target_config=described, topology=f"1x1x{DEVICES}"
    ).devices


def count(
    gan: DiscoGAN, size: int, batch: int, devices: Sequence[Any], states: Sequence[str]
) -> dict[str, Any]:
    """Counts the collectives of a cycle in compiled programs, and what they are compared with.

    Args:
      gan: the networks.
      size: pixels.
      batch: images of each domain and device.
      devices: the devices.
      states: those of `STATES` to compile.

    Returns:
      ``programs``: the traffic by state and kind; ``chain``: the longest chain of sums of which
      each needs the one before; ``gradients``: bytes of an update's gradients, by player.
    """
    found: dict[str, Any] = {"programs": {}}
    for state in states:
        shapes, batches, step = placed(gan, size, len(devices) * batch, devices, state)
        # Whatever the platform, the convolutions are those of a GPU.
        with mock.patch.object(convolution, "_on_cpu", lambda form, xla, a, b, w: xla(a, b, w)):
            text = step.lower(gan, shapes, batches).compile().as_text()
        traffic = collectives.traffic(text)
        found["programs"][state] = {kind: asdict(t) for kind, t in traffic.items()}
    with mock.patch.object(reductions, "combined", lambda f, _: f):
        shapes, batches, step = placed(gan, size, len(devices) * batch, devices)
        found["chain"] = collectives.chain(step.trace(gan, shapes, batches).jaxpr)[1]
    players = {"gen": shapes.gen, "dis": shapes.dis}
    found["gradients"] = {
        name: sum(4 * x.size for x in jax.tree.leaves(player.params))
        for name, player in players.items()
    }
    return found


def counted(arguments: Sequence[str]) -> dict[str, Any]:
    """Counts in a process that has eight devices."""
    forced = f"--xla_force_host_platform_device_count={DEVICES} --xla_backend_optimization_level=0"
    forced += " --xla_gpu_autotune_level=0"  # nothing can be timed on a GPU that is not there
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", *arguments, "--count"],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": forced},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def projected(
    report: Mapping[str, Any],
    network: collectives.Network,
    state: str = STATES[0],
    *,
    hosts_first: bool = False,
    overlapped: bool = False,
    bfloat16: bool = False,
) -> Projection:
    """Computes what the counts of a report let expect on GPUs; nothing of it is measured.

    Args:
      report: what `count` found, and ``flops``.
      network: what connects the devices.
      state: one of `STATES`.
      hosts_first: as in `collectives.seconds`.
      overlapped: whether the discriminators' gradients are summed while the generators, which do
        not need them, compute their translations.
      bfloat16: whether gradients are summed in bfloat16.
    """
    found = {k: collectives.Traffic(**t) for k, t in report["programs"][state].items()}
    gradients = report["gradients"]
    less = gradients["dis"] if overlapped else 0
    if bfloat16:
        less += (2 * gradients["gen"] + gradients["dis"] - less) / 2
    calls, size = astuple(found["all-reduce"])
    found["all-reduce"] = collectives.Traffic(calls - overlapped, size - less)
    return Projection(
        computing=collectives.computing(report["flops"]),
        communicating=collectives.seconds(found, network, hosts_first),
    )


def table(found: Mapping[str, Any]) -> str:
    """Formats counts and expected efficiencies as text."""
    cells: list[list[str]] = [["longest chain of sums", str(found["chain"])]]
    for state, kinds in found["programs"].items():
        cells.append([f"{state} state"])
        for kind, t in kinds.items():
            cells.append([f"  {kind}", f"{t['calls']} calls", f"{t['size'] / 2**20:.1f} MiB"])
        for name, network in (
            ("8 GPUs in one host", collectives.ONE_HOST),
            ("64 hosts", collectives.MANY_HOSTS),
        ):
            p = projected(found, network, state)
            times = f"{1e3 * p.communicating:.1f} ms", f"besides {1e3 * p.computing:.1f} ms"
            cells.append([f"  expected of {name}", *times, f"{p.efficiency:.0%}"])
    return aligned(cells, right={1, 2, 3})


def works(recipe: str, size: int, batch: int) -> tuple[list[Case], dict[str, str]]:
    """Compiles a cycle for 1, 2, 4, ... devices."""
    sides = []
    gan = train_step.library(recipe, size)
    n = 1
    while n <= jax.device_count():
        state, batches, step = placed(gan, size, n * batch, jax.devices()[:n])
        at = jax.tree.map(lambda x: x.sharding, (state, batches))
        draw = jax.jit(create_state, static_argnums=(1, 2), out_shardings=at[0])
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, batches["a"].shape, np.uint8)
        images = jax.device_put({"a": pixels, "b": pixels}, at[1])
        held = {"state": draw(jax.random.key(0), gan, (size, size, 3))}

        def call(step: Any = step, held: Any = held, images: Any = images) -> Any:
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
    parser.add_argument("--recipe", choices=tuple(train_step.CONFIGS), default="official")
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch", type=int, default=256, help="images per domain and device")
    parser.add_argument("--budget", type=float, default=120, help="seconds")
    parser.add_argument("--target", help="XLA's description of a GPU to compile for")
    parser.add_argument("--states", nargs="+", choices=STATES, default=STATES)
    parser.add_argument("--count", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.count:
        gan = train_step.library(args.recipe, args.size)
        devices = target_devices(args.target)
        print("\n" + json.dumps(count(gan, args.size, args.batch, devices, args.states)))
        return
    settings = {"recipe": args.recipe, "size": args.size, "batch": args.batch, "devices": DEVICES}
    settings |= {"target": args.target and Path(args.target).stem}
    with report.Clocked(None, settings) as clocked:
        needed = flops.updates(args.recipe, args.size, args.batch)["cycle"]
        found = {"flops": needed} | counted(sys.argv[1:])
    name = f"collectives-{args.recipe}-batch{args.batch}"
    name += f"-{settings['target']}" if args.target else ""
    report.keep(name, clocked.facts, found, table(found))
    if jax.device_count() == 1 or jax.default_backend() == "cpu":
        print("There is one device here: what several bring is measured where there are several.")
        return
    settings = {k: v for k, v in vars(args).items() if k in ("recipe", "size", "batch")}
    work = partial(works, args.recipe, args.size, args.batch)
    report.run(f"scaling-{args.recipe}", work, args.budget, settings)


if __name__ == "__main__":
    main()
