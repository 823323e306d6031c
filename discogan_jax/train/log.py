"""What of the log is news to someone who runs a command."""

import signal
import sys
from _thread import interrupt_main
from logging import WARNING, Formatter, LogRecord
from pathlib import Path
from threading import Timer
from typing import Any

from absl import logging

# Warnings of others that are no news.
_NOISE = ("is deprecated",)
# What fails in the threads of these is raised in the training loop, too.
_RAISED_ANYWAY = {"orbax", "clu", "asyncio"}


def show_news() -> None:
    """Shows our own log and the warnings of others, as plain lines."""
    here = str(Path(__file__).resolve().parents[1])
    handler = logging.get_absl_handler()

    def is_news(record: LogRecord) -> bool:
        return record.pathname.startswith(here) or (
            record.levelno >= WARNING
            and _RAISED_ANYWAY.isdisjoint(Path(record.pathname).parts)
            and not any(part in record.getMessage() for part in _NOISE)
        )

    def print_news(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            # A signal came while a callback ran that cannot raise: once more, a moment later.
            number = next(iter(unraisable.exc_value.args), signal.SIGINT)
            Timer(0.05, interrupt_main, [number]).start()
        # So says TensorStore of every other file of a save that failed.
        elif str(unraisable.exc_value) != "Event loop is closed":
            sys.__unraisablehook__(unraisable)

    sys.unraisablehook = print_news
    handler.addFilter(is_news)
    handler.setFormatter(Formatter("%(message)s"))
    logging.set_verbosity(logging.INFO)
