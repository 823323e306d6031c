"""Bounds what is logged: whoever causes messages must not fill a disk with them."""

import asyncio
import logging
from collections import deque

MESSAGES = 10
"""Number of messages that are logged in a minute."""

LOGGERS = "uvicorn.error", "asyncio"


def limit() -> None:
    """Lets a few messages of the server through, and none of requests cancelled at its end."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_few)


class Few(logging.Filter):
    """Lets `MESSAGES` a minute through; the last of them says that more are left out."""

    def __init__(self) -> None:
        super().__init__()
        self._times = deque([0.0] * MESSAGES, MESSAGES)

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether a message is logged."""
        cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
        if cancelled or self._is_full(record):
            return False
        self._times.append(record.created)
        if self._is_full(record):
            record.msg = f"{record.getMessage()} (More messages of this minute are left out.)"
            record.args = None
        return True

    def _is_full(self, record: logging.LogRecord) -> bool:
        return record.created - self._times[0] < 60


_few = Few()
