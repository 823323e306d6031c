"""Measures the memory of an update, by batch and image size.

    python -m benchmarks.memory --recipe official

Each row is a separate process that performs one update of the generators, the larger of the two.
It reports the compiled program's working memory (besides parameters and batch), the peak of the
process and, on a GPU, the peak of the device. ``--recipe book`` selects the other networks,
``--channels 1`` grey images, and ``--shape 8 96x64`` a batch of one's own (may be repeated).
"""

import argparse
import json
import resource
from functools import partial

import jax
import numpy as np

from benchmarks import processes
from benchmarks.train_step import CONFIGS, library
from discogan_jax import steps
from discogan_jax.images import Size
from discogan_jax.state import create_state

MIB = 2**20
SHAPES = {
    "cpu": ((1, 64), (8, 64), (32, 64), (8, 128), (2, 256)),
    "gpu": ((32, 64), (256, 64), (1024, 64), (64, 128), (16, 256)),
}


def one_turn(
    recipe: str, batch: int, size: Size, channels: int, width: int | None = None
) -> processes.Numbers:
    """Compiles and performs an update, and returns the memory that it took in MiB."""
    gan = library(recipe, size, width)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    shape = (*size, channels)
    state = jax.jit(create_state, static_argnums=(1, 2))(jax.random.key(0), gan, shape)
    images = {d: np.zeros((batch, *shape), np.uint8) for d in "ab"}
    lowered = jax.jit(partial(steps.g_step, gan), donate_argnums=0).lower(state, images)
    compiled = lowered.compile()
    jax.block_until_ready(compiled(state, images))
    working = compiled.memory_analysis().temp_size_in_bytes / MIB
    found = {
        "working_mib": working,
        "working_kib_per_pixel": working * 1024 / (batch * size.height * size.width),
        "process_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
        "process_before_mib": before,
    }
    stats = jax.local_devices()[0].memory_stats()
    return found | ({"device_peak_mib": stats["peak_bytes_in_use"] / MIB} if stats else {})


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=tuple(CONFIGS), default="official")
    parser.add_argument("--channels", type=int, default=3, help="of the images")
    parser.add_argument(
        "--shape", nargs=2, action="append", metavar=("BATCH", "SIZE"), help="measured instead"
    )
    parser.add_argument("--width", type=int, help="channels of the first level; the recipe's")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.turn:
        batch, size = args.turn.removesuffix("px").split()[1::2]
        given = args.recipe, int(batch), Size.of(size), args.channels, args.width
        print(json.dumps(one_turn(*given)))
        return
    shapes = args.shape or SHAPES["cpu" if jax.default_backend() == "cpu" else "gpu"]
    sides = [f"batch {batch} at {size}px" for batch, size in shapes]
    given = ["--recipe", args.recipe, "--channels", str(args.channels)]
    given += [] if args.width is None else ["--width", str(args.width)]
    turn = partial(processes.take, "benchmarks.memory", arguments=given)
    processes.run(
        f"memory-{args.recipe}",
        sides,
        turn,
        budget=0.0,
        settings={"recipe": args.recipe, "channels": args.channels},
        least_rounds=1,
    )


if __name__ == "__main__":
    main()
