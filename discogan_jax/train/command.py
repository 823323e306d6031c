"""The frame of an experiment without a config: flags, one line for a mistake, exit codes."""

import signal
import sys
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging

from discogan_jax.errors import (
    EXIT_DIVERGED,
    EXIT_INPUT,
    DivergedError,
    InputError,
    InterruptedRunError,
)
from discogan_jax.train.launch import start_jax


def run(work: Callable[[], None]) -> None:
    """Parses the flags, does the work, ends the process.

    Args:
      work: reads its flags from `absl.flags.FLAGS`.

    Exit codes: those of `launch.run`.
    """

    def main(_: list[str]) -> None:
        logging.set_verbosity(logging.ERROR)  # Orbax and TFDS warn of what is no news
        start_jax()
        try:
            work()
        except InputError as error:
            fail(str(error), EXIT_INPUT)
        except DivergedError as error:
            fail(str(error), EXIT_DIVERGED)
        except InterruptedRunError as error:
            fail(str(error), 128 + error.signal)
        except KeyboardInterrupt:
            fail("Stopped.", 128 + signal.SIGINT)

    app.run(main, flags_parser=_parse_flags)


def fail(message: str, code: int) -> Any:
    """Ends the process with a message."""
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
    except SystemExit:  # --help, which absl counts as a failure
        sys.exit(0)
    except flags.Error as error:
        return fail(str(error), EXIT_INPUT)
    if len(rest) == 1:
        return rest
    return fail(f"unexpected argument {rest[1]!r}: see --help", EXIT_INPUT)
