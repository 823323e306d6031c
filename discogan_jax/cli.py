"""The `discogan` command: what can be done with a run. Training has commands of its own."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from discogan_jax.errors import EXIT_INPUT, InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; see its ``--help``.

    Returns:
      The exit code: 0 done, 2 a mistake in the arguments or files.
    """
    parser = argparse.ArgumentParser(
        prog="discogan", description="Work with training runs of discogan_jax."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
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
        help="adds FID and KID, in features of this file (discogan_jax/inception.py says which); "
        "needs the extra 'fid'",
    )
    command.set_defaults(function=_evaluate)
    parsed = parser.parse_args(arguments)
    try:
        parsed.function(parsed)
    except InputError as error:
        print(error, file=sys.stderr)
        return EXIT_INPUT
    return 0


def _evaluate(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells how it reads
    # --help must not wait for JAX.
    from discogan_jax import evaluate, inception, runs
    from discogan_jax.evaluation.rows import table

    run = runs.open(arguments.run, arguments.step)
    run = run.raw if arguments.raw else run
    extractor = inception.load(arguments.inception) if arguments.inception else None
    rows = evaluate.evaluate(run, extractor=extractor)
    print(table(rows))
    path = run.path / evaluate.EVALUATION_FILE
    runs.write_json(path, evaluate.report(run.step, run.state, rows))
    print(f"step {run.step}; written to {path}")


if __name__ == "__main__":
    sys.exit(main())
