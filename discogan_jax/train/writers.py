"""Where a run's numbers go: `metrics.jsonl`, and TensorBoard through CLU's metric writers."""

import importlib.util
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from absl import logging
from jaxtyping import Shaped, UInt8

from discogan_jax.files import read_lines, replacing
from discogan_jax.host import tensorflow
from discogan_jax.runs.layout import METRICS_FILE


class Writer(Protocol):
    """What the training loop writes to."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes the numbers of a step."""

    def write_images(self, step: int, images: Mapping[str, UInt8[np.ndarray, "N H W 3"]]) -> None:
        """Writes pictures."""

    def write_histograms(self, step: int, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> None:
        """Writes the distribution of the elements of arrays."""

    def flush(self) -> None:
        """Returns when everything is written."""

    def close(self) -> None:
        """Flushes, and ends."""


class JsonLines:
    """Appends one JSON object a step, with its numbers, to a file.

    Lines beyond the step that a run resumes from, and a last line that was cut off, are removed on
    opening, so that every step stands there once.
    """

    def __init__(self, path: Path, start_step: int):
        """Opens the file.

        Args:
          path: of the file; it need not exist.
          start_step: finished steps; later lines are those of a lost future.
        """
        kept = [line for line in read_lines(path) if line["step"] <= start_step]
        with replacing(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("a")

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Appends a line; whoever reads the file sees it at once."""
        numbers = {name: float(value) for name, value in scalars.items()}
        self._file.write(json.dumps({"step": step} | numbers) + "\n")
        self._file.flush()

    def write_images(self, step: int, images: Mapping[str, Any]) -> None:
        """Pictures are no lines of text: they are passed over."""

    def write_histograms(self, step: int, arrays: Mapping[str, Any]) -> None:
        """Passed over, like pictures."""

    def flush(self) -> None:
        """Sees to it that the lines survive a power cut."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flushes and closes the file."""
        self.flush()
        self._file.close()


class _Passing(ABC):
    """A writer that passes on what it is told."""

    @abstractmethod
    def _pass(self, method: str, *args: Any) -> None:
        """Calls a method of whoever it is passed on to."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `Writer`."""
        self._pass("write_scalars", step, scalars)

    def write_images(self, step: int, images: Mapping[str, UInt8[np.ndarray, "N H W 3"]]) -> None:
        """See `Writer`."""
        self._pass("write_images", step, images)

    def write_histograms(self, step: int, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> None:
        """See `Writer`."""
        self._pass("write_histograms", step, arrays)

    def flush(self) -> None:
        """See `Writer`."""
        self._pass("flush")

    def close(self) -> None:
        """See `Writer`."""
        self._pass("close")


class Both(_Passing):
    """Writes everything to several writers."""

    def __init__(self, *writers: Writer):
        self._writers = writers

    def _pass(self, method: str, *args: Any) -> None:
        for writer in self._writers:
            getattr(writer, method)(*args)


class InBackground(_Passing):
    """Opens a writer, and writes with it, on a thread of its own.

    What fails there is raised by the next call, and at the latest by `flush` or `close`.
    """

    def __init__(self, open_it: Callable[[], Writer]):
        """Returns at once.

        Args:
          open_it: called on the thread; imports that take seconds belong there.
        """
        self._thread = ThreadPoolExecutor(1, "writer")
        self._writer = self._thread.submit(open_it)
        self._written: list[Future[None]] = []

    def _pass(self, method: str, *args: Any) -> None:
        def write() -> None:
            getattr(self._writer.result(), method)(*args)

        done = [future for future in self._written if future.done()]
        self._written = [future for future in self._written if future not in done]
        self._written.append(self._thread.submit(write))
        for future in done:
            future.result()

    def flush(self) -> None:
        """See `Writer`."""
        super().flush()
        self._wait()

    def close(self) -> None:
        """See `Writer`."""
        try:
            super().close()
        finally:
            self._thread.shutdown()
        self._wait()

    def _wait(self) -> None:
        written, self._written = self._written, []
        for future in written:
            future.result()


def open_writer(directory: Path, start_step: int) -> Writer:
    """Opens a run directory's writers.

    Args:
      directory: the run directory; `metrics.jsonl` and TensorBoard's event files go there.
      start_step: finished steps.

    Returns:
      Both writers, or the JSON lines alone (said once in the log) where CLU or TensorFlow is not
      installed.
    """
    lines = JsonLines(directory / METRICS_FILE, start_step)
    if missing := _missing():
        logging.warning(
            "%s not installed: no TensorBoard events, only %s", " and ".join(missing), METRICS_FILE
        )
        return lines
    # Importing TensorFlow takes seconds, in which the first step can be compiled or loaded.
    return Both(lines, InBackground(lambda: _events(directory)))


def _events(directory: Path) -> Any:
    tensorflow()
    from clu import metric_writers

    return metric_writers.SummaryWriter(str(directory))


def write_hparams(
    directory: Path, hparams: Mapping[str, Any], step: int, measures: Mapping[str, float]
) -> None:
    """Writes what TensorBoard's HParams tab compares runs by, where `open_writer` writes events.

    Args:
      directory: the run directory.
      hparams: what the run differs from others in; bools, numbers, texts or None.
      step: that the measures are of.
      measures: what came out; those that are not finite are left out.
    """
    if _missing():
        return
    events = _events(directory)
    events.write_hparams(hparams)
    events.write_scalars(step, {k: v for k, v in measures.items() if math.isfinite(v)})
    events.close()


def _missing() -> list[str]:
    """Packages that events need and that are not installed."""
    return [n for n in ("clu", "tensorflow") if importlib.util.find_spec(n) is None]
