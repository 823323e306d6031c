"""Measures what `discogan match` finds, beside the colour of the picture itself, and its speed.

    python -m benchmarks.matching --drawn runs/sample --photos runs/photos --products shop

`--drawn` is a run of `configs/sample.py`, whose pictures' hue, lightness and pattern are known;
`--photos` one of photographs on white, of which the foreground's colour is measured. `--products`
is a folder with two folders, `bags` and `footwear`, of photographs that no run has seen; the run of
`--photos` translates them. What `matching` compares was chosen by the training pictures (`chosen`);
the pages show held-out ones, and those of the folder (`reported`): for each picture, the first six
of the other domain's pictures. The colour of the picture itself is what to beat: it needs no run.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import report
from discogan_jax import images, matching, runs
from discogan_jax.config import build
from discogan_jax.data import sources
from discogan_jax.data.catalogue import items
from discogan_jax.evaluation.attributes import Attributes
from discogan_jax.evaluation.metrics.colour import foreground_colour
from discogan_jax.evaluation.table import markdown
from discogan_jax.host import use_compile_cache

PICTURES = 200  # of a set that are translated
LEAST_CHROMA = 0.1  # of a photograph whose hue is compared
MEASURES = {
    "hue": "hue error in degrees",
    "lightness": "lightness error",
    "pattern": "share of the same pattern",
}
SOURCE, CHOSEN, RANDOM = "colour of the picture", "as matched", "at random"


class Shown(NamedTuple):
    """What pictures show, one value each; NaN or -1 where it is not known.

    Attributes:
      hue: degrees.
      lightness: 0 to 1.
      pattern: index in `items.PATTERNS`.
    """

    hue: np.ndarray
    lightness: np.ndarray
    pattern: np.ndarray

    @classmethod
    def by_colour(cls, pictures: np.ndarray) -> "Shown":
        """Measures the foreground of photographs."""
        found = foreground_colour(images.to_unit(pictures))
        hue = np.where(found.chroma > LEAST_CHROMA, found.hue, np.nan)
        return cls(hue, found.lightness, np.full(len(hue), -1))


class Cut(NamedTuple):
    """Pictures that are translated, those that are searched, and what both show."""

    wanted: np.ndarray
    searched: np.ndarray
    shows: Shown
    shown: Shown


def agreement(order: np.ndarray, cut: Cut) -> dict[str, float]:
    """Measures how the first six of each order differ from what the picture shows."""
    first = order[:, : matching.COUNT]
    wanted, found = (Shown(*x) for x in (cut.shows, (x[first] for x in cut.shown)))
    turn = np.abs((wanted.hue[:, None] - found.hue + 180) % 360 - 180)
    measured = {
        "hue": float(np.nanmean(turn)),
        "lightness": float(np.nanmean(np.abs(wanted.lightness[:, None] - found.lightness))),
    }
    if (wanted.pattern >= 0).all():
        measured["pattern"] = float((wanted.pattern[:, None] == found.pattern).mean())
    return measured


def distances(run: runs.Run, direction: str, cut: Cut) -> dict[str, np.ndarray]:
    """Returns the distances of each picture to all that are searched, by what is compared."""
    made = images.to_uint8(run.apply(cut.wanted, direction))
    back = images.to_uint8(run.apply(cut.searched, direction[::-1]))
    described = [matching.describe(x) for x in (made, cut.searched, cut.wanted)]
    (colour, all_colours, own), (look, all_looks, _) = (
        [x[:, part] for x in described] for part in (slice(3), slice(3, None))
    )
    whole = [images.to_unit(x).reshape(len(x), -1) for x in (made, cut.searched, cut.wanted, back)]
    compared = {
        SOURCE: _squared(own, all_colours),
        "colour": _squared(colour, all_colours),
        "look": _squared(look, all_looks),
        "pixels": _squared(whole[0], whole[1]),
        "way back": _squared(whole[2], whole[3]),
    }
    for level, (x, y) in enumerate(
        zip(*(_judged(run, direction[1], x) for x in (made, cut.searched)), strict=True)
    ):
        compared[f"discriminator, level {level + 2}"] = _squared(x, y)
    random = np.random.default_rng(0).random(compared["look"].shape)
    # The colour as it is; in `matching` it has its weight.
    alone = compared["colour"] / matching.COLOUR**2
    sums = {f"look + {w} × colour": compared["look"] + w**2 * alone for w in (1, 2, 4, 8)}
    everything = sum(x / np.median(x) for name, x in compared.items() if name != SOURCE)
    chosen = compared["look"] + compared["colour"]
    return {**compared, **sums, "sum of all": everything, CHOSEN: chosen, RANDOM: random}


def _judged(run: runs.Run, domain: str, pictures: np.ndarray) -> list[np.ndarray]:
    """Returns the activations of a run's discriminator, of length one for each picture."""
    dis = run.state.dis
    variables = {"params": dis.params[domain], "batch_stats": dis.batch_stats[domain]}
    judge = jax.jit(lambda x: run.gan.discriminator.apply(variables, x, False)[1])
    batches = [judge(images.to_unit(x)) for x in np.array_split(pictures, -(-len(pictures) // 64))]
    levels = [
        np.concatenate([np.asarray(x).reshape(len(x), -1) for x in level])
        for level in zip(*batches, strict=True)
    ]
    return [x / np.linalg.norm(x, axis=1, keepdims=True) for x in levels]


def _squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T


def of_run(run: runs.Run, direction: str, split: str) -> Cut:
    """Takes pictures of a split; searched are training pictures, or all when others are wanted."""
    found, settings = run.images(), run.settings
    (a, b), first = (found[d] for d in direction), slice(PICTURES)
    known = build.described(settings)
    splits = ("train",) if split == "train" else ("train", "val")
    wanted = np.asarray(getattr(a, split)[first])
    searched = np.concatenate([getattr(b, name) for name in splits])
    if not known:
        return Cut(wanted, searched, Shown.by_colour(wanted), Shown.by_colour(searched))
    source, target = (known[d] for d in direction)
    shows = _of_items(source[split][first])
    return Cut(wanted, searched, shows, _of_items([*chain(*(target[name] for name in splits))]))


def _of_items(found: list[items.Item]) -> Shown:
    known = Attributes.of(found)
    return Shown(known.hue, known.lightness, known.pattern)


def of_products(folder: Path, run: runs.Run, direction: str, data_dir: Path) -> Cut:
    """Takes pictures of two folders, prepared for a run."""
    names = dict(zip("ab", ("bags", "footwear"), strict=True))
    size = run.image_size
    loaded = [
        sources.load(f"folder:{folder / names[d]}", data_dir=data_dir, image_size=size)
        for d in direction
    ]
    wanted, searched = loaded[0].val, np.concatenate([loaded[1].train, loaded[1].val])
    wanted = np.asarray(wanted[:PICTURES])
    return Cut(wanted, searched, Shown.by_colour(wanted), Shown.by_colour(searched))


def measured(run: runs.Run, cut: Callable[[str], Cut]) -> dict[str, Any]:
    """Measures all ways to compare, in each direction."""
    found = {}
    for direction in run.directions:
        now = cut(direction)
        compared = distances(run, direction, now)
        found[run.domains.route(direction)] = {
            "pictures": [len(now.wanted), len(now.searched)],
            **{name: agreement(np.argsort(x, 1), now) for name, x in compared.items()},
        }
    return found


def speed(run: runs.Run, number: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Times an index of so many JPEGs of 256 px, opening it again, and a search for one picture.

    Beside the seconds that pass there are those of the processors: others may use them as well.
    """
    works = "built", "opened again", "asked"
    seconds = {name: {"passed": [], "processor": []} for name in works}
    to = run.domains.b

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter(), time.process_time()
        result = work()
        seconds[name]["passed"].append(time.perf_counter() - begun[0])
        seconds[name]["processor"].append(time.process_time() - begun[1])
        return result

    with tempfile.TemporaryDirectory() as place:
        shop, data_dir = Path(place, "shop"), Path(place, "data")
        shop.mkdir()
        drawn = [items.draw(items.describe("shoes", i)) for i in range(100)]
        for i, picture in enumerate(drawn):
            images.save(shop / f"{i}.jpg", picture)
        for i in range(len(drawn), number):
            shutil.copy(shop / f"{i % len(drawn)}.jpg", shop / f"{i}.jpg")
        bag = np.zeros((1, *run.image_size, run.preparations["a"].channels), np.uint8)
        run.translate(bag, to, 1)  # compiles
        for _ in range(rounds):
            shutil.rmtree(data_dir, ignore_errors=True)
            timed("built", lambda: matching.open_catalogue(shop, run, to, data_dir))
            found = timed("opened again", lambda: matching.open_catalogue(shop, run, to, data_dir))
            for _ in repeat(None, 10):
                timed("asked", lambda found=found: found.nearest(run.translate(bag, to, 1)))
    return seconds


def table(found: Mapping[str, Any]) -> str:
    """Writes what is reported: a row for each set, direction and measure."""
    ways = CHOSEN, SOURCE, RANDOM
    rows = [["pictures", "measure", *ways]]
    for name, directions in found["reported"].items():
        for route, measured in directions.items():
            wanted, searched = measured["pictures"]
            for measure, title in MEASURES.items():
                if measure in measured[CHOSEN]:
                    values = [f"{measured[way][measure]:.2g}" for way in ways]
                    rows.append([f"{name}, {route} ({wanted} in {searched:,})", title, *values])
    return markdown(rows)


def choice(found: Mapping[str, Any]) -> str:
    """Writes what the choice was made by: a row for each way to compare."""
    sets = [
        (f"{name}, {route}", measured)
        for name, directions in found["chosen"].items()
        for route, measured in directions.items()
    ]
    rows = [["compared", *(name for name, _ in sets)]]
    for way in (way for way in sets[0][1] if way not in ("pictures", CHOSEN)):
        rows.append([way])
        for _, measured in sets:
            x = measured[way]
            pattern = f", {x['pattern']:.0%}" if "pattern" in x else ""
            rows[-1].append(f"{x['hue']:.0f}°, {x['lightness']:.3f}{pattern}")
    return markdown(rows)


def times(found: Mapping[str, Any]) -> str:
    """Writes the times of a catalogue of many pictures."""
    rows = [["work", "time, quartiles", "processor time, quartiles", "n"]]
    for name, clocks in found["seconds"].items():
        rows.append([name])
        for seconds in clocks.values():
            low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75))
            scale, unit = (1, "s") if high >= 1 else (1e3, "ms")
            low, median, high = (f"{scale * x:#.3g}".rstrip(".") for x in (low, median, high))
            rows[-1].append(f"{median} {unit}, {low}–{high} {unit}")
        rows[-1].append(str(len(seconds)))
    return markdown(rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drawn", type=Path, required=True, metavar="RUN")
    parser.add_argument("--photos", type=Path, metavar="RUN")
    parser.add_argument("--products", type=Path, metavar="FOLDER")
    parser.add_argument("--data_dir", type=Path, default=Path("data"))
    parser.add_argument(
        "--number", type=int, default=10_000, help="pictures of the timed catalogue"
    )
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    use_compile_cache()
    drawn = runs.open(args.drawn)
    with report.Clocked(None, {"number": args.number, "rounds": args.rounds}) as clocked:
        opened = {"drawings": drawn} | (
            {"photographs": runs.open(args.photos)} if args.photos else {}
        )
        found: dict[str, Any] = {
            part: {
                name: measured(run, lambda d, run=run, split=split: of_run(run, d, split))
                for name, run in opened.items()
            }
            for part, split in (("chosen", "train"), ("reported", "val"))
        }
        if args.products:
            run = opened["photographs"]
            found["reported"]["another shop"] = measured(
                run, lambda d: of_products(args.products, run, d, args.data_dir)
            )
        found["seconds"] = speed(drawn, args.number, args.rounds)
    text = "\n\n".join(write(found) for write in (choice, table, times))
    report.keep("matching", clocked.facts, found, text)


if __name__ == "__main__":
    main()
