"""Compares recipes by what `quality` measured: which one is ahead, tables, curves.

A measure is the mean of both directions; directions alone are kept beside it. Over seeds, tables
have the median and the range.

One of two recipes is **ahead** in a measure if their seeds differ by an exact two-sided
Mann-Whitney test at 5%. With five seeds each, that is if 23 of the 25 pairs of a seed of the one
and a seed of the other favour it. Fewer than four seeds each cannot reach 5%: there, every pair
must favour it. By chance alone that happens to one of two recipes in one of ten comparisons with
three seeds each, and in one of three with two.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import mannwhitneyu

from discogan_jax.evaluation.table import DASH, markdown
from discogan_jax.files import replacing

LEVEL = 0.05
CHALLENGER = "cyclegan"


@dataclass(frozen=True)
class Measure:
    """One of the measures that are shown.

    Attributes:
      row: its name in the rows of `evaluate`.
      title: its name for people.
      higher: whether higher values are better; None if those nearer to real images are.
      decides: whether it counts when recipes are compared; others are shown besides.
      back: whether it measures the round trip.
      wide: whether its values span orders of magnitude and need a logarithmic axis.
    """

    row: str
    title: str
    higher: bool | None
    decides: bool = False
    back: bool = False
    wide: bool = False

    def of(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Returns the value of each direction by the images' name, and the mean by ``""``.

        Args:
          numbers: a line of the metrics of a run.

        Returns:
          Five digits each; nothing unless both directions have a value.
        """
        found = {}
        for name, value in numbers.items():
            images, _, row = name.removeprefix("eval/").partition("/")
            if row == self.row and (images.count("_to_") == 2) == self.back:
                found[images] = float(f"{value:.5g}")
        return found | {"": statistics.fmean(found.values())} if len(found) == 2 else {}

    @property
    def better(self) -> str:
        """Which values are better, in words."""
        return {True: "higher", False: "lower", None: "nearer to real ones"}[self.higher]

    def reaches(self, value: float, wanted: float) -> bool:
        """Returns whether a value is at least as good as another one."""
        return value >= wanted if self.higher else value <= wanted


MEASURES = (
    Measure("kernel_distance", "kernel distance", higher=False, decides=True, wide=True),
    Measure("coverage", "coverage", higher=True, decides=True),
    Measure("hue_error", "hue error in degrees", higher=False, decides=True),
    Measure("lightness_correlation", "correlation of lightness", higher=True, decides=True),
    Measure("warmth_correlation", "correlation of warm or cool colour", higher=True, decides=True),
    Measure("pair_ssim", "SSIM to the true pair", higher=True, decides=True),
    Measure("psnr", "round-trip PSNR in dB", higher=True, decides=True, back=True),
    Measure("domain_test", "share recognised", higher=True),
    Measure("neutral_chroma", "colour in what should be grey", higher=None),
    Measure("border_lightness", "lightness of the border", higher=None),
    Measure("border_chroma", "colour in the border", higher=None),
    Measure("sliced_wasserstein", "sliced Wasserstein × 1000", higher=False),
    Measure("diversity", "diversity", higher=None),
    Measure("grid_energy", "energy of the up-sampling grid", higher=False, wide=True),
)
DECISIVE = tuple(m for m in MEASURES if m.decides)


