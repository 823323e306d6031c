"""Expected failures (invalid input, divergence, interruption), their exit statuses and messages."""

import difflib
import signal
from collections.abc import Collection, Iterator

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


MAX_CHOICES, MAX_NEAREST = 20, 3
"""A message about an unknown choice lists so many of them; of more than that, the nearest few."""


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


def printable(text: str, kept: str = "\n\t") -> str:
    """Replaces control characters other than line breaks and tabs by escapes.

    Names of files and domains come from outside, and a terminal would obey what they hold.

    Args:
      text: the text.
      kept: control characters that stay; none for a name, which stays on one line.
    """
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text
    )


def choose(value: str, choices: Collection[str], what: str) -> str:
    """Returns a word if it is one of the choices.

    Args:
      value: the word.
      choices: the words that are allowed.
      what: the kind of thing that the word names, for the message.

    Raises:
      InputError: the word is not allowed; the message suggests the nearest choice and lists them.
    """
    if value in choices:
        return value
    hint = nearest(value, choices)
    more = f" There are {_listed(value, choices)}." if hint.endswith("?") else "."
    raise InputError(f"there is no {what} {value!r}; {hint}{more}")


def nearest(name: str, known: Collection[str]) -> str:
    """Suggests the nearest known name, or else lists them; ends a message about an unknown one."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {found[0]!r}?" if found else f"there are {_listed(name, known)}"


def _listed(name: str, known: Collection[str]) -> str:
    number = MAX_CHOICES if len(known) <= MAX_CHOICES else MAX_NEAREST
    shown = sorted(difflib.get_close_matches(name, known, n=number, cutoff=0.0))
    more = f" and {len(known) - len(shown):,} more" if len(shown) < len(known) else ""
    return f"{', '.join(shown)}{more}"
