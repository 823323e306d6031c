"""Which runs lie in a folder, and what their files say of them; no JAX, and no state is read."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from discogan_jax.errors import InputError
from discogan_jax.files import read_json, read_lines
from discogan_jax.runs import lock, manifest
from discogan_jax.runs.layout import CHECKPOINTS, CONFIG_FILE, EVALUATION_FILE, METRICS_FILE

DEPTH = 2
"""So deep below a folder are runs looked for: those of a sweep lie in a folder of their own."""

TAIL = 2**18
"""So many bytes of the numbers are read, from their end."""

MAX = sys.float_info.max

State = Literal["training", "finished", "stopped", "diverged", "damaged", "no run"]


@dataclass(frozen=True)
class Overview:
    """What the files of a run say.

    Attributes:
      path: the directory.
      name: shorter, for people.
      state: ``training`` if a process holds it now, ``finished`` at its last step, ``diverged`` if
        a loss was not finite, ``damaged`` if it cannot go on from what is there, ``no run`` if
        nothing of a run is there, else ``stopped``.
      remarks: what should be known of it beside the numbers.
      step: the last one that something is known of.
      steps: that it is to have.
      checkpoint: step of the last one that seems whole.
      steps_per_second: at the last step.
      losses: at the last step, by name.
      evaluated: step of the evaluation.
      evaluation: values by name.
      written: when something of it was written last, in seconds since 1970.
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
    evaluated: int | None = None
    evaluation: Mapping[str, float] = field(default_factory=dict)
    written: float | None = None


def find(folder: Path) -> list[Overview]:
    """Looks at the runs in a folder, also those of its sweeps.

    Args:
      folder: with run directories, or one itself.

    Returns:
      Runs in the order of their names; a folder directly in it that has none is told as no run.

    Raises:
      InputError: there is no such folder.
    """
    if not folder.is_dir():
        there = "is no folder" if folder.exists() else "is not there; training makes it"
        raise InputError(f"{folder} {there}. Name the folder that has the run directories.")
    if _is_run(folder):
        return [look(folder, folder.name or str(folder))]
    found: list[Overview] = []
    for path in _folders(folder):
        runs = list(_below(path, DEPTH - 1))
        found += [look(run, run.relative_to(folder).as_posix()) for run in runs]
        if not runs:
            found.append(Overview(path, path.name, "no run", (f"it has no {CONFIG_FILE}",)))
    return found


def look(path: Path, name: str) -> Overview:
    """Reads what the files of a run directory say; training may be going on there."""
    try:
        return _look(path, name)
    except OSError as error:
        remark = f"{error.filename or path} cannot be read ({error.strerror})"
        return Overview(path, name, "damaged", (remark,))


def _look(path: Path, name: str) -> Overview:
    holder = lock.holder(path)
    remarks = [f"{holder} trains there"] if holder else []
    steps, complaint = _steps_of_config(path / CONFIG_FILE)
    lines = read_lines(path / METRICS_FILE, TAIL)
    last = lines[-1] if lines else {}
    saved = manifest.steps(path / CHECKPOINTS)
    wrong = _wrong(path / CHECKPOINTS, saved)
    whole = [step for step in saved if step not in wrong]
    if holder:
        wrong.pop(max(saved, default=-1), None)  # it may be about to be whole
    checkpoint = whole[-1] if whole else None
    remarks += complaint
    if wrong:
        named = f"checkpoint{'s' if len(wrong) > 1 else ''} {', '.join(map(str, wrong))}"
        remarks.append(f"{named} cannot be trusted: {next(iter(wrong.values()))}")
    if lines and not saved:
        remarks.append("it has no checkpoint")
    state: State
    if holder:
        state = "training"
    elif complaint or (wrong and not whole and _any_sealed(path / CHECKPOINTS, wrong)):
        state = "damaged"
    elif "diverged" in last:
        state = "diverged"
        remarks.append(f"a loss was not finite at step {last['step']:,}")
    elif checkpoint is not None and steps is not None and checkpoint >= steps:
        state = "finished"
    else:
        state = "stopped"
    if _last_with("collapse_alarm", lines).get("collapse_alarm"):
        remarks.append("translations hardly differ from each other: it may have collapsed")
    trained = _last_with("gen_loss", lines)
    evaluated, evaluation, unread = _evaluation(path / EVALUATION_FILE)
    return Overview(
        path=path,
        name=name,
        state=state,
        remarks=remarks + unread,
        step=max([last.get("step", 0), *whole[-1:]]),
        steps=steps,
        checkpoint=checkpoint,
        steps_per_second=trained.get("steps_per_second"),
        losses={k: v for k, v in trained.items() if k.endswith("_loss")},
        evaluated=evaluated,
        evaluation=evaluation,
        written=_written(path),
    )


def _is_run(path: Path) -> bool:
    """Whether there is anything of a run."""
    try:
        return any((path / name).exists() for name in (CONFIG_FILE, METRICS_FILE, CHECKPOINTS))
    except OSError:  # it may not be looked into
        return False


def _below(path: Path, depth: int) -> Iterator[Path]:
    if _is_run(path):
        yield path
    elif depth:
        for folder in _folders(path):
            yield from _below(folder, depth - 1)


def _folders(path: Path) -> list[Path]:
    try:
        inside = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
    except OSError:
        return []
    return sorted(inside)


def _steps_of_config(path: Path) -> tuple[int | None, list[str]]:
    """How long a run is to be, and what is wrong with its config."""
    try:
        return int(read_json(path)["train"]["steps"]), []
    except FileNotFoundError:
        return None, [f"it has no {CONFIG_FILE}"]
    except (KeyError, TypeError, OverflowError):
        return None, [f"{CONFIG_FILE} is of no run: it has no train.steps"]
    except ValueError as error:
        return None, [f"{CONFIG_FILE} is damaged ({error})"]


def _wrong(folder: Path, steps: Sequence[int]) -> dict[int, str]:
    """What is wrong with checkpoints, as far as names and sizes of files tell."""
    found = {step: manifest.verify(folder / str(step), contents=False) for step in steps}
    return {step: complaints[0] for step, complaints in found.items() if complaints}


def _any_sealed(folder: Path, steps: Iterable[int]) -> bool:
    """Whether there is one that is not trusted although its save had ended."""
    return any(manifest.is_sealed(folder / str(step)) for step in steps)


def _evaluation(path: Path) -> tuple[int | None, dict[str, float], list[str]]:
    """Step and values of an evaluation, and what is wrong with it."""
    try:
        report = read_json(path)
        return report["step"], _numbers({r["name"]: r["value"] for r in report["rows"]}), []
    except FileNotFoundError:
        return None, {}, []
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, {}, [f"{EVALUATION_FILE} cannot be used ({error})"]


def _last_with(name: str, lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The numbers of the last step that has one of this name."""
    return _numbers(next((line for line in reversed(lines) if name in line), {}))


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """What is a number, finite, and no integer of hundreds of digits."""
    return {k: v for k, v in values.items() if isinstance(v, int | float) and abs(v) < MAX}


def _written(path: Path) -> float | None:
    times = []
    for name in (METRICS_FILE, CHECKPOINTS, CONFIG_FILE, EVALUATION_FILE):
        try:
            times.append((path / name).stat().st_mtime)
        except OSError:  # not there yet, or no longer
            continue
    return max(times, default=None)
