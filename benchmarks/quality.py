"""How good translations are after how long: `best` beside the two published recipes.

    python -m benchmarks.quality --archives DIR --steps 1000 --seeds 0 1 2

Each recipe is trained with each seed and measured on held-out images along the way; seeds come one
after the other, recipes in turn. A measure is the mean of both directions. Time is a step's median
time in all runs of the recipe, times the steps, so that what else the machine did moves it little;
start-up and measuring are no part of it. Recipes keep their own losses, optimizers and networks;
image size and batch are common, all widths are divided by the same `--narrow`, and the published
curriculum keeps its share of the run. What is in the folder already is not trained again.

Writes `results/quality-NAME.json` and, of the curves, `docs/quality-NAME.png`.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks import report
from configs import best, default, official
from discogan_jax.config.schema import flat
from discogan_jax.errors import InputError
from discogan_jax.files import read_lines, replacing
from discogan_jax.runs import run
from discogan_jax.train import sweep
from discogan_jax.train.launch import start_jax
from discogan_jax.train.variants import Variant

RECIPES = {"book": default, "official": official, "best": best}
PAGES = Path(__file__).parent.parent / "docs"


@dataclass(frozen=True)
class Measure:
    """One of the numbers that decide.

    Attributes:
      row: its name among the rows of `evaluate`.
      title: for people.
      higher: whether more is better.
      back: whether it is about the way there and back.
      wide: whether it differs by orders of magnitude, and is drawn so.
    """

    row: str
    title: str
    higher: bool
    back: bool = False
    wide: bool = False

    def of(self, numbers: Mapping[str, float]) -> float:
        """The mean over directions; not a number where there is none."""
        found = []
        for name, value in numbers.items():
            images, _, row = name.removeprefix("eval/").partition("/")
            if row == self.row and (images.count("_to_") == 2) == self.back:
                found.append(value)
        return statistics.fmean(found) if found else math.nan

    def reaches(self, value: float, wanted: float) -> bool:
        """Whether a value is as good as another one."""
        return value >= wanted if self.higher else value <= wanted


MEASURES = (
    Measure("sliced_wasserstein", "sliced Wasserstein × 1000", higher=False),
    Measure("kernel_distance", "kernel distance", higher=False, wide=True),
    Measure("coverage", "coverage", higher=True),
    Measure("hue_error", "hue error in degrees", higher=False),
    Measure("lightness_correlation", "correlation of lightness", higher=True),
    Measure("psnr", "PSNR there and back in dB", higher=True, back=True),
    Measure("pair_ssim", "SSIM to the true pair", higher=True),
    Measure("diversity", "diversity", higher=True),
    Measure("grid_energy", "energy of the up-sampling grid", higher=False, wide=True),
)


@dataclass(frozen=True)
class Curves:
    """A recipe's measures along its training.

    Attributes:
      seconds_per_step: the median of all runs.
      steps: at which it was measured.
      values: per measure, per seed, a number for each of `steps`.
    """

    seconds_per_step: float
    steps: list[int]
    values: dict[str, list[list[float]]]

    @property
    def seconds(self) -> list[float]:
        """When it was measured."""
        return [step * self.seconds_per_step for step in self.steps]

    def at(self, measure: str, second: float) -> list[float]:
        """Each seed's value at a time, on straight lines between those that were measured."""
        return [float(np.interp(second, self.seconds, v)) for v in self.values[measure]]

    def reached(self, measure: Measure, wanted: float) -> float | None:
        """The first measured time at which the mean over seeds is as good as a value, or None."""
        means = map(statistics.fmean, zip(*self.values[measure.row], strict=True))
        times = zip(self.seconds, means, strict=True)
        return next((t for t, mean in times if measure.reaches(mean, wanted)), None)


