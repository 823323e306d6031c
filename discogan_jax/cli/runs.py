"""`discogan runs`: a table of runs."""

import argparse
from pathlib import Path
from typing import Any

from discogan_jax.errors import EXIT_DAMAGED


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "runs",
        help="list runs: state, step, speed, losses, evaluation",
        description="Lists the runs in folders, those of sweeps included: state, step, steps a "
        "second, losses, evaluation (hue error, sliced Wasserstein distance, diversity; the worse "
        "of both directions), time since something was written. A narrow terminal shows less. "
        "Exit code 1 if any run is damaged.",
    )
    command.add_argument(
        "folders",
        metavar="DIR",
        nargs="*",
        type=Path,
        default=[Path("runs")],
        help="folders with run directories, or one of these; runs if not given",
    )
    command.add_argument("--json", action="store_true", help="everything, for programs")
    command.set_defaults(function=_run)


def _run(arguments: argparse.Namespace) -> int:
    import json
    import shutil
    import time

    from discogan_jax.commands import runs
    from discogan_jax.runs import overview

    found = [run for folder in arguments.folders for run in overview.find_runs(folder)]
    if arguments.json:
        print(json.dumps([runs.plain(run) for run in found], indent=2))
    else:
        # What is no terminal, a file or a program, gets all columns.
        width = shutil.get_terminal_size((10**6, 24)).columns
        for line in runs.lines(found, width, time.time()):
            print(line)
    return EXIT_DAMAGED if any(run.state == "damaged" for run in found) else 0
