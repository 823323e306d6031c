"""Times a training cycle at several batch and image sizes, compared with PyTorch.

    python -m benchmarks.batch_sizes --recipe official --budget 150

The implementations are `jax`, `torch published` and `torch tuned` of `train_step`, and on a GPU
the fastest bfloat16 forms of both libraries.
"""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import jax

from benchmarks import report, train_step
from benchmarks.harness import Case
from discogan_jax.host import keep_freed_memory

SHAPES = {
    "cpu": (
        *((1, 32), (4, 32), (16, 32), (64, 32)),
        *((1, 64), (4, 64), (64, 64), (1, 128), (4, 128), (1, 256)),
    ),
    "gpu": ((1, 64), (16, 64), (64, 64), (256, 64), (64, 128), (16, 256)),
}
SIDES = {
    "cpu": ("jax", "torch published", "torch tuned"),
    "gpu": (
        *("jax", "jax, bfloat16", "torch published", "torch tuned"),
        "torch compiled, reduce-overhead, bfloat16",
    ),
}


def works(
    recipe: str, backend: str, shapes: Iterable[tuple[int, int]], width: int | None = None
) -> tuple[list[Case], dict[str, str]]:
    """Compiles a cycle for every shape and implementation."""
    made, skipped = [], {}
    for batch, size in shapes:
        found, reasons = train_step.works(
            recipe, batch, size, width, sides=SIDES[backend], only=("cycle",)
        )
        made += [replace(w, name=f"cycle, batch {batch} at {size}px") for w in found]
        skipped |= reasons
    return made, skipped


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=tuple(train_step.CONFIGS), default="official")
    parser.add_argument("--budget", type=float, default=150, help="seconds, compilation included")
    parser.add_argument(
        "--shape", nargs=2, type=int, action="append", metavar=("BATCH", "SIZE"), help="instead"
    )
    parser.add_argument("--width", type=int, help="channels of the first level; the recipe's")
    args = parser.parse_args()
    backend = "cpu" if jax.default_backend() == "cpu" else "gpu"
    shapes = args.shape or SHAPES[backend]
    keep_freed_memory(max(batch * size**2 for batch, size in shapes))
    name = f"batch_sizes-{args.recipe}"
    made = partial(works, args.recipe, backend, shapes, args.width)
    report.run(name, made, args.budget, vars(args))


if __name__ == "__main__":
    main()
