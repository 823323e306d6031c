"""Signals that end a command, wherever they interrupt it."""

import _imp
import contextlib
import signal
import sys
from _thread import interrupt_main
from threading import Timer
from types import FrameType
from typing import Any

from discogan_jax import errors


class Signals:
    """Turns signals into `KeyboardInterrupt`, but not in the middle of an import.

    Attributes:
      came: signals so far.
      waiting: whether one of them came at a bad moment and is sent once more.
    """

    def __init__(self) -> None:
        self.came: list[signal.Signals] = []
        self.waiting = False
        self._repeated = False
        # A signal in Python's own start may have left this lock closed: any thread that imports
        # something would wait forever.
        with contextlib.suppress(RuntimeError):
            while _imp.lock_held():
                _imp.release_lock()
        for number in errors.STOP_SIGNALS:
            # Under nohup, SIGHUP is ignored, and must stay so.
            if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._stop)
        sys.unraisablehook = self._unraisable

    def stop_handling(self) -> None:
        """Restores the default effect of signals; after one of them, further ones are ignored."""
        for number in errors.STOP_SIGNALS:
            if signal.getsignal(number) == self._stop:
                signal.signal(number, signal.SIG_IGN if self.came else signal.SIG_DFL)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self._repeated:
            self.came.append(signal.Signals(number))
        self._repeated = False
        # Extension modules that are interrupted while they start print errors of their own. A
        # second signal does not wait.
        if _importing(frame) and len(self.came) == 1:
            self._repeat(number)
        else:
            self.waiting = False
            raise KeyboardInterrupt(self.came[-1])

    def _repeat(self, number: int) -> None:
        """Sends a signal once more, a moment later."""
        self.waiting = True

        def send() -> None:
            self._repeated = True
            interrupt_main(signal.Signals(number))

        Timer(0.05, send).start()

    def _unraisable(self, unraisable: Any) -> None:
        """Reports errors in callbacks that cannot raise, those of the garbage collector."""
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            self._repeat(self.came[-1] if self.came else signal.SIGINT)
        # TensorStore raises this for every other file of a save that failed.
        elif str(unraisable.exc_value) != "Event loop is closed":
            sys.__unraisablehook__(unraisable)


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
