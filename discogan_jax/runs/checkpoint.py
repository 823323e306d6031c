"""Checkpoints of the state, and nothing but the state: Orbax's format, and a manifest on top.

Orbax restores damaged files without an error, and takes any folder whose name is a number for a
checkpoint. So each checkpoint is sealed with a manifest once it is written, and verified before it
is read.
"""

import os
import shutil
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from functools import cached_property
from pathlib import Path
from typing import Self

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from absl import logging
from jaxtyping import Array, Bool

from discogan_jax import multihost
from discogan_jax.config.schema import Train
from discogan_jax.errors import InputError
from discogan_jax.files import disk_full, remove_folder, remove_leftovers
from discogan_jax.runs import best, manifest, reading
from discogan_jax.runs.snapshot import Snapshot
from discogan_jax.state import TrainState

LEAST_KEPT = 2
"""The number of sealed checkpoints that are kept whatever a config says: one may get damaged."""


def most_kept(t: Train) -> int:
    """Returns how many checkpoints a run has at the most, the one that is being saved included."""
    every = t.checkpoint_every or t.steps
    recent = [*range(every, t.steps, every)[-max(t.keep, LEAST_KEPT) :], t.steps]
    others = 1 if t.keep_best else 0
    if t.keep_every:
        others += t.steps // t.keep_every - sum(step % t.keep_every == 0 for step in recent)
    return len(recent) + others


