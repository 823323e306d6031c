"""Many runs of one config with some fields changed: each trained, measured, put into one table.

A sweep's folder holds a run directory per variant and seed, `sweep.md` with every measure and
`sweep.json` with everything. What is finished there is not done again; what is half done goes on.
"""

import math
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax

from discogan_jax import runs
from discogan_jax.config import build
from discogan_jax.config.schema import Data, Settings, from_config
from discogan_jax.errors import DivergedError, InputError, InterruptedRunError
from discogan_jax.evaluation import evaluate
from discogan_jax.files import find_json, replacing, write_json
from discogan_jax.runs import layout, manifest
from discogan_jax.train import train_and_evaluate, writers
from discogan_jax.train.variants import Job, Variant, described, plan, said

TABLE_FILE = "sweep.md"
RESULTS_FILE = "sweep.json"

# Of each translation, what a terminal has room for; the files have every measure.
SHORT = ("psnr", "sliced_wasserstein", "hue_error")

Train = Callable[[Mapping[str, Any], Path], Any]
Measure = Callable[[Path], Mapping[str, float]]


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
      variant: of the job.
      seed: of the job.
      directory: of the job.
      measures: what held-out images say, by name; empty if there is nothing yet.
      why: why there is nothing, or "".
      seconds: what training and measuring took, where one go did it all.
    """

    variant: Variant
    seed: int | None
    directory: Path
    measures: Mapping[str, float]
    why: str = ""
    seconds: float | None = None


def measuring() -> Measure:
    """Makes what measures runs on their held-out images.

    Returns:
      Of a run directory, the measures of its last checkpoint by name; writes `evaluation.json`
      there, if its training has not done so. What is to be learnt of real images first is learnt
      once for all runs on the same ones.
    """
    references: dict[Data, evaluate.References] = {}

    def measure(directory: Path) -> Mapping[str, float]:
        run = runs.open(directory)
        found = _measured(directory, run.settings, run.step)
        if found is not None:
            return found
        images = replace(run.settings.data, batch_size=1, flip=False, feed="auto")
        if images not in references:
            loaded = build.images(run.settings)
            references[images] = evaluate.fit_references(run.settings, loaded)
        rows = evaluate.measure(run, references[images])
        evaluate.write(run, rows)
        return {row.name: row.value for row in rows}

    return measure


def run(
    config: Mapping[str, Any],
    variants: Iterable[Variant],
    folder: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    train: Train = train_and_evaluate,
    measure: Measure | None = None,
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Trains and measures every variant with every seed, one after the other.

    The table and the results are written anew after each run. A run that diverges leaves a remark
    there; it is tried again when the sweep is.

    Args:
      config: what the variants change.
      variants: see `plan`.
      folder: of the sweep; made if it is not there.
      seeds: see `plan`.
      train: trains a config in a directory, or goes on with it.
      measure: measures a trained run, `measuring` if None; what it leaves in `evaluation.json` is
        believed later on.
      clock: seconds.
      say: takes lines for people.

    Returns:
      What came of each, variant by variant.

    Raises:
      InputError: see `plan`, or the data cannot be used.
      InterruptedRunError: SIGTERM or Ctrl-C came; the same call goes on.
    """
    folder, measure = Path(folder), measure or measuring()
    jobs = plan(config, variants, folder, seeds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--workdir={folder} cannot be written ({error.strerror}): name another one"
        ) from error
    earlier = {r["directory"]: r for r in (find_json(folder / RESULTS_FILE) or {}).get("runs", [])}
    outcomes = [_so_far(job, earlier.get(job.directory.name, {})) for job in jobs]
    _write(folder, outcomes)
    try:
        for i, job in enumerate(jobs):
            number = f"run {i + 1} of {len(jobs)}: {job.label}"
            if not outcomes[i].why:
                say(f"{number}: finished before, skipped")
                continue
            say(number)
            outcomes[i] = _do(job, train, measure, clock=clock, say=say)
            _write(folder, outcomes)
            jax.clear_caches()  # compiled programs of finished runs pile up: 100 MB each
    except KeyboardInterrupt as error:  # the first one between two trainings, the second in one
        raise InterruptedRunError(
            f"Stopped in {folder}; the same command goes on from there",
            next(iter(error.args), signal.SIGINT),
        ) from None
    return outcomes


