"""Defers SIGINT, SIGTERM and SIGHUP so that the training loop can stop between steps."""

import signal
import threading
from types import FrameType
from typing import Any, Self

from absl import logging

from discogan_jax.errors import STOP_SIGNALS


class Interrupts:
    """A context in which a first signal only sets `signal`; a second one has its usual effect.

    Attributes:
      signal: the signal that arrived, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            # Under nohup, SIGHUP is ignored, and must stay so.
            heeded = [s for s in STOP_SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
            self._before = {s: signal.signal(s, self._note) for s in heeded}
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self._restore()
        name = self.signal.name
        logging.warning("%s: stops once this step is saved; a second one stops without", name)

    def _restore(self) -> None:
        for s, handler in self._before.items():
            signal.signal(s, handler)
        self._before = {}

    def __exit__(self, *_: object) -> None:
        self._restore()
