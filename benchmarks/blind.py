"""Lets pictures of recipes be compared by eye, without knowing which recipe made which.

    python -m benchmarks.blind OUT --grids DIR --recipes official best
    # look at OUT/pair_01.png, OUT/pair_02.png, ..., and write OUT/choices.txt
    python -m benchmarks.blind OUT --choices OUT/choices.txt

The first call takes the grids that `quality --grids` wrote, sets two recipes of the same seed side
by side, in random order, and leaves no label. Which is which is in `key.json`, as digests that
nobody reads by accident. `choices.txt` has a number per pair, in their order, with spaces or lines
between: 1 for the left one, 2 for the right one, 0 for no difference. The second call counts whose
were chosen, and writes it beside the choices to `revealed.json`; it does so once, so that choices
are final before anybody knows what they mean.
"""

import argparse
import hashlib
import itertools
import random
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from discogan_jax import images
from discogan_jax.errors import InputError
from discogan_jax.files import read_json, write_json

GAP = 24  # pixels between the two grids
KEY, REVEALED = "key.json", "revealed.json"


def write_pairs(grids: Path, recipes: Sequence[str], out: Path) -> int:
    """Writes the pairs and their key; returns how many there are.

    Raises:
      InputError: there is nothing to compare, or the folder has pairs already.
    """
    if (out / KEY).exists():
        raise InputError(f"{out} has pairs already: name another folder")
    names = {path.stem for path in grids.glob("*.png")}
    seeds = sorted({name.partition(",")[2] for name in names})
    pairs = [
        (f"{one},{seed}", f"{other},{seed}")
        for one, other in itertools.combinations(recipes, 2)
        for seed in seeds
        if {f"{one},{seed}", f"{other},{seed}"} <= names
    ]
    if not pairs:
        raise InputError(f"{grids} has no RECIPE,seed=N.png of two of {', '.join(recipes)}")
    # Random pairs in random order; the salts keep digests of equal texts apart.
    chance = random.SystemRandom()
    chance.shuffle(pairs)
    digests = []
    for i, pair in enumerate(pairs, 1):
        left, right = chance.sample(pair, 2)
        sides = [images.read(grids / f"{name}.png") for name in (left, right)]
        if sides[0].shape != sides[1].shape:
            raise InputError(f"{left} and {right} in {grids} differ in size: no fair comparison")
        between = np.full((len(sides[0]), GAP, 3), 255, np.uint8)
        images.save(out / f"pair_{i:02}.png", np.concatenate([sides[0], between, sides[1]], axis=1))
        salt = secrets.token_hex(8)
        digests.append([salt, _digest(salt, left, right)])
    write_json(out / KEY, {"names": sorted({*itertools.chain(*pairs)}), "digests": digests})
    return len(pairs)


def _digest(salt: str, left: str, right: str) -> str:
    return hashlib.sha256(f"{salt} {left} {right}".encode()).hexdigest()


def reveal(out: Path, choices: Sequence[str]) -> dict[tuple[str, str], Counter[str]]:
    """Counts, for each two recipes, how often either was chosen, and ``""`` how often neither was.

    Raises:
      InputError: the choices are incomplete or no choices, or pairs were revealed before.
    """
    key = read_json(out / KEY, {"names": [str], "digests": [[str]]})
    if (out / REVEALED).exists():
        raise InputError(f"{out} was revealed before: see {REVEALED}, and make new pairs")
    if len(choices) != len(key["digests"]) or not {*choices} <= {"0", "1", "2"}:
        raise InputError(
            f"there are {len(choices)} choices for {len(key['digests'])} pairs: write 1, 2 or 0 "
            "for each of them"
        )
    counts: dict[tuple[str, str], Counter[str]] = {}
    sides = []
    for choice, (salt, digest) in zip(choices, key["digests"], strict=True):
        either = itertools.permutations(key["names"], 2)
        [pair] = [pair for pair in either if _digest(salt, *pair) == digest]
        recipes = [name.partition(",")[0] for name in pair]
        one, other = sorted(recipes)
        counts.setdefault((one, other), Counter())[["", *recipes][int(choice)]] += 1
        sides.append([*pair, choice])
    write_json(out / REVEALED, {"left, right, choice": sides})
    return counts


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the pairs")
    parser.add_argument("--grids", type=Path, help="folder that `quality --grids` wrote")
    parser.add_argument("--recipes", nargs="+", default=["official", "best"])
    parser.add_argument("--choices", type=Path, help="file with a number per pair")
    args = parser.parse_args()
    if (args.grids is None) == (args.choices is None):
        parser.error("give --grids to make pairs, or --choices to reveal them")
    try:
        if args.choices is None:
            number = write_pairs(args.grids, args.recipes, args.out)
            print(f"{number} pairs in {args.out}")
            return
        counts = reveal(args.out, args.choices.read_text().split())
    except (InputError, OSError) as error:
        parser.error(str(error))
    for (one, other), count in counts.items():
        print(f"{one}: {count[one]}, {other}: {count[other]}, no difference: {count['']}")


if __name__ == "__main__":
    main()
