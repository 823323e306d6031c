"""Measures the quality of translations over training time: `best` and the published recipes.

    python -m benchmarks.quality --archives DIR --steps 1000 --seeds 0 1 2

Each recipe is trained with each seed and evaluated on held-out images during training; for each
seed, the recipes are trained one after the other. A measure is the mean of both directions. Time
is the median time of a step over all runs of the recipe, times the number of steps, so that other
load on the machine has little influence; start-up and evaluation are excluded. Recipes keep their
own losses, optimizers and networks; image size and batch size are common, and all widths are
divided by the same `--narrow`. `official` has no curriculum on any sources: its authors train bags
↔ shoes without one, and that of their edges ↔ photos takes less than 1% of their run, but would be
all of one of 3,000 cycles. Runs that are already in the folder are not repeated.

Writes `results/quality-NAME.json` and the curves as `docs/quality-NAME.png`.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks import report
from discogan_jax.config.schema import flat, from_config, to_json
from discogan_jax.configs import best, default, official
from discogan_jax.errors import InputError
from discogan_jax.evaluation.table import markdown
from discogan_jax.files import read_lines, replacing
from discogan_jax.host import use_compile_cache
from discogan_jax.train import sweep
from discogan_jax.train.variants import Variant

RECIPES = {"book": default, "official": official, "best": best}
PAGES = Path(__file__).parent.parent / "docs"


@dataclass(frozen=True)
class Measure:
    """One of the decisive measures.

    Attributes:
      row: its name in the rows of `evaluate`.
      title: its name for people.
      higher: whether higher values are better.
      back: whether it measures the round trip.
      wide: whether its values span orders of magnitude and need a logarithmic axis.
    """

    row: str
    title: str
    higher: bool
    back: bool = False
    wide: bool = False

    def of(self, numbers: Mapping[str, float]) -> float:
        """Returns the mean over directions, or NaN if there is no value."""
        found = []
        for name, value in numbers.items():
            images, _, row = name.removeprefix("eval/").partition("/")
            if row == self.row and (images.count("_to_") == 2) == self.back:
                found.append(value)
        return statistics.fmean(found) if found else math.nan

    @property
    def better(self) -> str:
        """Which values are better, in a word."""
        return "higher" if self.higher else "lower"

    def reaches(self, value: float, wanted: float) -> bool:
        """Returns whether a value is at least as good as another one."""
        return value >= wanted if self.higher else value <= wanted


MEASURES = (
    Measure("sliced_wasserstein", "sliced Wasserstein × 1000", higher=False),
    Measure("kernel_distance", "kernel distance", higher=False, wide=True),
    Measure("coverage", "coverage", higher=True),
    Measure("hue_error", "hue error in degrees", higher=False),
    Measure("lightness_correlation", "correlation of lightness", higher=True),
    Measure("psnr", "round-trip PSNR in dB", higher=True, back=True),
    Measure("pair_ssim", "SSIM to the true pair", higher=True),
    Measure("diversity", "diversity", higher=True),
    Measure("grid_energy", "energy of the up-sampling grid", higher=False, wide=True),
)
DECISIVE = tuple(m for m in MEASURES if m.row not in ("diversity", "grid_energy"))


@dataclass(frozen=True)
class Curves:
    """The measures of a recipe over its training.

    Attributes:
      seconds_per_step: median over all runs.
      steps: steps at which the recipe was measured.
      values: one number for each of `steps`, by measure and seed.
    """

    seconds_per_step: float
    steps: list[int]
    values: dict[str, list[list[float]]]

    @property
    def seconds(self) -> list[float]:
        """The training time of each measurement."""
        return [step * self.seconds_per_step for step in self.steps]

    def at(self, measure: str, second: float) -> list[float]:
        """Returns each seed's value at a time, interpolated linearly between measurements."""
        return [float(np.interp(second, self.seconds, v)) for v in self.values[measure]]

    def reached(self, measure: Measure, wanted: float) -> float | None:
        """Returns the first measured time at which the mean over seeds is as good, or None."""
        means = map(statistics.fmean, zip(*self.values[measure.row], strict=True))
        times = zip(self.seconds, means, strict=True)
        return next((t for t, mean in times if measure.reaches(mean, wanted)), None)


def variants(args: argparse.Namespace) -> list[Variant]:
    """Returns the recipes as variants of a sweep, adjusted to be comparable."""
    found = []
    for name in args.recipes:
        config = RECIPES[name].get_config()
        data, train = config.data, config.train
        config.domains = tuple(args.domains)
        data.source_a, data.source_b = args.sources
        data.archives, data.data_dir = args.archives, args.data_dir
        data.image_size, data.batch_size = args.image_size, args.batch
        config.model.width //= args.narrow
        every = args.steps // args.points
        train.steps, train.evaluate_every, train.log_every = args.steps, every, max(every // 5, 1)
        train.sample_every, train.checkpoint_every, train.keep_every = args.steps, args.steps, 0
        fields = flat(to_json(from_config(config)))
        found.append(Variant(name, {k: v for k, v in fields.items() if k != "seed"}))
    return found


def curves(folder: Path, name: str, seeds: Sequence[int]) -> Curves:
    """Reads the measures that the runs of a recipe wrote."""
    speeds: list[float] = []
    evaluated: list[dict[int, Mapping[str, float]]] = []
    for seed in seeds:
        lines = read_lines(folder / f"{name},seed={seed}" / "metrics.jsonl")
        # The first interval includes compilation.
        speeds += [line["steps_per_second"] for line in lines if "steps_per_second" in line][1:]
        evaluated.append(
            {line["step"]: line for line in lines if any(key.startswith("eval/") for key in line)}
        )
    at = sorted(set.intersection(*(set(steps) for steps in evaluated)))
    values = {m.row: [[m.of(steps[step]) for step in at] for steps in evaluated] for m in MEASURES}
    known = {row: found for row, found in values.items() if not math.isnan(found[0][-1])}
    return Curves(1 / statistics.median(speeds), at, known)


def spread(values: Sequence[float]) -> str:
    """Formats mean ± standard deviation over seeds."""
    mean = statistics.fmean(values)
    digits = sum(abs(mean) < limit for limit in (1, 10, 100))
    sd = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean:.{digits}f}{sd}"