@dataclass(frozen=True)
class Curves:
    """The measures of a recipe over its training.

    Attributes:
      seconds_per_step: median over all runs.
      steps: steps at which the recipe was measured.
      values: one number for each of `steps`, by measure and seed; NaN where it is undefined. A
        measure is the mean of both directions; ``bags_to_shoes/coverage`` is one of them.
      real: what real images have, by measure, for those that should be near it.
    """

    seconds_per_step: float
    steps: list[int]
    values: dict[str, list[list[float]]]
    real: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        seconds_per_step: float,
        steps: list[int],
        measured: Sequence[Sequence[Mapping[str, float]]],
        real: Mapping[str, float],
    ) -> "Curves":
        """Makes curves of what runs have measured.

        Args:
          seconds_per_step: see `Curves`.
          steps: see `Curves`.
          measured: for each seed, a line of metrics for each of the steps.
          real: the references of the same measures.
        """
        found = {
            m.row: [[m.of(line) for line in of_seed] for of_seed in measured] for m in MEASURES
        }
        values = {}
        for row, seeds in found.items():
            for images in dict.fromkeys(name for seed in seeds for point in seed for name in point):
                kept = [[point.get(images, math.nan) for point in seed] for seed in seeds]
                values["/".join(filter(None, (images, row)))] = kept
        near = {m.row: m.of(real).get("") for m in MEASURES if m.higher is None}
        real = {row: value for row, value in near.items() if value is not None}
        return cls(seconds_per_step, steps, values, real)

    @property
    def seconds(self) -> list[float]:
        """The training time of each measurement."""
        return [step * self.seconds_per_step for step in self.steps]

    def at(self, measure: str, second: float) -> list[float]:
        """Returns each seed's value at a time, interpolated linearly between measurements."""
        return [float(np.interp(second, self.seconds, v)) for v in self.values[measure]]

    def reached(self, measure: Measure, wanted: float) -> float | None:
        """Returns the first measured time at which the median over seeds is as good, or None."""
        medians = (median(x) for x in zip(*self.values[measure.row], strict=True))
        times = zip(self.seconds, medians, strict=True)
        return next((t for t, value in times if measure.reaches(value, wanted)), None)


def read(report: Mapping[str, Any]) -> dict[str, Curves]:
    """Returns the curves of a report of `quality`, by recipe."""
    return {
        name: Curves(
            found["seconds_per_step"],
            found["steps"],
            # JSON has no NaN.
            {
                row: [[math.nan if x is None else x for x in seed] for seed in seeds]
                for row, seeds in found["values"].items()
            },
            found.get("real", {}),
        )
        for name, found in report["recipes"].items()
    }


def median(values: Iterable[float]) -> float:
    """Returns the median of the values that are defined; NaN without any."""
    defined = [x for x in values if math.isfinite(x)]
    return statistics.median(defined) if defined else math.nan


def spread(values: Sequence[float]) -> str:
    """Formats median and range over seeds, and how many of them have a value if not all do."""
    defined = [x for x in values if math.isfinite(x)]
    if not defined:
        return DASH
    middle = statistics.median(defined)
    digits = sum(abs(middle) < limit for limit in (1, 10, 100))
    low, high = (f"{x:.{digits}f}" for x in (min(defined), max(defined)))
    some = "" if len(defined) == len(values) else f", {len(defined)} of {len(values)} seeds"
    return f"{middle:.{digits}f}" + (f" ({low} to {high}{some})" if len(values) > 1 else "")


def shared(measure: Measure, found: Mapping[str, Curves]) -> bool:
    """Returns whether all recipes have a measure."""
    return all(measure.row in c.values for c in found.values())


def equal_time(found: Mapping[str, Curves]) -> float:
    """Returns the seconds of training after which recipes are compared.

    That is when the challenger ends, which is trained for as long as another recipe and whose
    learning rate is 0 then; without it, when `official` ends, or else when the last recipe does.
    """
    ends = {name: c.seconds[-1] for name, c in found.items()}
    return ends.get(CHALLENGER) or ends.get("official") or max(ends.values())


def after_equal_time(measure: Measure, found: Mapping[str, Curves]) -> dict[str, list[float]]:
    """Returns the seeds' values of each recipe after equal time; none are extrapolated."""
    end = equal_time(found)
    return {name: c.at(measure.row, end) for name, c in found.items()}


