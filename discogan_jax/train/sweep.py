"""Trains and measures variants of a config, and compares them in one table.

The folder of a sweep holds a run directory per variant and seed, `sweep.md` with every measure, the
main ones first, and `sweep.json` with everything. Finished runs there are skipped, unfinished ones
are resumed.
"""

import math
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax

from discogan_jax.config import build
from discogan_jax.config.measures import better, headlines
from discogan_jax.config.schema import Data, Settings
from discogan_jax.errors import DivergedError, InputError, InterruptedRunError
from discogan_jax.evaluation import evaluate, held_out
from discogan_jax.evaluation.table import DASH, aligned, notes, value_text
from discogan_jax.evaluation.table import markdown as markdown_table
from discogan_jax.files import find_json, read_json, replacing, require_ours, write_json
from discogan_jax.runs import layout, manifest, pictures, report
from discogan_jax.runs import run as runs_run
from discogan_jax.train import writers
from discogan_jax.train.loop import train_and_evaluate
from discogan_jax.train.patience import why_ended
from discogan_jax.train.variants import Job, Variant, as_text, name_of, plan

TABLE_FILE = "sweep.md"
RESULTS_FILE = "sweep.json"
_RESULTS = {
    "runs": [
        {
            "changes": dict,
            "directory": str,
            "measures": dict,
            "why?": (str, type(None)),
            "seconds?": (float, type(None)),
        }
    ]
}

Train = Callable[[Settings, Path], Any]
Measure = Callable[[Path], None]


@dataclass(frozen=True)
class Outcome:
    """The result of one run of a sweep.

    Attributes:
      job: the run.
      measures: what was measured on held-out images, by name; empty without a result.
      error: why there is no result, or "".
      seconds: duration of training and measuring, if neither was interrupted.
      reasons: why measures are undefined, by name.
      held_out: number of measured pictures by domain; earlier versions did not write it.
    """

    job: Job
    measures: Mapping[str, float]
    error: str = ""
    seconds: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    held_out: Mapping[str, int] = field(default_factory=dict)


def measuring() -> Measure:
    """Makes the function that measures runs on their held-out images.

    Returns:
      A function of a run directory. It writes `evaluation.json` for the last checkpoint, if
      training has not. Runs on the same images share what is fitted to them.
    """
    references: dict[Data, evaluate.References] = {}

    def measure(directory: Path) -> None:
        run = runs_run.open(directory)
        if _is_measured(directory, run.settings, run.step):
            return
        images, loaded = _images_of(run.settings), run.images()
        if images not in references:
            references[images] = evaluate.fit_references(run.settings, loaded)
        found = references[images].of_run(run, loaded)
        evaluate.write(run, evaluate.measure(run, found), found)

    return measure


def _images_of(s: Settings) -> Data:
    """Returns equal values for runs on the same images, however these are fed."""
    return replace(s.data, batch_size=1, flip=False, jitter=0.0, feed="auto")


def require_measurable(jobs: Iterable[Job]) -> None:
    """Refuses runs that could not be measured once they are trained.

    Raises:
      InputError: their images cannot be used, or too few are held out.
    """
    for job in {_images_of(job.settings): job for job in jobs}.values():
        loaded = build.images(job.settings, pictures.known(job.directory))
        try:
            held_out.choose(job.settings, loaded)
        except InputError as error:
            raise InputError(
                f"a sweep measures its runs, and that is not possible: {error}"
            ) from error


