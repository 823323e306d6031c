"""How well a run translates its held-out images: a table of values beside their references."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from discogan_jax import build, runs
from discogan_jax.measures import collapse, colour, kept, realism, reconstruction
from discogan_jax.runs import Run

EVALUATION_FILE = "evaluation.json"
MAX_IMAGES = 500

Images = Float[np.ndarray, "N S S 3"]


@dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
      what: what was measured, with the translation it is of.
      value: the number.
      reference: what to read it beside, or None.
      beside: what the reference is.
      better: ``higher``, ``lower`` or ``nearer`` (to the reference).
    """

    what: str
    value: float
    reference: float | None
    beside: str
    better: str


def evaluate(run: Run, *, raw: bool = False, batch_size: int = 64) -> list[Row]:
    """Measures a run on its held-out images.

    Running statistics are used, and averaged parameters where the run keeps them. Deterministic;
    the batch size changes rounding alone.

    Args:
      run: from `runs.open`.
      raw: use the parameters themselves where averages are kept.
      batch_size: images at a time.

    Raises:
      InputError: the run's images are not to be found.
    """
    state = replace(run.state, ema=None) if raw else run.state
    loaded = build.images(run.settings)
    real = {d: _unit(np.asarray(loaded[d].val[:MAX_IMAGES])) for d in "ab"}
    names = dict(zip("ab", run.domains, strict=True))
    objective = run.gan.objective

    def make(x: Images, direction: str) -> Images:
        return runs.translate(run.gan, state, x, direction, batch_size)

    rows = []
    for direction in ("ab", "ba") if objective == "discogan" else ("ab",):
        source, target = direction[0], direction[1]
        made = make(real[source], direction)
        label = f"{names[source]} → {names[target]}"
        if objective != "gan":
            again = make(made, target + source)
            rows += _reconstruction(real[source], again, f"{label} → {names[source]}")
        rows += _realism(made, real[target], label)
        rows += _collapse(made, real[source], real[target], label)
        if _are_pairs(run):
            count = min(len(made), len(real[target]))
            rows += _against_truth(made[:count], real[target][:count], label)
        rows += _colour(made, real[source], label)
    return rows


def table(rows: list[Row]) -> str:
    """The rows as text, in columns."""
    cells = [("measured on held-out images", "value", "beside", "", "better")]
    cells += [(r.what, _short(r.value), _short(r.reference), r.beside, r.better) for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(5)]
    aligned = [
        f"{a:<{widths[0]}}  {v:>{widths[1]}}  {b:>{widths[2]}}  {c:<{widths[3]}}  {d}"
        for a, v, b, c, d in cells
    ]
    return "\n".join(line.rstrip() for line in aligned)


def report(run: Run, rows: list[Row], *, raw: bool) -> Mapping[str, Any]:
    """What `evaluation.json` holds; numbers that are not finite become null."""
    averaged = run.state.ema is not None and not raw
    measured = [
        {k: _plain(v) if isinstance(v, float) else v for k, v in asdict(row).items()}
        for row in rows
    ]
    return {
        "step": run.step,
        "parameters": "averaged" if averaged else "raw",
        "rows": measured,
        "versions": runs.versions(),
    }


def _reconstruction(x: Images, again: Images, label: str) -> list[Row]:
    found = reconstruction.paired(x, again)
    better = {"mse": "lower", "psnr": "higher", "ssim": "higher"}
    return [
        Row(f"{label}: {name}", float(found[name].mean()), None, "", way)
        for name, way in better.items()
    ]


def _realism(made: Images, real: Images, label: str) -> list[Row]:
    """On halves, so that the reference is one of as many images."""
    count = min(len(made), len(real))
    first, second = realism.halves(count)

    def distance(x: Images, y: Images) -> float:
        return 1000 * realism.sliced_wasserstein(x, y, pooled=True)["mean"]

    value = distance(made[:count][first], real[:count][second])
    reference = realism.between_halves(distance, real[:count])
    what = f"{label}: sliced Wasserstein distance × 1000"
    return [Row(what, value, reference, "halves of real ones", "lower")]


def _collapse(made: Images, source: Images, target: Images, label: str) -> list[Row]:
    first, second = realism.halves(min(len(made), len(target)))
    diversity = collapse.diversity(made, source)
    natural = collapse.diversity(target, source)
    neighbours = collapse.distinct_neighbours(made[first], target[second])
    of_real = realism.between_halves(collapse.distinct_neighbours, target[: 2 * len(first)])
    return [
        Row(f"{label}: diversity of outputs / inputs", diversity, natural, "real ones", "nearer"),
        Row(
            f"{label}: distinct nearest neighbours",
            neighbours,
            of_real,
            "halves of real ones",
            "higher",
        ),
    ]


def _against_truth(made: Images, truth: Images, label: str) -> list[Row]:
    found, shuffled = reconstruction.paired(made, truth), reconstruction.shuffled(made, truth)
    better = {"l1": "lower", "psnr": "higher", "ssim": "higher"}
    return [
        Row(
            f"{label}: {name} to the true pair",
            float(found[name].mean()),
            float(shuffled[name].mean()),
            "wrong pairs",
            way,
        )
        for name, way in better.items()
    ]


def _colour(made: Images, source: Images, label: str) -> list[Row]:
    """What of the foreground's colour is kept; for objects on white."""
    before, after = colour.foreground_colour(source), colour.foreground_colour(made)
    measures: list[tuple[str, Callable[..., float], str, str]] = [
        ("hue error in degrees", kept.hue_error, "hue", "lower"),
        ("correlation of lightness", kept.correlation, "lightness", "higher"),
    ]
    rows = []
    for name, measure, attribute, better in measures:
        found = kept.against_random(measure, getattr(before, attribute), getattr(after, attribute))
        rows.append(Row(f"{label}: {name}", found.value, found.random, "random pairs", better))
    return rows


def _are_pairs(run: Run) -> bool:
    """Whether held-out image i of one domain is the partner of image i of the other."""
    data = run.settings.data
    sides = [source.split("/") for source in (data.source_a, data.source_b)]
    return (
        all(parts[0].startswith("archive:") and len(parts) > 1 for parts in sides)
        and sides[0][0] == sides[1][0]
        and sides[0][1] != sides[1][1]
    )


def _unit(images: np.ndarray) -> Images:
    return images.astype(np.float32) / 255


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
