"""Standard streams that are closed, full, without a reader, or lack letters."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator


class Output(io.TextIOWrapper):
    """A text stream that discards the rest once it cannot be written: the work goes on.

    Attributes:
      error: why the stream could not be written; None as long as it can be.
    """

    error: OSError | None = None

    def write(self, text: str) -> int:
        """Writes a text, or discards it."""
        with self._discarding():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered, or discards it."""
        with self._discarding():
            super().flush()

    @contextlib.contextmanager
    def _discarding(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            # What is in the buffer would raise the same error again, at the end of the process.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


def replace() -> None:
    """Replaces standard output and standard error by an `Output` each; opens those that are closed.

    Letters that an encoding lacks are written as escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The next file that is opened would get the number, and what is printed.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for number, name in ((1, "stdout"), (2, "stderr")):
        # Standard streams stay open: others write to them by number.
        old = getattr(sys, name) or os.fdopen(number, "w", closefd=False)
        setattr(sys, f"__{name}__", old)  # which would otherwise end, and close the buffer
        new = Output(
            old.buffer, old.encoding, "backslashreplace", line_buffering=old.line_buffering
        )
        setattr(sys, name, new)


def lost() -> OSError | None:
    """Returns why standard output, or else standard error, could not be written; None if it was."""
    sys.stdout.flush()
    found = (getattr(stream, "error", None) for stream in (sys.stdout, sys.stderr))
    return next(filter(None, found), None)
