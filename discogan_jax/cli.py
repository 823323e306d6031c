"""The `discogan` command: what can be done with a run. Training has commands of its own.

Each module here is one command and imports what it needs when it runs: ``--help`` must not wait for
JAX.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import discogan_jax
from discogan_jax.cli import (
    card,
    completion,
    doctor,
    evaluate,
    export,
    prepare,
    report,
    runs,
    serve,
    translate,
    verify,
)
from discogan_jax.errors import EXIT_CUT_OFF, EXIT_INPUT, EXIT_STOPPED, InputError

COMMANDS = (
    translate,
    serve,
    report,
    evaluate,
    export,
    card,
    runs,
    verify,
    prepare,
    doctor,
    completion,
)
"""In the order of ``--help``."""

_EPILOG = """\
exit codes:
  0    done
  1    something is damaged, missing or was passed over: it is named
  2    a mistake in the arguments or files: one line says which
  130  stopped by Ctrl-C

Training has commands of its own, in the source code: python -m experiments.bags_shoes --help
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; see its ``--help``.

    Returns:
      The exit code, see ``--help``.
    """
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except InputError as error:
        print(error, file=sys.stderr)
        return EXIT_INPUT
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return EXIT_STOPPED
    except BrokenPipeError:  # `| head` has seen enough
        # What is left to write would raise it once more, at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CUT_OFF
    except OSError as error:
        if error.filename is None:
            raise
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_INPUT


def _run(arguments: Sequence[str] | None) -> int:
    whole = parser()
    parsed, rest = whole.parse_known_args(arguments)
    if rest and not hasattr(parsed, "fields"):
        whole.error(f"unrecognized arguments: {' '.join(rest)}; see discogan {parsed.command} -h")
    parsed.fields = rest
    return parsed.function(parsed)


def parser() -> argparse.ArgumentParser:
    """The command line, all commands included."""
    whole = argparse.ArgumentParser(
        prog="discogan",
        description="Work with training runs of discogan_jax.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"discogan_jax {discogan_jax.__version__}"
    whole.add_argument("-V", "--version", action="version", version=version)
    commands = whole.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in COMMANDS:
        command.add(commands)
    return whole
