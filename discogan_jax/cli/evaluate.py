"""`discogan evaluate`: a run is measured on its held-out images."""

import argparse
from typing import Any

from discogan_jax.cli.quiet import be_quiet


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "evaluate",
        help="measure a run on its held-out images",
        description="Measures a run on its held-out images; prints a table, writes "
        "evaluation.json into the run. The run may still be training.",
    )
    command.add_argument("run", metavar="RUN", help="run directory")
    command.add_argument(
        "--step", type=int, help="checkpoint to measure; the last one if not given"
    )
    command.add_argument(
        "--raw", action="store_true", help="the parameters themselves, not their averages"
    )
    command.add_argument(
        "--inception",
        metavar="FILE",
        help="adds FID and KID, in features of this file "
        "(discogan_jax/evaluation/metrics/inception.py says which); needs the extra 'fid'",
    )
    command.set_defaults(function=_run)


def _run(arguments: argparse.Namespace) -> int:
    be_quiet()
    # --help must not wait for JAX.
    from discogan_jax import runs
    from discogan_jax.evaluation import evaluate
    from discogan_jax.evaluation.metrics import inception
    from discogan_jax.evaluation.table import table
    from discogan_jax.runs import layout

    run = runs.open(arguments.run, arguments.step)
    run = run.raw if arguments.raw else run
    extractor = inception.load(arguments.inception) if arguments.inception else None
    rows = evaluate.evaluate(run, extractor=extractor)
    print(table(rows))
    path = layout.write_evaluation(run.path, evaluate.report(run.step, run.state, rows))
    print(f"step {run.step}; written to {path}")
    return 0