def winner(
    measure: Measure, found: Mapping[str, Curves], one: str = "best", other: str = "official"
) -> str | None:
    """Returns which of two recipes is ahead after equal time, or None if neither is.

    Neither is in a measure that is undefined for a seed, or if one of them has a single seed.
    """
    values = after_equal_time(measure, found)
    x, y = values[one], values[other]
    if min(len(x), len(y)) < 2 or measure.higher is None:
        return None
    test = mannwhitneyu(x, y, alternative="two-sided", method="exact")
    # The smallest that so few seeds allow, but for rounding.
    least = 1.001 * 2 / math.comb(len(x) + len(y), len(x))
    if not test.pvalue <= max(LEVEL, least):
        return None
    # The statistic counts the pairs in which x is larger.
    return one if (test.statistic > len(x) * len(y) / 2) == measure.higher else other


def title(recipe: str) -> str:
    """Returns the name of a recipe in a table."""
    return "CycleGAN" if recipe == CHALLENGER else f"`{recipe}`"


def table(found: Mapping[str, Curves]) -> str:
    """Writes a Markdown table: each recipe at its end, and `best` compared with `official`."""
    shown = [m for m in MEASURES if shared(m, found)]
    rows = [["", *(f"{title(name)}, {c.steps[-1]:,} steps" for name, c in found.items())]]
    for m in shown:
        real = [f" (real ones: {c.real[m.row]:.3g})" for c in found.values() if m.row in c.real]
        ends = (spread(c.at(m.row, math.inf)) for c in found.values())
        rows.append(["".join([m.title, *real[:1]]), *ends])
    if {"official", "best"} <= set(found):
        end = equal_time(found)
        steps = end / found["best"].seconds_per_step
        rows[0].append(f"`best` after the same {end:,.0f} s ({steps:,.0f} steps)")
        rows[0].append("`best` reaches `official`'s final value")
        for row, m in zip(rows[1:], shown, strict=True):
            row += [spread(after_equal_time(m, found)["best"]), _sooner(m, found)]
    return markdown(rows)


def _sooner(measure: Measure, found: Mapping[str, Curves]) -> str:
    if measure.higher is None:
        return ""
    official = found["official"]
    wanted = median(v[-1] for v in official.values[measure.row])
    reached = found["best"].reached(measure, wanted)
    if reached is None:
        return "never"
    first = reached == found["best"].seconds[0]
    return f"{'at least ' if first else ''}{official.seconds[-1] / reached:.1f} times sooner"


def table_after_equal_time(
    reports: Mapping[str, Any], names: Sequence[str], measures: Sequence[Measure] = MEASURES
) -> str:
    """Writes recipes after equal time: a row per measure, for each report a column per recipe.

    What is bold is ahead of all others in the row of the same report.

    Args:
      reports: of `quality`, by the name of the task.
      names: of the recipes.
      measures: what is shown, as far as a report has it.
    """
    found = {task: read(report) for task, report in reports.items()}
    rows = [["", *(f"{task}: {title(name)}" for task in found for name in names)]]
    for m in measures:
        cells = [_bold(m, c, names) if shared(m, c) else [""] * len(names) for c in found.values()]
        if any(cell for of_task in cells for cell in of_task):
            rows.append([f"{m.title}, {m.better}", *(x for of_task in cells for x in of_task)])
    return markdown(rows)


def _bold(measure: Measure, found: Mapping[str, Curves], names: Sequence[str]) -> list[str]:
    values = after_equal_time(measure, found)
    texts = []
    for name in names:
        others = [other for other in names if other != name]
        ahead = all(winner(measure, found, name, other) == name for other in others)
        text = spread(values[name])
        texts.append(f"**{text}**" if ahead else text)
    return texts


def draw(found: Mapping[str, Curves], path: Path) -> None:
    """Draws the curves against time: medians and the range over seeds."""
    shown = [m for m in MEASURES if shared(m, found)]
    columns = 3
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, m in zip(axes, shown, strict=False):
        for name, c in found.items():
            by_step = list(zip(*c.values[m.row], strict=True))
            [line] = axis.plot(c.seconds, [median(v) for v in by_step], label=name)
            low, high = np.fmin.reduce(by_step, axis=1), np.fmax.reduce(by_step, axis=1)
            axis.fill_between(c.seconds, low, high, alpha=0.2, color=line.get_color())
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
