"""Lists the runs in folders, those of sweeps included.

Shown are state, step, steps a second, losses, evaluation (hue error, sliced Wasserstein distance,
diversity; the worse of both directions), the best step by train.keep_best, its value and whether
'discogan evaluate' has measured it, the time since something was written, and disk. A narrow
terminal shows less. The exit code is 1 if any run is damaged.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from discogan_jax import units
from discogan_jax.commands import frame
from discogan_jax.errors import EXIT_DAMAGED
from discogan_jax.evaluation.table import DASH, aligned

if TYPE_CHECKING:
    from discogan_jax.runs.overview import RunStatus

GAP = 2  # spaces between columns
MIN_NAME = 12  # characters of a run's name that are shown, however narrow the terminal
MAX_OTHERS = 8  # folders without a run that are named
NONE = """\
no runs in {}. To train one:
  discogan train sample                       drawn bags and shoes: minutes
  discogan train --a=FOLDER --b=FOLDER        pictures of your own"""

_USUAL = Path("runs")

# The measures that are shown, each in the worse one of its two directions.
_WORSE: Mapping[str, tuple[str, Callable[..., float | None]]] = {
    "hue_error": ("hue_error", max),
    "sliced_wasserstein": ("SWD", max),
    "diversity": ("diversity", min),
}


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "folders",
        metavar="DIR",
        nargs="*",
        type=frame.path,
        default=[_USUAL],
        help="folders with run directories, or one of these; runs if not given",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from discogan_jax.runs import overview

    # The usual folder is made by the first training.
    folders = [x for x in arguments.folders if x.exists() or x != _USUAL]
    found = [run for folder in folders for run in overview.find_runs(folder)]
    if arguments.json:
        print(json.dumps([to_json(run) for run in found], indent=2))
    elif not found:
        frame.say(NONE.format(" and ".join(map(str, arguments.folders))))
    else:
        # A file or a pipe gets all columns.
        width = shutil.get_terminal_size((10**6, 24)).columns
        for line in lines(found, width, time.time()):
            frame.say(line)
    return EXIT_DAMAGED if any(run.state == "damaged" for run in found) else 0


class Column(NamedTuple):
    """A column of the table.

    Attributes:
      rank: priority; a narrow terminal lacks the columns of the highest ranks, but not those of 0.
      cells: heading, then a text per run.
    """

    rank: int
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """Number of characters of the widest cell."""
        return max(map(len, self.cells))


def lines(found: "Sequence[RunStatus]", width: int, now: float) -> list[str]:
    """Formats runs as a table, followed by a line for each remark.

    Args:
      found: runs.
      width: maximum number of characters in a line.
      now: current time in seconds since 1970.
    """
    # The table has runs alone; other folders are named below it.
    runs = [run for run in found if run.state != "no run"]
    shown = _fitting(_columns(runs, now), width)
    rows = list(zip(*(column.cells for column in shown), strict=True))
    table = aligned(rows, right=range(2, len(shown))).splitlines()
    remarks = [f"{run.name}: {remark}" for run in runs for remark in run.remarks]
    if others := [run.name for run in found if run.state == "no run"]:
        more = f" and {len(others) - MAX_OTHERS} more" if len(others) > MAX_OTHERS else ""
        remarks.append(f"no run is in: {', '.join(others[:MAX_OTHERS])}{more}")
    return (table if runs else ["no runs"]) + ([""] if remarks else []) + remarks


def _columns(runs: "Sequence[RunStatus]", now: float) -> list[Column]:
    def column(head: str, rank: int, cell: Callable[["RunStatus"], str]) -> Column:
        return Column(rank, [head, *map(cell, runs)])

    # A measure that no run has gets no column.
    measured = {name.rpartition("/")[2] for run in runs for name in run.evaluation}
    best = [column("best step", 6, _best)] if any(run.best for run in runs) else []
    return [
        column("run", 0, lambda run: run.name),
        column("state", 0, lambda run: run.state),
        column("step", 1, lambda run: f"{run.step or 0:,}/{_count(run.steps)}"),
        column("steps/s", 3, lambda run: _number(run.steps_per_second)),
        column("gen_loss", 4, lambda run: _number(run.losses.get("gen_loss"))),
        column("disc_loss", 5, lambda run: _number(run.losses.get("disc_loss"))),
        *best,
        *(
            column(head, 7 + i, partial(_worst, name, worse))
            for i, (name, (head, worse)) in enumerate(_WORSE.items())
            if name in measured
        ),
        column("written", 2, lambda run: _ago(run.written, now)),
        column("disk", 6, lambda run: DASH if run.disk is None else units.size(run.disk)),
    ]


def _worst(name: str, worse: Callable[..., float | None], run: "RunStatus") -> str:
    values = [v for k, v in run.evaluation.items() if k.endswith(f"/{name}")]
    return _number(worse(values, default=None))


def _best(run: "RunStatus") -> str:
    if run.best is None:
        return DASH
    evaluated = ", evaluated" if run.best_evaluated else ""
    return f"{run.best.step:,} ({_number(run.best.value)}){evaluated}"


def _fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Selects the most important columns that fit; long names are shortened first."""
    name, *others = columns
    # Give room to the columns in the order of their ranks, the state first.
    shortest = min(name.width, MIN_NAME)
    room, kept = width - shortest, []
    for column in sorted(others, key=lambda column: column.rank):
        if column.rank and room < GAP + column.width:
            break
        room -= GAP + column.width
        kept.append(column)
    # The name gets what is left.
    shortened = [_cut(cell, max(room + shortest, 2)) for cell in name.cells]
    return [Column(0, shortened), *(column for column in others if column in kept)]


def _cut(text: str, width: int) -> str:
    """Removes the middle of a long text: the ends of their names distinguish runs of a sweep."""
    if len(text) <= width:
        return text
    end = (width - 1) * 2 // 3
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _number(number: float | None) -> str:
    return DASH if number is None else f"{number:.3g}"


def _ago(then: float | None, now: float) -> str:
    if then is None:
        return DASH
    seconds = max(now - then, 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def to_json(run: "RunStatus") -> dict[str, Any]:
    """Converts the status of a run to types that JSON has."""
    written = run.written and datetime.fromtimestamp(run.written, UTC).isoformat(timespec="seconds")
    return asdict(run) | {"path": str(run.path), "written": written}
