"""Turns SIGTERM and Ctrl-C into a question that the loop asks between steps."""

import signal
import threading
from types import FrameType
from typing import Any, Self

from discogan_jax.errors import STOP_SIGNALS


class Interrupts:
    """A context in which the first signal only sets `signal`; the second one works as before.

    Attributes:
      signal: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread alone; elsewhere whoever owns it must ask.
        if threading.current_thread() is threading.main_thread():
            # Under nohup, SIGHUP is ignored, and must stay so.
            heeded = [s for s in STOP_SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
            self._before = {s: signal.signal(s, self._note) for s in heeded}
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for s, handler in self._before.items():
            signal.signal(s, handler)
        self._before = {}

    def __exit__(self, *_: object) -> None:
        self._restore()