def run(
    config: Mapping[str, Any],
    variants: Iterable[Variant],
    folder: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    train: Train = train_and_evaluate,
    measure: Measure | None = None,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Trains and measures every variant with every seed, one after the other.

    The table and the results are written after each run. A run that diverges leaves a remark in
    them; it is tried again when the sweep is.

    Args:
      config: the config that the variants change.
      variants: changes of it, see `plan`.
      folder: the folder of the sweep, which need not exist.
      seeds: the seeds of each variant, see `plan`.
      train: trains a run in a directory, or resumes it.
      measure: measures a trained run and writes `evaluation.json`; `measuring()` if None.
      say: prints a line.

    Returns:
      An outcome of each run, variant by variant.

    Raises:
      InputError: `plan` raises it, the data cannot be used, the results in the folder have other
        runs, or it has files of other programs with the names of the table or the results.
      OSError: the folder cannot be made.
      InterruptedRunError: a signal arrived; the same call goes on.
    """
    folder = Path(folder)
    jobs = plan(config, variants, folder, seeds)
    if (folder / layout.CONFIG_FILE).exists():
        raise InputError(f"{folder} is a run, no folder of several: name another --workdir")
    require_ours_in(folder, TABLE_FILE, RESULTS_FILE, runs=[job.directory for job in jobs])
    before = find_json(folder / RESULTS_FILE, _RESULTS) or {"runs": []}
    earlier = {record["directory"]: record for record in before["runs"]}
    _require_all_of(earlier, jobs, folder)
    outcomes = [_so_far(job, earlier.get(job.directory.name, {})) for job in jobs]
    if measure is None:
        require_measurable(outcome.job for outcome in outcomes if outcome.error)
        measure = measuring()
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, outcomes)
    try:
        for i, job in enumerate(jobs):
            number = f"run {i + 1} of {len(jobs)}: {job.label}"
            if not outcomes[i].error:
                say(f"{number}: finished before, skipped")
                continue
            say(number)
            outcomes[i] = _do(job, train, measure, say)
            _write(folder, outcomes)
            jax.clear_caches()  # compiled programs of finished runs pile up: 100 MB each
    except KeyboardInterrupt as error:  # a first signal between trainings, a second one in one
        raise InterruptedRunError(
            f"Stopped in {folder}; the same command goes on from there",
            next(iter(error.args), signal.SIGINT),
        ) from None
    return outcomes


def require_ours_in(folder: Path, *names: str, runs: Sequence[Path] = ()) -> None:
    """Refuses to replace files in a folder that has neither results nor runs of a sweep.

    Args:
      folder: the folder.
      *names: names of the files.
      runs: run directories of the sweep.

    Raises:
      InputError: one of them is there.
    """

    def is_sweep(_: Path) -> bool:
        begun = any((run / layout.CONFIG_FILE).is_file() for run in runs)
        return begun or bool(read_json(folder / RESULTS_FILE, _RESULTS))

    for name in names:
        require_ours(folder / name, is_sweep, overwrite=None)


def _require_all_of(
    earlier: Mapping[str, Mapping[str, Any]], jobs: Sequence[Job], folder: Path
) -> None:
    """Refuses a sweep whose table would lack runs that the table in its folder has.

    Args:
      earlier: the results in the folder, by run directory.
      jobs: the runs of the sweep.
      folder: the folder.
    """
    planned = {job.directory.name for job in jobs}
    lost = [
        name
        for name, record in earlier.items()
        if name not in planned and (record["measures"] or (folder / name).exists())
    ]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise InputError(
            f"{folder / RESULTS_FILE} has runs of another sweep ({lost[0]}{more}), which would be "
            "lost: name another --workdir, or their values, too"
        )


def overview(outcomes: Sequence[Outcome]) -> str:
    """Returns the measures to look at first as text, in a table for each direction, see `table`."""
    parts = []
    for title, names in _headlines(outcomes).items():
        head, *rest = _cells(outcomes, [*names])
        lines = [[names.get(x, "") for x in head], [x.rpartition("/")[2] for x in head], *rest]
        parts += [title, aligned(lines)]
    cells = _cells(outcomes)
    return "\n".join([*parts, *_notes(outcomes, cells)] if parts else [table(outcomes)])


def page(outcomes: Sequence[Outcome]) -> str:
    """Returns the outcomes as Markdown: the measures to look at first, all measures folded."""
    parts = []
    for title, names in _headlines(outcomes).items():
        head, *rest = _cells(outcomes, [*names])
        named = [f"{names[x]} ({x.rpartition('/')[2]})" if x in names else x for x in head]
        parts += [f"## {title}", markdown_table([named, *rest])]
    if not parts:
        return markdown(outcomes)
    folded = "<details><summary>All measures</summary>", markdown(outcomes), "</details>"
    return "\n\n".join([*parts, *folded])


def _headlines(outcomes: Sequence[Outcome]) -> dict[str, dict[str, str]]:
    """Returns the measures to look at first, see `measures.headlines`."""
    there = {name for o in outcomes for name in o.measures}
    return headlines(*outcomes[0].job.settings.domains, there) if there else {}


def table(outcomes: Sequence[Outcome], measures: Sequence[str] | None = None) -> str:
    """Returns the outcomes as text: a line per variant, a column per measure.

    Runs that differ in the seed alone share a line: mean ± standard deviation (that of a sample)
    over the `n` that are finished; a dash if one is undefined. Notes follow below.

    Args:
      outcomes: the outcomes from `run`.
      measures: names of the measures to show, in this order; None for all.
    """
    head, *rest = cells = _cells(outcomes, measures)
    # The name of a measure is placed below that of its images.
    names = [name.rpartition("/") for name in head]
    lines = [[images for images, _, _ in names], [name for _, _, name in names], *rest]
    return "\n".join([aligned(lines), *_notes(outcomes, cells)])


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Returns the outcomes as a Markdown table of all measures, see `table`."""
    cells = _cells(outcomes)
    return "\n\n".join([markdown_table(cells), *_notes(outcomes, cells)])


def _cells(outcomes: Sequence[Outcome], measures: Sequence[str] | None = None) -> list[list[str]]:
    """The head and the lines of the table."""
    # Runs that differ in the seed alone share a line.
    groups: dict[str, list[Outcome]] = {}
    for o in outcomes:
        groups.setdefault(o.job.variant.name, []).append(o)
    if measures is None:
        measures = [*dict.fromkeys(name for o in outcomes for name in o.measures)]
    variants = [group[0].job.variant for group in groups.values()]
    # Variants of --sweep have a column for each field, others one for their names.
    if all(v.name == name_of(v.changes) for v in variants):
        columns = {
            field: [as_text(v.changes[field]) if field in v.changes else "" for v in variants]
            for field in dict.fromkeys(field for v in variants for field in v.changes)
        }
    else:
        columns = {"variant": [v.name for v in variants]}
    # Number of finished seeds, measures, errors.
    if any(o.job.seed is not None for o in outcomes):
        columns["n"] = [str(sum(not o.error for o in group)) for group in groups.values()]
    for name in measures:
        found = [[o.measures[name] for o in g if name in o.measures] for g in groups.values()]
        columns[name] = [_mean(values, better(name)) for values in found]
    if any(o.error for o in outcomes):
        columns["remark"] = [_remark(group) for group in groups.values()]
    return [[*columns], *(list(row) for row in zip(*columns.values(), strict=True))]


def _notes(outcomes: Sequence[Outcome], cells: Sequence[Sequence[str]]) -> list[str]:
    """Explains ± and dashes, and says on how many pictures the runs are compared."""
    found = []
    if any(" ± " in cell for row in cells for cell in row):
        found.append("±: standard deviation over seeds")
    reasons = {n: why for o in outcomes for n, why in o.reasons.items() if n in cells[0]}
    found += notes(reasons, f"undefined ({DASH})")
    counted = [", ".join(f"{n} {name}" for name, n in o.held_out.items()) for o in outcomes]
    if counts := dict.fromkeys(filter(None, counted)):
        found.append(f"held-out pictures: {'; '.join(counts)}")
    if len(counts) > 1:
        found[-1] += ". Distances of sets fall with their numbers: compare equal ones"
    return found


def _mean(values: Sequence[float], better: str | None) -> str:
    if not values:
        return ""
    mean = statistics.fmean(values)
    if len(values) == 1 or not math.isfinite(mean):
        return value_text(mean, better)
    return f"{mean:.4g} ± {statistics.stdev(values):.2g}"


def _remark(group: Sequence[Outcome]) -> str:
    """Why runs of a variant have no numbers, each error once."""
    seeds: dict[str, list[str]] = {}
    for o in group:
        if o.error:
            seed = "" if o.job.seed is None else f"seed {o.job.seed}"
            seeds.setdefault(o.error, []).append(seed)
    return "; ".join(f"{', '.join(who)}: {why}".removeprefix(": ") for why, who in seeds.items())


def _so_far(job: Job, earlier: Mapping[str, Any]) -> Outcome:
    """The outcome that files of an earlier sweep have of a run."""
    step = _last_step(job)
    trained = why_ended(job.directory, job.settings.train, step)
    if trained and _is_measured(job.directory, job.settings, step):
        return _measured(job, earlier.get("seconds"))
    return Outcome(job, {}, earlier.get("why") or "not finished yet")


def _last_step(job: Job) -> int:
    """The step of the last checkpoint of a run; 0 if there is none."""
    return max(manifest.steps(job.directory / layout.CHECKPOINTS), default=0)


def _is_measured(directory: Path, s: Settings, step: int) -> bool:
    """Whether the evaluation of a run is of this step and of what translates."""
    report = layout.find(directory, layout.EVALUATION_FILE)[0] or {}
    parameters = "averaged" if s.optim.ema_decay else "raw"
    # Rows that an earlier version wrote have no names.
    return (report.get("step"), report.get("parameters")) == (step, parameters) and all(
        "name" in row for row in report.get("rows", [{}])
    )


def _measured(job: Job, seconds: float | None) -> Outcome:
    """The outcome of a run that has its evaluation."""
    found, problems = layout.find(job.directory, layout.EVALUATION_FILE)
    if found is None:
        why = (problems or [f"it has no {layout.EVALUATION_FILE}"])[0]
        return Outcome(job, {}, f"not measured: {why}")
    rows = found["rows"]
    measures = {r["name"]: math.nan if r["value"] is None else r["value"] for r in rows}
    reasons = {r["name"]: r["reason"] for r in rows if r.get("reason")}
    return Outcome(job, measures, "", seconds, reasons, found.get("held_out", {}))


def _do(job: Job, train: Train, measure: Measure, say: Callable[[str], None]) -> Outcome:
    """Trains and measures one run."""
    resumed = _last_step(job) > 0
    start = time.monotonic()
    try:
        train(job.settings, job.directory)
        measure(job.directory)
        outcome = _measured(job, None if resumed else time.monotonic() - start)
    except DivergedError as error:
        say(str(error))
        outcome = Outcome(job, {}, f"diverged at {str(error).partition(':')[0]}")
    report.refresh(job.directory)  # with what was measured
    # Trackers compare the runs by what they differ in.
    hparams = {**job.variant.changes, "seed": job.settings.seed}
    measured = {f"eval/{name}": value for name, value in outcome.measures.items()}
    trackers = job.settings.train.trackers
    writers.write_hparams(job.directory, hparams, _last_step(job), measured, trackers)
    return outcome


def _write(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Writes the results and the table: with the results there, the table is known as ours."""
    records = [
        {
            "name": o.job.variant.name,
            "changes": dict(o.job.variant.changes),
            "seed": o.job.seed,
            "directory": o.job.directory.name,
            "measures": dict(o.measures),
            "undefined": dict(o.reasons),
            "why": o.error,
            "seconds": o.seconds,
        }
        for o in outcomes
    ]
    write_json(folder / RESULTS_FILE, {"runs": records})
    with replacing(folder / TABLE_FILE) as temporary:
        temporary.write_text(page(outcomes) + "\n")