def variants(args: argparse.Namespace) -> list[Variant]:
    """The recipes, made comparable."""
    found = []
    for name in args.recipes:
        config = RECIPES[name].get_config()
        data, train = config.data, config.train
        config.domains = tuple(args.domains)
        data.source_a, data.source_b = args.sources
        data.archives, data.data_dir = args.archives, args.data_dir
        data.image_size, data.batch_size = args.image_size, args.batch
        config.model.width //= args.narrow
        rate_updates = config.loss.rate_updates * args.steps / train.steps
        config.loss.rate_updates = round(rate_updates)
        every = args.steps // args.points
        train.steps, train.evaluate_every, train.log_every = args.steps, every, max(every // 5, 1)
        train.sample_every, train.checkpoint_every, train.keep_every = args.steps, args.steps, 0
        found.append(
            Variant(name, {k: v for k, v in flat(run.plain(config)).items() if k != "seed"})
        )
    return found


def curves(folder: Path, name: str, seeds: Sequence[int]) -> Curves:
    """What the runs of a recipe wrote."""
    speeds: list[float] = []
    evaluated: list[dict[int, Mapping[str, float]]] = []
    for seed in seeds:
        lines = read_lines(folder / f"{name},seed={seed}" / "metrics.jsonl")
        # The first interval has the compilation in it.
        speeds += [line["steps_per_second"] for line in lines if "steps_per_second" in line][1:]
        evaluated.append(
            {line["step"]: line for line in lines if any(key.startswith("eval/") for key in line)}
        )
    at = sorted(set.intersection(*(set(steps) for steps in evaluated)))
    values = {m.row: [[m.of(steps[step]) for step in at] for steps in evaluated] for m in MEASURES}
    known = {row: found for row, found in values.items() if not math.isnan(found[0][-1])}
    return Curves(1 / statistics.median(speeds), at, known)


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation over seeds."""
    mean = statistics.fmean(values)
    digits = 0 if abs(mean) >= 100 else 1 if abs(mean) >= 10 else 3
    sd = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean:.{digits}f}{sd}"


def tables(found: Mapping[str, Curves]) -> Iterator[str]:
    """Markdown: all recipes after equal updates, then after equal time, and who is there sooner."""
    end = min(c.seconds[-1] for c in found.values())
    yield f"After {min(c.steps[-1] for c in found.values()):,} steps:"
    yield ""
    yield from _table(found, [c.seconds[-1] for c in found.values()])
    yield ""
    yield f"After {end:,.0f} seconds of training:"
    yield ""
    yield from _table(found, [end] * len(found))
    if {"official", "best"} <= set(found):
        yield ""
        yield "How much sooner `best` is as good as `official` is at its end:"
        yield ""
        yield from (f"* {m.title}: {_sooner(m, found)}" for m in _common(found))


def _common(found: Mapping[str, Curves]) -> list[Measure]:
    return [m for m in MEASURES if all(m.row in c.values for c in found.values())]


def _table(found: Mapping[str, Curves], when: Sequence[float]) -> Iterator[str]:
    ends = dict(zip(found, when, strict=True))
    yield f"| | {' | '.join(found)} |"
    yield "|---" * (len(found) + 1) + "|"
    rows: dict[str, list[str]] = {
        "steps": [f"{ends[name] / c.seconds_per_step:,.0f}" for name, c in found.items()],
        "seconds": [f"{ends[name]:,.0f}" for name in found],
    }
    for m in _common(found):
        rows[m.title] = [spread(c.at(m.row, ends[name])) for name, c in found.items()]
    yield from (f"| {title} | {' | '.join(cells)} |" for title, cells in rows.items())


def _sooner(measure: Measure, found: Mapping[str, Curves]) -> str:
    official = found["official"]
    wanted = statistics.fmean(v[-1] for v in official.values[measure.row])
    reached = found["best"].reached(measure, wanted)
    if reached is None:
        return "it is not"
    first = reached == found["best"].seconds[0]
    return f"{'at least ' if first else ''}{official.seconds[-1] / reached:.1f} times"


def draw(found: Mapping[str, Curves], path: Path) -> None:
    """The curves against time: means, and the range over seeds."""
    shown = _common(found)
    columns = 3
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, m in zip(axes, shown, strict=False):
        for name, c in found.items():
            by_step = list(zip(*c.values[m.row], strict=True))
            [line] = axis.plot(c.seconds, [statistics.fmean(v) for v in by_step], label=name)
            axis.fill_between(
                c.seconds,
                [*map(min, by_step)],
                [*map(max, by_step)],
                alpha=0.2,
                color=line.get_color(),
            )
        axis.set_title(f"{m.title} ({'higher' if m.higher else 'lower'} is better)", fontsize=9)
        if m.wide:
            axis.set_yscale("symlog", linthresh=0.1)
        axis.set_xlabel("seconds of training", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    axes[0].legend(fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})


def published_sources() -> list[str]:
    """Where the default config's images come from."""
    data = default.get_config().data
    return [data.source_a, data.source_b]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="bags-shoes", help="of the results")
    parser.add_argument("--recipes", nargs="+", default=[*RECIPES], choices=RECIPES)
    parser.add_argument("--archives", help="folder of the pix2pix archives; none downloads them")
    parser.add_argument("--data_dir", default="data")
    parser.add_argument("--sources", nargs=2, default=published_sources(), help="of both domains")
    parser.add_argument("--domains", nargs=2, default=["bags", "shoes"])
    parser.add_argument("--image_size", type=int, default=32, help="pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--narrow", type=int, default=1, help="divides each recipe's width")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--points", type=int, default=10, help="how often it is measured")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=Path("runs/quality"))
    args = parser.parse_args()
    if args.points < 1 or args.steps % args.points:
        parser.error(
            f"--steps {args.steps} is no multiple of --points {args.points}: it is "
            "measured so many times, the last time at the end"
        )
    start_jax()
    folder = args.folder / args.name
    places = ("archives", "data_dir", "sources", "folder")  # of this machine
    settings = {name: value for name, value in vars(args).items() if name not in places}
    with report.Clocked(None, settings) as clocked:
        try:
            outcomes = sweep.run(default.get_config(), variants(args), folder, seeds=args.seeds)
        except InputError as error:
            parser.error(str(error))
    if bad := [f"{o.job.directory}: {o.error}" for o in outcomes if o.error]:
        sys.exit("nothing to compare:\n" + "\n".join(bad))
    found = {name: curves(folder, name, args.seeds) for name in args.recipes}
    draw(found, PAGES / f"quality-{args.name}.png")
    facts = {name: c.__dict__ | {"seconds": c.seconds} for name, c in found.items()}
    report.keep(f"quality-{args.name}", clocked, {"recipes": facts}, "\n".join(tables(found)))


if __name__ == "__main__":
    main()