def table(outcomes: Sequence[Outcome], measures: Sequence[str] | None = None) -> str:
    """The outcomes as text: a line per variant, a column per measure.

    Runs that differ in the seed alone are one line: mean ± standard deviation (that of a sample)
    over the `n` that are finished.

    Args:
      outcomes: from `run`.
      measures: which ones, in this order; None for all.
    """
    (*head, last), *rest = _cells(outcomes, measures)
    # A measure's name stands under that of its images.
    names = [name.rpartition("/") for name in (*head, last)]
    cells = [[before for before, _, _ in names], [after for _, _, after in names], *rest]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def markdown(outcomes: Sequence[Outcome], measures: Sequence[str] | None = None) -> str:
    """`table`, as Markdown."""
    head, *rest = _cells(outcomes, measures)
    lines = [
        [cell.replace("|", "\\|") for cell in row] for row in (head, ["---"] * len(head), *rest)
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def short(outcomes: Iterable[Outcome]) -> list[str]:
    """Names of the measures to look at first."""
    names = dict.fromkeys(name for o in outcomes for name in o.measures)
    return [name for name in names if name.rpartition("/")[2] in SHORT]


def _cells(outcomes: Sequence[Outcome], measures: Sequence[str] | None) -> list[list[str]]:
    """Head and lines of the table."""
    groups: dict[str, list[Outcome]] = {}
    for o in outcomes:
        groups.setdefault(o.variant.name, []).append(o)
    if measures is None:
        measures = [*dict.fromkeys(name for o in outcomes for name in o.measures)]
    variants = [group[0].variant for group in groups.values()]
    if all(v.name == described(v.changes) for v in variants):
        columns = {
            field: [said(v.changes[field]) if field in v.changes else "" for v in variants]
            for field in dict.fromkeys(field for v in variants for field in v.changes)
        }
    else:
        columns = {"variant": [v.name for v in variants]}
    if any(o.seed is not None for o in outcomes):
        columns["n"] = [str(sum(not o.why for o in group)) for group in groups.values()]
    for name in measures:
        found = [[o.measures[name] for o in g if name in o.measures] for g in groups.values()]
        columns[name] = [_mean(values) for values in found]
    if any(o.why for o in outcomes):
        columns["remark"] = [_remark(group) for group in groups.values()]
    return [[*columns], *(list(row) for row in zip(*columns.values(), strict=True))]


def _mean(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean = statistics.fmean(values)
    if len(values) == 1 or not math.isfinite(mean):
        return f"{mean:.4g}"
    return f"{mean:.4g} ± {statistics.stdev(values):.2g}"


def _remark(group: Sequence[Outcome]) -> str:
    """Why runs of a variant have no numbers, each reason once."""
    seeds: dict[str, list[str]] = {}
    for o in group:
        if o.why:
            seeds.setdefault(o.why, []).append("" if o.seed is None else f"seed {o.seed}")
    return "; ".join(f"{', '.join(who)}: {why}".removeprefix(": ") for why, who in seeds.items())


def _so_far(job: Job, earlier: Mapping[str, Any]) -> Outcome:
    """What the files say of a job."""
    where = job.variant, job.seed, job.directory
    s = from_config(job.config)
    saved = manifest.steps(job.directory / layout.CHECKPOINTS)
    if saved and saved[-1] >= s.train.steps:
        found = _measured(job.directory, s, saved[-1])
        if found is not None:
            return Outcome(*where, found, seconds=earlier.get("seconds"))
    return Outcome(*where, {}, earlier.get("why") or "not finished yet")


def _measured(directory: Path, s: Settings, step: int) -> dict[str, float] | None:
    """The measures of a run's evaluation, if it is of this step and of what translates."""
    report = layout.read_evaluation(directory) or {}
    rows = report.get("rows", [])
    parameters = "averaged" if s.optim.ema_decay else "raw"
    if (report.get("step"), report.get("parameters")) != (step, parameters):
        return None
    if not all("name" in row for row in rows):  # of an earlier version
        return None
    return {r["name"]: math.nan if r["value"] is None else r["value"] for r in rows}


def _do(
    job: Job,
    train: Train,
    measure: Measure,
    *,
    clock: Callable[[], float],
    say: Callable[[str], None],
) -> Outcome:
    where = job.variant, job.seed, job.directory
    at_once = not manifest.steps(job.directory / layout.CHECKPOINTS)
    began = clock()
    try:
        train(job.config, job.directory)
    except DivergedError as error:
        say(str(error))
        outcome = Outcome(*where, {}, f"diverged at {str(error).partition(':')[0]}")
    else:
        measures = measure(job.directory)
        outcome = Outcome(*where, measures, seconds=clock() - began if at_once else None)
    s = from_config(job.config)
    hparams = {**job.variant.changes, "seed": s.seed}
    measured = {f"eval/{name}": value for name, value in outcome.measures.items()}
    writers.write_hparams(job.directory, hparams, s.train.steps, measured)
    return outcome


def _write(folder: Path, outcomes: Sequence[Outcome]) -> None:
    with replacing(folder / TABLE_FILE) as temporary:
        temporary.write_text(markdown(outcomes))
    records = [
        {
            "name": o.variant.name,
            "changes": dict(o.variant.changes),
            "seed": o.seed,
            "directory": o.directory.name,
            "measures": {k: v if math.isfinite(v) else None for k, v in o.measures.items()},
            "why": o.why,
            "seconds": o.seconds,
        }
        for o in outcomes
    ]
    write_json(folder / RESULTS_FILE, {"runs": records})