def read(report: Mapping[str, Any]) -> dict[str, Curves]:
    """Returns the curves of a report that `main` has written, by recipe."""
    return {
        name: Curves(
            found["seconds_per_step"],
            found["steps"],
            # JSON has no NaN.
            {
                row: [[math.nan if x is None else x for x in seed] for seed in seeds]
                for row, seeds in found["values"].items()
            },
        )
        for name, found in report["recipes"].items()
    }


def shared(measure: Measure, found: Mapping[str, Curves]) -> bool:
    """Returns whether all recipes have a measure."""
    return all(measure.row in c.values for c in found.values())


def after_equal_time(measure: Measure, found: Mapping[str, Curves]) -> dict[str, list[float]]:
    """Returns the seeds' values of `official` and `best` when the former has ended."""
    end = found["official"].seconds[-1]
    return {name: found[name].at(measure.row, end) for name in ("official", "best")}


def winner(measure: Measure, found: Mapping[str, Curves]) -> str | None:
    """Returns which of `official` and `best` is better after equal time, or None.

    The difference of the means must exceed the larger standard deviation over seeds.
    """
    values = after_equal_time(measure, found)
    official, best = map(statistics.fmean, values.values())
    if abs(best - official) <= max(map(statistics.stdev, values.values())):
        return None
    return "best" if measure.reaches(best, official) else "official"


def table(found: Mapping[str, Curves]) -> str:
    """Writes a Markdown table: each recipe at its end, and `best` compared with `official`."""
    shown = [m for m in MEASURES if shared(m, found)]
    rows = [["", *(f"`{name}`, {c.steps[-1]:,} steps" for name, c in found.items())]]
    rows += [[m.title, *(spread(c.at(m.row, math.inf)) for c in found.values())] for m in shown]
    if {"official", "best"} <= set(found):
        end = found["official"].seconds[-1]
        steps = end / found["best"].seconds_per_step
        rows[0].append(f"`best` after the same {end:,.0f} s ({steps:,.0f} steps)")
        rows[0].append("`best` reaches `official`'s final value")
        for row, m in zip(rows[1:], shown, strict=True):
            row += [spread(after_equal_time(m, found)["best"]), _sooner(m, found)]
    return markdown(rows)


def _sooner(measure: Measure, found: Mapping[str, Curves]) -> str:
    official = found["official"]
    wanted = statistics.fmean(v[-1] for v in official.values[measure.row])
    reached = found["best"].reached(measure, wanted)
    if reached is None:
        return "never"
    first = reached == found["best"].seconds[0]
    return f"{'at least ' if first else ''}{official.seconds[-1] / reached:.1f} times sooner"


def draw(found: Mapping[str, Curves], path: Path) -> None:
    """Draws the curves against time: means and the range over seeds."""
    shown = [m for m in MEASURES if shared(m, found)]
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
        axis.set_title(f"{m.title} ({m.better} is better)", fontsize=9)
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
    """Returns the sources of the default config."""
    data = default.get_config().data
    return [data.source_a, data.source_b]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="bags-shoes", help="name of the results")
    parser.add_argument("--recipes", nargs="+", default=[*RECIPES], choices=RECIPES)
    parser.add_argument("--archives", help="folder of the pix2pix archives; downloaded if missing")
    parser.add_argument("--data_dir", default="data")
    parser.add_argument("--sources", nargs=2, default=published_sources(), help="one per domain")
    parser.add_argument("--domains", nargs=2, default=["bags", "shoes"])
    parser.add_argument("--image_size", type=int, default=32, help="pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--narrow", type=int, default=1, help="divides each recipe's width")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--points", type=int, default=10, help="number of evaluations")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=Path("runs/quality"))
    args = parser.parse_args()
    if args.points < 1 or args.steps % args.points:
        parser.error(
            f"--steps {args.steps} is no multiple of --points {args.points}: it is "
            "measured so many times, the last time at the end"
        )
    use_compile_cache()
    folder = args.folder / args.name
    places = ("archives", "data_dir", "sources", "folder")  # of this machine
    settings = {name: value for name, value in vars(args).items() if name not in places}
    try:
        outcomes = sweep.run(default.get_config(), variants(args), folder, seeds=args.seeds)
    except InputError as error:
        parser.error(str(error))
    if bad := [f"{o.job.directory}: {o.error}" for o in outcomes if o.error]:
        sys.exit("nothing to compare:\n" + "\n".join(bad))
    found = {name: curves(folder, name, args.seeds) for name in args.recipes}
    draw(found, PAGES / f"quality-{args.name}.png")
    times = [o.seconds for o in outcomes if o.seconds is not None]
    if len(times) == len(outcomes):  # unknown where a run was interrupted
        settings["took"] = sum(times)
    kept = {"recipes": {name: asdict(c) for name, c in found.items()}}
    report.keep(f"quality-{args.name}", {"settings": settings}, kept, table(found))


if __name__ == "__main__":
    main()
