"""Where the metrics of a run are written: `metrics.jsonl`, and TensorBoard through CLU."""

import importlib.util
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from absl import logging
from jaxtyping import Shaped, UInt8

from discogan_jax.files import damage, finite, read_lines_counting_damage, replacing
from discogan_jax.host import tensorflow
from discogan_jax.runs.layout import METRICS_FILE


class Writer:
    """A writer that writes nothing; CLU's ``MetricWriter`` has the same methods."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes the numbers of a step."""

    def write_images(self, step: int, images: Mapping[str, UInt8[np.ndarray, "N H W 3"]]) -> None:
        """Writes pictures."""

    def write_histograms(
        self, step: int, arrays: Mapping[str, Shaped[np.ndarray, "..."]], num_buckets: Any = None
    ) -> None:
        """Writes the distribution of the elements of arrays."""

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Writes the settings that differ between runs."""

    def flush(self) -> None:
        """Returns when everything is written."""

    def close(self) -> None:
        """Flushes, and frees what was opened."""


class JsonLines(Writer):
    """Appends one JSON object a step, with its numbers, to a file; skips pictures and arrays.

    Lines after the step that a run resumes from, and a last line that was cut off, are removed on
    opening, so that every step is in the file once.
    """

    def __init__(self, path: Path, start_step: int):
        """Opens the file.

        Args:
          path: the file; it need not exist.
          start_step: number of finished steps. Lines after it belong to the interrupted run.
        """
        lines, damaged = read_lines_counting_damage(path)
        if damaged:
            logging.warning("%s, and left out from now on", damage(path, damaged))
        kept = [line for line in lines if line["step"] <= start_step]
        with replacing(path) as temporary:
            temporary.write_text("".join(json.dumps(finite(line)) + "\n" for line in kept))
        self._file = path.open("a")

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Appends a line, which readers see immediately; what is not finite becomes null."""
        numbers = {name: float(value) for name, value in scalars.items()}
        self._file.write(json.dumps(finite({"step": step} | numbers)) + "\n")
        self._file.flush()

    def flush(self) -> None:
        """Makes the lines survive a power cut."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flushes and closes the file."""
        self.flush()
        self._file.close()


class InBackground:
    """Opens a writer on a thread and writes there, in order.

    CLU's ``AsyncWriter`` needs a writer that is open. An error is raised by the next call.
    """

    def __init__(self, open_writer: Callable[[], Any]):
        """Returns immediately.

        Args:
          open_writer: returns the writer, on the thread; its imports may take seconds.
        """
        from clu.asynclib import Pool  # unlike CLU's writers, it does not import TensorFlow

        self._pool = Pool("writer", max_workers=1)
        self._opened = self._pool(open_writer)()

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*args: Any) -> None:
            try:
                self._pool(lambda: getattr(self._opened.result(), name)(*args))()
            finally:
                if name in ("flush", "close"):
                    self._pool.join()

        return call


def open_writer(directory: Path, start_step: int) -> Writer:
    """Opens the writers of a run.

    Args:
      directory: the run directory; `metrics.jsonl` and TensorBoard's event files go there.
      start_step: number of finished steps.

    Returns:
      A writer to both, in the background, or to `metrics.jsonl` alone (with a warning in the log)
      where CLU or TensorFlow is not installed.
    """
    path = directory / METRICS_FILE
    if missing := _missing():
        logging.warning(
            "%s not installed: no TensorBoard events, only %s", " and ".join(missing), path.name
        )
        return JsonLines(path, start_step)

    def open_all() -> Any:
        trackers = _open_trackers(directory, start_step)
        from clu.metric_writers import MultiWriter

        return MultiWriter([JsonLines(path, start_step), *trackers])

    # The trackers import TensorFlow, which takes seconds: the first step is compiled meanwhile.
    return cast(Writer, InBackground(open_all))


def write_hparams(
    directory: Path, hparams: Mapping[str, Any], step: int, measures: Mapping[str, float]
) -> None:
    """Writes what TensorBoard's HParams tab compares runs by.

    Args:
      directory: the run directory.
      hparams: the settings that differ between runs: bools, numbers, texts or None.
      step: the step that was measured.
      measures: the measured numbers; those that are not finite are left out.
    """
    if _missing():
        return
    for tracker in _open_trackers(directory, step):
        tracker.write_hparams(hparams)
        tracker.write_scalars(step, {k: v for k, v in measures.items() if math.isfinite(v)})
        tracker.close()


def _open_trackers(directory: Path, start_step: int) -> list[Any]:
    """Opens CLU's writers; one for another tracker than TensorBoard, a `Writer`, is added here.

    A run opens them whenever it starts or resumes, and a sweep once more after each run.

    Args:
      directory: the run directory.
      start_step: number of finished steps.
    """
    tensorflow()  # before CLU imports it, to keep it off the accelerators
    from clu import metric_writers

    return [metric_writers.SummaryWriter(str(directory))]


def _missing() -> list[str]:
    """Packages that the trackers need and that are not installed."""
    return [n for n in ("clu", "tensorflow") if importlib.util.find_spec(n) is None]
