"""What a run shows of its held-out images: a labelled grid, reconstruction, diversity."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from discogan_jax import images, steps
from discogan_jax.evaluation import evaluate
from discogan_jax.evaluation.metrics.diversity import diversity_ratio
from discogan_jax.state import DOMAINS, Domains, TrainState
from discogan_jax.train.setup import Setup

ROWS = 8
MAX_MEASURED = 256
BATCH_SIZE = 32


def grid(setup: Setup, state: TrainState, step: int) -> UInt8[np.ndarray, "H W 3"]:
    """Draws A, A→B, A→B→A, B, B→A, B→A→B of the first held-out images, one row each.

    Only what the objective trains is drawn: ``gan`` has A→B alone, ``recongan`` A→B→A.

    Args:
      setup: the setup of the run.
      state: the state.
      step: number of finished steps.

    Raises:
      DivergedError: translations are not finite.
    """

    def translate(x: Any, direction: str) -> jax.Array:
        return steps.translate(setup.gan, state, x, direction)

    paths = setup.gan.cycles or setup.gan.directions
    return draw(setup.held_out, setup.settings.domains, paths, translate, step)


def draw(
    held_out: Mapping[str, UInt8[np.ndarray, "_ h w C"]],
    domains: Domains,
    paths: Sequence[str],
    translate: Callable[[Any, str], Any],
    step: int,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draws the first held-out images and their translations along paths such as ``aba``.

    Args:
      held_out: images by domain.
      domains: names of the domains.
      paths: a column of real images each, then one for each translation.
      translate: translates bytes, or numbers in [0, 1], in a direction such as ``ab``.
      step: number of finished steps.

    Raises:
      DivergedError: translations are not finite.
    """
    rows = min(ROWS, *(len(x) for x in held_out.values()))
    columns = []
    for path in paths:
        # One column of real images, then one for each translation on the path.
        x: Any = np.asarray(held_out[path[0]][:rows])
        columns.append((domains.route(path[:1]), x))
        for i, direction in enumerate(pairwise(path)):
            x = translate(x, "".join(direction))
            evaluate.require_finite(x, step, [*map(domains.name, path[: i + 2])])
            columns.append((domains.route(path[: i + 2]), images.to_uint8(np.asarray(x))))
    return images.grid(columns)


def reconstruction(setup: Setup, state: TrainState) -> dict[str, float]:
    """Measures the mean squared error of A→B→A and B→A→B on held-out images.

    At most 256 images of each domain are used, in whole batches.

    Args:
      setup: the setup of the run.
      state: the state.

    Returns:
      An error for ``a`` and ``b``; nothing for the objective ``gan``.
    """
    gan, held_out = setup.gan, setup.held_out
    count = min(MAX_MEASURED, *(len(x) for x in held_out.values()))
    size = min(BATCH_SIZE, count)
    # Sums and counts over batches of one size, so that one program is compiled.
    total: dict[str, float] = {}
    for i in range(0, count - size + 1, size):
        batch = {d: jnp.asarray(np.asarray(x[i : i + size])) for d, x in held_out.items()}
        for name, value in steps.eval_step_jit(gan, state, batch).items():
            total[name] = total.get(name, 0.0) + float(value)
    counts = {d: total.get(f"const_{d}_count", 0.0) for d in DOMAINS}
    return {d: total[f"const_{d}_sum"] / n for d, n in counts.items() if n}


def diversity(setup: Setup, state: TrainState) -> dict[str, float]:
    """Measures how much translations differ from each other, relative to real images.

    At most 32 held-out images of each domain are used.

    Args:
      setup: the setup of the run.
      state: the state.

    Returns:
      The diversity of translations to ``a`` and ``b``: near 1 for healthy ones, near 0 after a
      collapse, NaN where the real images are all equal. A domain that nothing is translated to, or
      with too few held-out images, is left out.
    """
    found: dict[str, float] = {}
    for direction in setup.gan.directions:
        x, real = (np.asarray(setup.held_out[d][:BATCH_SIZE]) for d in direction)
        if min(len(x), len(real)) < 2:
            continue
        made = np.asarray(steps.translate(setup.gan, state, x, direction))
        found[direction[1]] = diversity_ratio(made, images.to_unit(real))
    return found
