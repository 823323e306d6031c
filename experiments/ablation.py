"""Ablation of the recipe on drawn bags and shoes, whose attributes are known.

    python -m experiments.ablation

The variants are objective × feature matching × curriculum × identity term, and the book's code
(literal) compared with the book's recipe (fixed): 18 variants of `configs/ablation.py` with three
seeds each, 32 px, 300 steps; about 80 minutes on two CPU cores. The runs are in `runs/ablation`;
the same command skips finished runs. docs/tables.md has what it showed.

Its columns:

* `true_hue_error`: whether the colour is preserved: the difference in degrees between the known hue
  of a bag and the hue predicted from its translation; 90 by chance.
* `true_hue_map_correlation`: whether the colours are changed by one consistent map, a rotation or
  reflection of the hues: 1 if so, near 0 by chance.
* `true_tilt_correlation`: the same for the tilt.
* `psnr` of bags → shoes → bags; `sliced_wasserstein`, `coverage`, `diversity` of the shoes.
"""

import itertools
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

try:
    from discogan_jax.commands import frame, train
except ModuleNotFoundError as error:
    sys.exit(f"{error}: start it with python -m experiments.ablation")
except KeyboardInterrupt:  # the frame is not there yet to end without a traceback
    sys.exit(130)

if TYPE_CHECKING:
    from discogan_jax.train.variants import Variant

SEEDS = (0, 1, 2)
STEPS = 300
CURRICULUM = {"loss.rate_start": 0.01, "loss.rate_updates": STEPS // 3}  # a ninth of the updates
BOOK = {
    "model.recipe": "book",
    "loss.adversarial": 1.0,
    "loss.feature": 0.0,
    "loss.identity": 0.0,
    "loss.discriminator": 1.0,
    "loss.rate_start": None,
    "loss.rate": None,
    "optim.b1": 0.9,
    "optim.l2": 0.0,
}
MEASURES = [
    f"bags_to_shoes/{name}"
    for name in (
        "true_hue_error",
        "true_hue_map_correlation",
        "true_tilt_correlation",
        "sliced_wasserstein",
        "coverage",
        "diversity",
    )
] + ["bags_to_shoes_to_bags/psnr"]


def variants() -> "list[Variant]":
    """Makes the variants, each named after the parts that it has."""
    from discogan_jax.train.variants import Variant  # late: imports JAX

    found = []
    for objective, feature, curriculum, identity in itertools.product(
        ("discogan", "recongan", "gan"), (True, False), (False, True), (True, False)
    ):
        if curriculum and objective != "discogan":
            continue  # gan has nothing to balance; recongan is compared without a curriculum only
        changes: dict[str, Any] = {"loss.objective": objective}
        parts: Mapping[str, tuple[bool, dict[str, Any]]] = {
            "features": (feature, {} if feature else {"loss.feature": 0.0}),
            "curriculum": (curriculum, CURRICULUM if curriculum else {}),
            "identity": (identity, {} if identity else {"loss.identity": 0.0}),
        }
        for _, change in parts.values():
            changes |= change
        name = "+".join([objective, *(part for part, (there, _) in parts.items() if there)])
        found.append(Variant(name, changes))
    for literal in (False, True):
        name = f"book-{'literal' if literal else 'fixed'}"
        found.append(Variant(name, BOOK | {"model.literal": literal}))
    return found


def study() -> train.Study:
    """Makes the study: all variants with all seeds."""
    return train.Study("ablation", variants(), SEEDS, MEASURES)


if __name__ == "__main__":
    sys.exit(frame.main(lambda: train.experiment(__doc__, "ablation", study=study)))
