"""How things end that are nobody's bug: a mistake in the input, a divergence, a signal."""

EXIT_INPUT = 2
"""Exit status of every command after a mistake in its input."""

EXIT_DIVERGED = 1
"""Exit status after a loss that was not finite."""


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
