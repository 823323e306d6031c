"""Where the metrics of a run are written: `metrics.jsonl`, and trackers that draw them."""

import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from absl import logging
from jaxtyping import Shaped, UInt8

from discogan_jax.config.schema import Tracker
from discogan_jax.errors import InputError
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

    Beside the numbers it has `step` and `time`, in seconds since the epoch.

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
        stamped = {"step": step, "time": round(time.time(), 3)} | numbers
        self._file.write(json.dumps(finite(stamped)) + "\n")
        self._file.flush()

    def flush(self) -> None:
        """Makes the lines survive a power cut."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flushes and closes the file."""
        self.flush()
        self._file.close()


class WeightsAndBiases(Writer):
    """Writes to a run of Weights & Biases; a run directory has one, which resuming goes on with.

    Where it is sent, or whether it stays on the disk, is up to the variables that W&B reads:
    ``WANDB_PROJECT``, ``WANDB_MODE=offline``, ...
    """

    def __init__(self, directory: Path):
        """Opens the run.

        Args:
          directory: the run directory; W&B keeps its files in `wandb` there.

        Raises:
          InputError: W&B does not open it.
        """
        import wandb

        # Its folders are named after the time and the identity of a run.
        known = sorted(path.name for path in (directory / "wandb").glob("*run-*-*"))
        identity = known[-1].rpartition("-")[2] if known else None
        settings = wandb.Settings(console="off", silent=True)
        fields = {"dir": directory, "id": identity, "name": directory.name, "settings": settings}
        try:
            self._run = wandb.init(resume="allow", **fields)
        except wandb.Error as error:
            raise InputError(
                f"Weights & Biases cannot be used ({error}): log in with `wandb login`, or set "
                "WANDB_MODE=offline"
            ) from error
        self._wandb = wandb
        # A resumed run repeats steps that its checkpoint lacks, which W&B's own count refuses.
        self._run.define_metric("*", step_metric="step")

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes the numbers of a step."""
        self._run.log({"step": step, **scalars})

    def write_images(self, step: int, images: Mapping[str, UInt8[np.ndarray, "N H W 3"]]) -> None:
        """Writes pictures."""
        shown = {name: [self._wandb.Image(x) for x in array] for name, array in images.items()}
        self._run.log({"step": step, **shown})

    def write_histograms(
        self, step: int, arrays: Mapping[str, Shaped[np.ndarray, "..."]], num_buckets: Any = None
    ) -> None:
        """Writes the distribution of the elements of arrays."""
        shown = {name: self._wandb.Histogram(x) for name, x in arrays.items()}
        self._run.log({"step": step, **shown})

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Writes the settings that differ between runs."""
        self._run.config.update(dict(hparams), allow_val_change=True)

    def close(self) -> None:
        """Returns when everything is written."""
        self._run.finish()


class Several:
    """Passes each call on to several writers, in turn."""

    def __init__(self, writers: Sequence[Any]):
        """Takes the writers."""
        self._writers = writers

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*args: Any) -> None:
            for writer in self._writers:
                getattr(writer, name)(*args)

        return call


class Grouped(Several):
    """Names numbers by group, which the pages of trackers fold: ``val/const_bags_loss``."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes the numbers of a step."""
        named = {group(name): value for name, value in scalars.items()}
        for writer in self._writers:
            writer.write_scalars(step, named)


# How names begin, and the groups in which trackers show them; the others belong to training.
_GROUPS = {
    "val_": "val/",
    "diversity_": "val/diversity_",
    "collapse_": "val/collapse_",
    "learning_rate": "rates/learning_rate",
    "d_learning_rate": "rates/d_learning_rate",
    "steps_per_second": "speed/steps_per_second",
    "data_wait_": "speed/data_wait_",
}


def group(name: str) -> str:
    """Returns the name of a number with that of its group: ``val/const_bags_loss``."""
    if "/" in name:
        return name  # evaluations: eval/bags_to_shoes/psnr
    for begin, grouped in _GROUPS.items():
        if name.startswith(begin):
            return grouped + name.removeprefix(begin)
    return f"train/{name}"


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


def check(trackers: Sequence[Tracker]) -> None:
    """Checks that what was chosen beside TensorBoard is installed.

    Raises:
      InputError: it is not.
    """
    if "wandb" in trackers and importlib.util.find_spec("wandb") is None:
        raise InputError(
            "config.train.trackers has wandb, which is not installed: pip install wandb, or choose "
            "tensorboard alone"
        )


def open_writer(
    directory: Path, start_step: int, trackers: Sequence[Tracker] = ("tensorboard",)
) -> Writer:
    """Opens the writers of a run.

    Args:
      directory: the run directory; `metrics.jsonl` and the files of trackers go there.
      start_step: number of finished steps.
      trackers: what gets the metrics beside `metrics.jsonl`.

    Returns:
      A writer to all, in the background, or to `metrics.jsonl` alone where there is no tracker.
      TensorBoard is left out, with a warning in the log, where CLU or TensorFlow is not installed.
    """
    path = directory / METRICS_FILE
    missing = _missing()
    if missing and "tensorboard" in trackers:
        logging.warning(
            "%s not installed: no TensorBoard events, only %s", " and ".join(missing), path.name
        )
    if not (trackers := _usable(trackers)):
        return JsonLines(path, start_step)

    def open_all() -> Any:
        opened = _open_trackers(directory, trackers)
        return Several([JsonLines(path, start_step), Grouped(opened)])

    # W&B starts on the main thread. TensorFlow takes seconds to import: the first step is compiled
    # meanwhile.
    opened = open_all() if "wandb" in trackers else None
    return cast(Writer, opened if "clu" in missing else InBackground(lambda: opened or open_all()))


def write_hparams(
    directory: Path,
    hparams: Mapping[str, Any],
    step: int,
    measures: Mapping[str, float],
    trackers: Sequence[Tracker] = ("tensorboard",),
) -> None:
    """Writes what trackers compare runs by, such as TensorBoard in its HParams tab.

    Args:
      directory: the run directory.
      hparams: the settings that differ between runs: bools, numbers, texts or None.
      step: the step that was measured.
      measures: the measured numbers; those that are not finite are left out.
      trackers: the trackers of the run.
    """
    for tracker in _open_trackers(directory, _usable(trackers)):
        tracker.write_hparams(hparams)
        tracker.write_scalars(step, {k: v for k, v in measures.items() if math.isfinite(v)})
        tracker.close()


def _open_trackers(directory: Path, trackers: Sequence[Tracker]) -> list[Any]:
    """Opens a writer for each tracker; another one, a class like `WeightsAndBiases`, is added here.

    A run opens them whenever it starts or resumes, and a sweep once more after each run.

    Args:
      directory: the run directory.
      trackers: the trackers, which are installed.
    """
    opened: list[Any] = []
    if "tensorboard" in trackers:
        tensorflow()  # before CLU imports it, to keep it off the accelerators
        from clu import metric_writers

        opened.append(metric_writers.SummaryWriter(str(directory)))
    if "wandb" in trackers:
        opened.append(WeightsAndBiases(directory))
    return opened


def _usable(trackers: Sequence[Tracker]) -> list[Tracker]:
    """Leaves out TensorBoard where what it needs is not installed."""
    return [name for name in trackers if name != "tensorboard" or not _missing()]


def _missing() -> list[str]:
    """Packages that TensorBoard's writer needs and that are not installed."""
    return [n for n in ("clu", "tensorflow") if importlib.util.find_spec(n) is None]
