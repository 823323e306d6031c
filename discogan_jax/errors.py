"""Expected failures (invalid input, divergence, interruption), their exit statuses and messages."""

import signal
from collections.abc import Iterator

EXIT_INPUT = 2
"""Exit status of every command after invalid input."""

EXIT_SKIPPED = 1
"""Exit status after some inputs of many could not be read and were skipped."""

EXIT_DIVERGED = 1
"""Exit status after a loss that was not finite."""

EXIT_DAMAGED = 1
"""Exit status of `discogan verify` and `discogan runs` after they found damage."""

EXIT_BUG = 1
"""Exit status after an unexpected error."""

EXIT_CUT_OFF = 141
"""Exit status of `discogan` after the reader of its output has closed it, as of programs in C."""

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that ask a process to stop."""


class InputError(ValueError):
    """What the user gave (a file, a config field, a flag) cannot be used.

    The message says in one or two sentences what failed, why, and what to do. Commands print it
    without a traceback and exit with status 2.
    """


class DivergedError(RuntimeError):
    """A loss is not finite: the run has stopped, and its checkpoints are intact."""


class InterruptedRunError(RuntimeError):
    """A signal ended the run after it had saved its state.

    Attributes:
      signal: the signal's number.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error and its causes, the first cause first."""
    if error is not None:
        yield from causes(error.__cause__ or error.__context__)
        yield error


def printable(text: str) -> str:
    """Replaces control characters other than line breaks and tabs by escapes.

    Names of files and domains come from outside, and a terminal would obey what they hold.
    """
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )
