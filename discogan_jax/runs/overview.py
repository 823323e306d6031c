"""The status of the runs in a folder, from their files; without JAX, and without their states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from discogan_jax.errors import InputError
from discogan_jax.files import folder_size, numbers, read_json, read_lines
from discogan_jax.runs import best, layout, lock, manifest
from discogan_jax.runs.best import Best
from discogan_jax.runs.layout import CHECKPOINTS, CONFIG_FILE, EVALUATION_FILE, METRICS_FILE

TAIL = 2**18
"""Bytes of the metrics that are read, from their end."""

_TRAIN = {"steps": int, "keep_best?": (str, type(None)), "patience?": int}

RUN_FILES = (CONFIG_FILE, METRICS_FILE, CHECKPOINTS)
"""Names that make a folder a run directory: one of them is enough."""

State = Literal["training", "finished", "stopped", "diverged", "damaged", "no run"]


@dataclass(frozen=True)
class RunStatus:
    """The status of a run.

    Attributes:
      path: the run directory.
      name: a shorter name, for people.
      state: ``training`` if a process holds its lock, ``finished`` at its last step or where
        ``train.patience`` ended it, ``diverged`` if a loss was not finite, ``damaged`` if it cannot
        be resumed, ``no run`` if the directory has no file of a run, else ``stopped``.
      remarks: what else a user should know, in sentences.
      step: the last step of the metrics or the checkpoints.
      steps: the step at which training ends.
      checkpoint: step of the newest checkpoint that seems intact.
      steps_per_second: speed at the last step.
      losses: losses at the last step, by name.
      best: the best step by ``train.keep_best``, if there is one.
      best_evaluated: whether an evaluation of the best step is in a file.
      evaluated: step of the evaluation.
      evaluation: values of the evaluation, by name.
      written: time of the last write, in seconds since 1970.
      disk: bytes of its files, without what links in it lead to.
    """

    path: Path
    name: str
    state: State
    remarks: Sequence[str] = ()
    step: int | None = None
    steps: int | None = None
    checkpoint: int | None = None
    steps_per_second: float | None = None
    losses: Mapping[str, float] = field(default_factory=dict)
    best: Best | None = None
    best_evaluated: bool = False
    evaluated: int | None = None
    evaluation: Mapping[str, float] = field(default_factory=dict)
    written: float | None = None
    disk: int | None = None


def find_runs(folder: Path) -> list[RunStatus]:
    """Reads the status of all runs in a folder, including those of its sweeps.

    Args:
      folder: folder of run directories, or a run directory.

    Returns:
      The runs, by name; a folder directly in it that has none is reported as "no run".

    Raises:
      InputError: there is no such folder.
    """
    if not folder.is_dir():
        problem = "is no folder" if folder.exists() else "is not there; training makes it"
        raise InputError(f"{folder} {problem}. Name the folder that has the run directories.")
    if _is_run(folder):
        return [_status(folder, folder.name or str(folder))]
    found: list[RunStatus] = []
    for path in _folders(folder):
        # Those of a sweep are in a folder of their own.
        runs = [path] if _is_run(path) else [run for run in _folders(path) if _is_run(run)]
        found += [_status(run, run.relative_to(folder).as_posix()) for run in runs]
        if not runs:
            found.append(RunStatus(path, path.name, "no run", (f"it has no {CONFIG_FILE}",)))
    return found


def _status(path: Path, name: str) -> RunStatus:
    """Reads the status of a run; another process may be training there."""
    try:
        return _read_status(path, name)
    except OSError as error:
        remark = f"{error.filename or path} cannot be read ({error.strerror})"
    except InputError as error:  # a pipe, a device or a folder in place of a file
        remark = str(error)
    return RunStatus(path, name, "damaged", (remark,))


def _read_status(path: Path, name: str) -> RunStatus:
    # What the files hold.
    holder = lock.holder(path)
    steps, measure, patience, config_problems = _schedule(path / CONFIG_FILE)
    checkpoint, lost, checkpoint_problems = _checkpoints(path / CHECKPOINTS, bool(holder))
    evaluation, evaluation_problems = layout.find(path, EVALUATION_FILE)
    lines = read_lines(path / METRICS_FILE, TAIL)
    last = lines[-1] if lines else {}
    trained = _last_with("gen_loss", lines)
    found = best.find(path, measure, upto=checkpoint or 0)
    ending = found.ending(patience, checkpoint or 0, steps or 0) if found else ""

    measured = found is not None and (
        (evaluation or {}).get("step") == found.step
        or layout.evaluation_file(found.step) in layout.evaluation_files(path)
    )

    # Training comes first: the run may be repairing its damage at this moment.
    state: State = "stopped"
    if holder:
        state = "training"
    elif config_problems or lost:
        state = "damaged"
    elif "diverged" in last:
        state = "diverged"
    elif checkpoint is not None and steps is not None and (ending or checkpoint >= steps):
        state = "finished"

    # What matters most comes first.
    remarks = [f"{holder} trains there"] if holder else []
    remarks += config_problems + checkpoint_problems
    if lines and not manifest.steps(path / CHECKPOINTS):
        remarks.append("it has no checkpoint")
    remarks += [ending] if ending and state == "finished" else []
    if found is not None and found.damaged:
        remarks.append(str(found))
    if state == "diverged":
        remarks.append(f"a loss was not finite at step {last['step']:,}")
    if _last_with("collapse_alarm", lines).get("collapse_alarm"):
        remarks.append("translations hardly differ from each other: it may have collapsed")
    return RunStatus(
        path=path,
        name=name,
        state=state,
        remarks=remarks + evaluation_problems,
        step=max(last.get("step", 0), checkpoint or 0),
        steps=steps,
        checkpoint=checkpoint,
        steps_per_second=trained.get("steps_per_second"),
        losses={k: v for k, v in trained.items() if k.endswith("_loss")},
        best=found,
        best_evaluated=measured,
        evaluated=evaluation["step"] if evaluation else None,
        evaluation=_values(evaluation or {}),
        written=_written(path),
        disk=folder_size(path),
    )


def _checkpoints(folder: Path, training: bool) -> tuple[int | None, bool, list[str]]:
    """Returns the newest intact step, whether all are damaged, and the problems.

    Names and sizes of files are compared, not their contents.
    """
    problems = manifest.verify_all(folder, contents=False)
    saved = [*problems]
    intact = [step for step in saved if not problems[step]]
    if training and saved:
        problems[saved[-1]] = []  # it may not be written to its end yet
    damaged = [step for step in saved if problems[step]]
    # Unsealed ones alone are no damage: the first save may have been cut off.
    lost = not intact and any(manifest.is_sealed(folder / str(step)) for step in damaged)
    remarks = []
    if damaged:
        named = f"checkpoint{'s' if len(damaged) > 1 else ''} {', '.join(map(str, damaged))}"
        remarks.append(f"{named} cannot be trusted: {problems[damaged[0]][0]}")
    return max(intact, default=None), lost, remarks


def _is_run(path: Path) -> bool:
    # Unlike `exists`, `glob` raises nothing where there is no permission.
    return any(list(path.glob(name)) for name in RUN_FILES)


def _folders(path: Path) -> list[Path]:
    return sorted(path.glob("[!.]*/"))


def _schedule(path: Path) -> tuple[int | None, str, int, list[str]]:
    """Returns `train.steps`, `keep_best` and `patience` of a config, and its problems."""
    try:
        train = read_json(path, {"train": _TRAIN})["train"]
        return train["steps"], train.get("keep_best") or "", train.get("patience", 0), []
    except FileNotFoundError:
        problem = f"it has no {CONFIG_FILE}"
    except ValueError as error:
        problem = f"{CONFIG_FILE} is damaged ({error})"
    return None, "", 0, [problem]


def _values(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Returns the finite values of an evaluation, by name."""
    return numbers({r["name"]: r["value"] for r in evaluation.get("rows", ()) if "name" in r})


def _last_with(name: str, lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the numbers of the last step that has one of this name."""
    return numbers(next((line for line in reversed(lines) if name in line), {}))


def _written(path: Path) -> float | None:
    there = (found for name in (*RUN_FILES, EVALUATION_FILE) for found in path.glob(name))
    return max((found.stat().st_mtime for found in there), default=None)
