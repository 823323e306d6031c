"""Expected failures (invalid input, divergence, interruption), their exit statuses and messages."""

import difflib
from collections.abc import Collection, Iterator

EXIT_INPUT = 2
"""Exit status of every command after a mistake in its input."""

EXIT_SKIPPED = 1
"""Exit status after some inputs of many could not be read and were passed over."""

EXIT_DIVERGED = 1
"""Exit status after a loss that was not finite."""

EXIT_DAMAGED = 1
"""Exit status of `discogan verify` and `discogan runs` after they found damage."""

EXIT_STOPPED = 130
"""Exit status of `discogan` after Ctrl-C."""

EXIT_CUT_OFF = 141
"""Exit status of `discogan` after what it writes to was closed, as of a program in C."""


MAX_CHOICES = 20
"""The number of choices that a message about an unknown one lists."""


class InputError(ValueError):
    """What the user gave (a file, a config field, a flag) cannot be used.

    The message is one or two sentences that name the thing, say what was found and what to do.
    Command-line entry points print it without a traceback and exit with status 2.
    """


class DivergedError(RuntimeError):
    """A loss is not finite: the run has stopped, its checkpoints are good."""


class InterruptedRunError(RuntimeError):
    """A signal ended the run after it had saved its state.

    Attributes:
      signal: the signal's number.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came from, the first one first."""
    if error is not None:
        yield from causes(error.__cause__ or error.__context__)
        yield error


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
    found = difflib.get_close_matches(value, choices, n=1, cutoff=0.5)
    hint = f"did you mean {found[0]!r}? There" if found else "there"
    shown = sorted(difflib.get_close_matches(value, choices, n=MAX_CHOICES, cutoff=0.0))
    more = f" and {len(choices) - len(shown):,} more" if len(shown) < len(choices) else ""
    raise InputError(f"there is no {what} {value!r}; {hint} are {', '.join(shown)}{more}.")
