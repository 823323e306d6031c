"""Lists the runs in folders, those of sweeps included.

Shown are state, step, steps a second, losses, evaluation (hue error, sliced Wasserstein distance,
diversity; the worse of both directions), and the time since something was written. A narrow
terminal shows less. The exit code is 1 if any run is damaged.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discogan_jax.commands import frame
from discogan_jax.errors import EXIT_DAMAGED

if TYPE_CHECKING:
    from discogan_jax.runs.overview import RunStatus

GAP = "  "
LEAST_NAME = 12  # characters of it that are shown, however narrow the terminal
SHOWN = 8  # names of folders without a run

# Which measures decide: docs/results.md. Of the two directions the worse one is shown.
_WORSE: Mapping[str, tuple[str, Callable[[Iterable[float]], float]]] = {
    "hue_error": ("hue_error", max),
    "sliced_wasserstein": ("SWD", max),
    "diversity": ("diversity", min),
}


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of `run`."""
    parser.add_argument(
        "folders",
        metavar="DIR",
        nargs="*",
        type=Path,
        default=[Path("runs")],
        help="folders with run directories, or one of these; runs if not given",
    )
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    parser.add_work(run)


def run(arguments: argparse.Namespace) -> int:
    """Does the work of the command."""
    from discogan_jax.runs import overview

    found = [run for folder in arguments.folders for run in overview.find_runs(folder)]
    if arguments.json:
        print(json.dumps([plain(run) for run in found], indent=2))
    else:
        # What is no terminal, a file or a program, gets all columns.
        width = shutil.get_terminal_size((10**6, 24)).columns
        for line in lines(found, width, time.time()):
            frame.say(line)
    return EXIT_DAMAGED if any(run.state == "damaged" for run in found) else 0


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
      head: what stands above it.
      rank: where there is no room for all columns, those of the highest ranks are left out.
      cells: a text per run.
    """

    head: str
    rank: int
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """Characters of the widest cell."""
        return max(map(len, (self.head, *self.cells)))


def lines(found: "Sequence[RunStatus]", width: int, now: float) -> list[str]:
    """The table, and a line for each remark.

    Args:
      found: the runs.
      width: characters that a line may have.
      now: seconds since 1970.
    """
    runs = [run for run in found if run.state != "no run"]
    shown = _fitting(_columns(runs, now), width)
    rows = zip(*([c.head, *c.cells] for c in shown), strict=True)
    table = [
        GAP.join(
            cell.ljust(c.width) if c.rank == 0 else cell.rjust(c.width)
            for cell, c in zip(row, shown, strict=True)
        ).rstrip()
        for row in rows
    ]
    remarks = [f"{run.name}: {remark}" for run in runs for remark in run.remarks]
    if others := [run.name for run in found if run.state == "no run"]:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        remarks.append(f"no run is in: {', '.join(others[:SHOWN])}{more}")
    return (table if runs else ["no runs"]) + ([""] if remarks else []) + remarks


def _columns(runs: "Sequence[RunStatus]", now: float) -> list[Column]:
    def column(head: str, rank: int, cell: Callable[["RunStatus"], str]) -> Column:
        return Column(head, rank, [cell(run) for run in runs])

    def measure(name: str) -> Callable[["RunStatus"], str]:
        worse = _WORSE[name][1]

        def cell(run: "RunStatus") -> str:
            values = [v for k, v in run.evaluation.items() if k.rpartition("/")[2] == name]
            return _short(worse(values) if values else None)

        return cell

    return [
        column("run", 0, lambda run: run.name),
        column("state", 0, lambda run: run.state),
        column("step", 1, lambda run: f"{run.step or 0:,}/{_count(run.steps)}"),
        column("steps/s", 3, lambda run: _short(run.steps_per_second)),
        column("gen_loss", 4, lambda run: _short(run.losses.get("gen_loss"))),
        column("disc_loss", 5, lambda run: _short(run.losses.get("disc_loss"))),
        *(
            column(head, 6 + i, measure(name))
            for i, (name, (head, _)) in enumerate(_WORSE.items())
            if any(k.endswith(f"/{name}") for run in runs for k in run.evaluation)
        ),
        column("written", 2, lambda run: _ago(run.written, now)),
    ]


def _fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """The most important columns that have room, in order; long names give way first."""
    name, *others = columns
    kept = [c for c in others if c.rank == 0]
    room = width - min(name.width, LEAST_NAME) - sum(len(GAP) + c.width for c in kept)
    for c in sorted((c for c in others if c.rank), key=lambda c: c.rank):
        if room < len(GAP) + c.width:
            break
        room -= len(GAP) + c.width
        kept.append(c)
    room += min(name.width, LEAST_NAME)
    short = Column(name.head, 0, [_cut(cell, max(room, 2)) for cell in name.cells])
    return [short, *(c for c in others if c in kept)]


def _cut(text: str, width: int) -> str:
    """A text without its middle, if it is too long: ends of names tell runs of a sweep apart."""
    if len(text) <= width:
        return text
    end = (width - 1) * 2 // 3
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _short(number: float | None) -> str:
    return "–" if number is None else f"{number:.3g}"


def _ago(then: float | None, now: float) -> str:
    if then is None:
        return "–"
    seconds = max(now - then, 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def plain(run: "RunStatus") -> dict[str, Any]:
    """A run as JSON knows it."""
    written = run.written and datetime.fromtimestamp(run.written, UTC).isoformat(timespec="seconds")
    return asdict(run) | {"path": str(run.path), "written": written}
