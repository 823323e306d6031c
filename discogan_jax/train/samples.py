"""What a run shows of its held-out images: a labelled grid, reconstruction, diversity."""

from collections.abc import Mapping
from itertools import pairwise

import jax
import numpy as np
from jaxtyping import UInt8

from discogan_jax import images, steps
from discogan_jax.evaluation.metrics import diversity
from discogan_jax.state import DiscoGAN, TrainState

ROWS = 8
MAX_EVALUATED = 256
EVALUATED_AT_ONCE = 32

HeldOut = Mapping[str, UInt8[np.ndarray, "N S S 3"]]


def grid(
    gan: DiscoGAN, state: TrainState, held_out: HeldOut, domains: tuple[str, str]
) -> UInt8[np.ndarray, "H W 3"]:
    """Draws A, A→B, A→B→A, B, B→A, B→A→B of the first held-out images, one row each.

    Only what the objective trains is shown: ``gan`` has A→B alone, ``recongan`` A→B→A.

    Args:
      gan: what is trained.
      state: the state.
      held_out: images of both domains.
      domains: their names.
    """
    paths = {"discogan": ("aba", "bab"), "recongan": ("aba",), "gan": ("ab",)}[gan.objective]
    names = dict(zip("ab", domains, strict=True))
    rows = min(ROWS, *(len(x) for x in held_out.values()))
    columns = []
    for path in paths:
        original = np.asarray(held_out[path[0]][:rows])
        columns.append((names[path[0]], original))
        x = jax.numpy.asarray(original)
        for i, (source, target) in enumerate(pairwise(path)):
            x = steps.translate_jit(gan, state, x, source + target)
            label = " → ".join(names[d] for d in path[: i + 2])
            columns.append((label, images.to_uint8(np.asarray(x))))
    return images.grid(columns)


def held_out_reconstruction(
    gan: DiscoGAN, state: TrainState, held_out: HeldOut
) -> dict[str, float]:
    """Mean squared error of A→B→A and B→A→B on held-out images, as translation is used.

    Args:
      gan: what is trained.
      state: the state.
      held_out: images of both domains; at most 256 of each are used, in whole batches.

    Returns:
      ``val_const_a_loss`` and ``val_const_b_loss``; nothing for the objective ``gan``.
    """
    count = min(MAX_EVALUATED, *(len(x) for x in held_out.values()))
    size = min(EVALUATED_AT_ONCE, count)
    sums: dict[str, float] = {}
    for i in range(0, count - size + 1, size):
        batch = {d: jax.numpy.asarray(np.asarray(x[i : i + size])) for d, x in held_out.items()}
        for name, value in steps.eval_step_jit(gan, state, batch).items():
            sums[name] = sums.get(name, 0.0) + float(value)
    means = {d: (sums.get(f"const_{d}_sum"), sums.get(f"const_{d}_count")) for d in "ab"}
    return {f"val_const_{d}_loss": s / n for d, (s, n) in means.items() if s is not None and n}


def held_out_diversity(gan: DiscoGAN, state: TrainState, held_out: HeldOut) -> dict[str, float]:
    """How much translations differ from each other, relative to real images of their domain.

    Args:
      gan: what is trained.
      state: the state.
      held_out: images of both domains; of each, 32 are used.

    Returns:
      ``diversity_a`` and ``diversity_b``, of translations to a and b: near 1 for a healthy
      translation, near 0 after a collapse. Nothing for a domain that nothing is translated to,
      or of which too few images are held out.
    """
    found: dict[str, float] = {}
    for direction in ("ab", "ba") if gan.objective == "discogan" else ("ab",):
        x, real = (np.asarray(held_out[d][:EVALUATED_AT_ONCE]) for d in direction)
        if min(len(x), len(real)) < 2:
            continue
        made = steps.translate_jit(gan, state, jax.numpy.asarray(x), direction)
        value = diversity.diversity_ratio(np.asarray(made), images.to_unit(real))
        found[f"diversity_{direction[1]}"] = value
    return found