class Checkpoints:
    """The checkpoints ``STEP/`` of a run in training; a context that ends with all of them sealed.

    Where several processes train one run, all of them make the same calls.
    """

    def __init__(
        self, directory: Path, *, keep: int, keep_every: int, keep_best: str | None = None
    ):
        """Opens a folder; leftovers of killed processes are removed.

        Args:
          directory: an absolute path, in the run directory; created by the first save.
          keep: number of the last checkpoints that are kept; two at least.
          keep_every: period of the steps whose checkpoints are kept for good; 0 for none.
          keep_best: the measure whose best step is kept, see `best.find`; None for none.
        """
        self._directory = directory
        self._keep, self._keep_every = max(keep, LEAST_KEPT), keep_every
        self._keep_best = keep_best
        self._thread = ThreadPoolExecutor(1, "seal")
        self._sealing: Future[None] | None = None
        self._opened = ExitStack()
        self._remove_leftovers()

    @cached_property
    def _manager(self) -> ocp.CheckpointManager:
        # Created after `restore` has renamed what Orbax would take for a checkpoint.
        self._directory.mkdir(parents=True, exist_ok=True)
        seen = self._opened.enter_context(reading.without_patterns(self._directory))
        manager = ocp.CheckpointManager(seen, options=ocp.CheckpointManagerOptions())
        return self._opened.enter_context(closing(manager))

    def last(self) -> int | None:
        """Returns the step of the newest checkpoint, or None if there is none."""
        return max(manifest.steps(self._directory), default=None)

    def save(self, step: int, state: TrainState) -> None:
        """Starts to save in the background; the state may be donated once this returns.

        Raises:
          Exception: an earlier save failed in the background.
        """
        self.wait()
        if not multihost.all_max(int(step in manifest.steps(self._directory))):
            self._manager.save(step, args=ocp.args.StandardSave(state), force=True)
            self._sealing = self._thread.submit(self._seal, step, Snapshot.of(state))

    def check_for_errors(self) -> None:
        """Raises the error of a save that has failed in the background, once."""
        if self._sealing is not None and self._sealing.done():
            self.wait()

    def wait(self) -> None:
        """Waits until the last save is sealed and old checkpoints are removed.

        Raises:
          Exception: saving failed.
        """
        if self._sealing is not None:
            sealing, self._sealing = self._sealing, None
            sealing.result()
            self._prune()

    def restore(self, shapes: TrainState, sharding: reading.Shardings) -> TrainState | None:
        """Reads the newest intact checkpoint onto the devices.

        Damaged ones, and one whose save was cut off, are renamed to ``STEP.damaged``, so that the
        run can save those steps again.

        Args:
          shapes: shapes of the state, from ``jax.eval_shape``.
          sharding: placement of the arrays.

        Returns:
          The state, or None if there is no checkpoint yet.

        Raises:
          InputError: all checkpoints are damaged, or they hold another state.
        """
        # Process 0 chooses a checkpoint; then all of them read it.
        step = multihost.all_max(multihost.on_process_0_first(self._choose))
        return None if step < 0 else reading.load(self._directory / str(step), shapes, sharding)

    def _choose(self) -> int:
        """Returns the step to resume from on process 0; -1 if there is none, and elsewhere."""
        if not multihost.is_chief():
            return -1
        step, damaged = -1, dict[int, str]()
        if manifest.steps(self._directory):
            step, damaged = reading.newest_intact(self._directory)
        # The steps after it are saved again, so their names have to be free.
        damaged |= {int(p.name): "it is no folder" for p in manifest.misplaced(self._directory)}
        for s, problem in damaged.items():
            folder = self._directory / str(s)
            names = (folder.with_name(f"{s}.damaged{i or ''}") for i in range(1000))
            new = folder.rename(next(name for name in names if not os.path.lexists(name)))
            going_on = "starting anew" if step < 0 else f"resuming from step {step}"
            renamed = f"Renamed to {new.name}; {going_on}."
            logging.error("%s cannot be trusted: %s. %s", folder, problem, renamed)
        return step

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A second Ctrl-C does not wait for what is being saved.
        if kind is not None and not issubclass(kind, Exception):
            self._thread.shutdown(wait=False)
            return

        # The first error is raised; one of the last save does not hide it.
        try:
            self.wait()
        except Exception as error:
            if kind is None:
                raise
            logging.error("The last save failed as well: %s", error)
        finally:
            self._thread.shutdown()
            with suppress(Exception):  # `wait` has raised it already
                self._opened.close()
            self._remove_leftovers()

    def _seal(self, step: int, saved: Snapshot) -> None:
        self._manager.wait_until_finished()
        if not multihost.is_chief():
            return
        folder = self._directory / str(step)
        with reading.without_patterns(folder) as seen:
            if problem := saved.problem(seen / "default"):
                raise InputError(
                    f"{folder} does not hold what was saved ({problem}), and is not used. Look for "
                    "faults of this disk or file system, or name another --workdir"
                )
        manifest.seal(folder, saved.tree)

    def _prune(self) -> None:
        # Not Orbax's preservation policy: it counts the checkpoint that is being saved before its
        # manifest vouches for it, and removes folders file by file, so that a killed process would
        # leave parts of them.
        sealed = manifest.sealed_steps(self._directory)
        if len(sealed) < self._keep or not multihost.is_chief():
            return
        old = [s for s in manifest.steps(self._directory) if s < sealed[-self._keep]]
        found = best.find(self._directory.parent, self._keep_best) if old else None
        for s in old:
            for_good = self._keep_every and s % self._keep_every == 0
            if not for_good and not (found and s == found.step):
                _remove(self._directory / str(s))

    def _remove_leftovers(self) -> None:
        if not multihost.is_chief():
            return

        # Those of Orbax. After a failed save, TensorStore's threads go on writing for a moment.
        for _ in range(20):
            for path in (unfinished := [*self._directory.glob("*.orbax-checkpoint-tmp*")]):
                shutil.rmtree(path, ignore_errors=True)
            if not unfinished:
                break
            time.sleep(0.1)

        # Our own: of removed folders, and of manifests.
        remove_leftovers(self._directory)
        for step in manifest.steps(self._directory):
            remove_leftovers(self._directory / str(step))


def require_writable(directory: Path) -> None:
    """Checks that the checkpoints of a run can be written; leaves nothing.

    Raises:
      InputError: it cannot be written: Orbax would wait for minutes, after hours of training.
      OSError: the disk is full or read-only, see `disk_full`.
    """
    there = directory.is_dir()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
        if not there:
            directory.rmdir()
    except OSError as error:
        if disk_full(error):
            raise
        why = "it is no folder" if os.path.lexists(directory) and not directory.is_dir() else ""
        raise InputError(
            f"{directory} cannot take checkpoints ({why or error.strerror}): remove it, or name "
            "another --workdir"
        ) from error


def _remove(folder: Path) -> None:
    """Removes an old checkpoint; one that cannot be removed is no reason to stop training."""
    try:
        remove_folder(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        logging.warning("%s cannot be removed (%s), and stays", folder, error.strerror)


@jax.jit
def is_finite(state: TrainState) -> Bool[Array, ""]:
    """Returns whether every number of a state is finite; other states are not worth saving."""
    return jnp.all(jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(state)]))
