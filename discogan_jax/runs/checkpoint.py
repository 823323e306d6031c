"""Checkpoints of the state, and nothing but the state: Orbax's format, and a manifest on top.

Orbax restores damaged files without a word, and takes any folder with a number for its name as a
checkpoint. So each checkpoint is sealed with a manifest once it is written, and verified before it
is read.
"""

import shutil
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from absl import logging

from discogan_jax import multihost
from discogan_jax.errors import InputError
from discogan_jax.files import remove_folder, remove_leftovers
from discogan_jax.runs import manifest
from discogan_jax.sharding import shapes_with
from discogan_jax.state import TrainState

LEAST_KEPT = 2
"""So many sealed checkpoints stay whatever a config says: one of them may get damaged."""


class Checkpoints:
    """The checkpoints ``STEP/`` of the one run that trains; a context that ends with all sealed.

    Where several processes train one run, all of them make the same calls.
    """

    def __init__(self, directory: Path, *, keep: int, keep_every: int):
        """Opens a folder; what a dead process was writing there is removed.

        Args:
          directory: an absolute path; made by the first save.
          keep: how many of the last checkpoints stay; two at least.
          keep_every: every so-many-th step's checkpoint stays for good; 0 for none.
        """
        self._directory = directory
        self._keep, self._keep_every = max(keep, LEAST_KEPT), keep_every
        self._thread = ThreadPoolExecutor(1, "seal")
        self._sealing: Future[None] | None = None
        self._remove_leftovers()

    @cached_property
    def _manager(self) -> ocp.CheckpointManager:
        # Made after `restore` has set aside what Orbax would take for a checkpoint.
        return ocp.CheckpointManager(self._directory, options=ocp.CheckpointManagerOptions())

    def last(self) -> int | None:
        """Step of the newest checkpoint."""
        return max(manifest.steps(self._directory), default=None)

    def save(self, step: int, state: TrainState) -> None:
        """Starts to save in the background; the state may be donated as soon as this returns.

        Raises:
          Exception: an earlier save failed in the background.
        """
        self.wait()
        if not multihost.all_max(int(step in manifest.steps(self._directory))):
            self._manager.save(step, args=ocp.args.StandardSave(state), force=True)
            self._sealing = self._thread.submit(self._seal, step, _tree(state))

    def check_for_errors(self) -> None:
        """Raises what went wrong in the background, once."""
        if self._sealing is not None and self._sealing.done():
            self.wait()

    def wait(self) -> None:
        """Returns when what was saved is sealed, and old checkpoints are gone.

        Raises:
          Exception: saving failed.
        """
        if self._sealing is not None:
            sealing, self._sealing = self._sealing, None
            sealing.result()
            self._prune()

    def restore(self, shapes: TrainState, sharding: Any) -> TrainState | None:
        """Reads the newest whole checkpoint onto the devices.

        Damaged ones, and one whose save was cut off, get the name ``STEP.damaged``, so that the
        run can save those steps again.

        Args:
          shapes: the state's shapes, from ``jax.eval_shape``.
          sharding: where the arrays go.

        Returns:
          The state, or None if there is no checkpoint yet.

        Raises:
          InputError: there are checkpoints, but no whole one, or they are of another state.
        """
        if jax.process_count() > 1:
            step_of_all = multihost.broadcast_from_0(multihost.on_process_0_first(self._decide))
            if step_of_all is None:
                return None
            return _load(self._directory / str(step_of_all), shapes, sharding)
        steps = manifest.steps(self._directory)
        if not steps:
            return None
        step, state, wrong = _newest_whole(self._directory, shapes, sharding)
        wrong |= {
            s: "; ".join(manifest.verify(self._directory / str(s)))
            for s in steps
            if s > step and s not in wrong
        }
        for s, why in wrong.items():
            self._set_aside(s, why, step)
        return state

    def _decide(self) -> int | None:
        """Which checkpoint all processes read: process 0 says; it takes sealed ones alone."""
        if not multihost.is_chief():
            return None
        steps = manifest.steps(self._directory)
        wrong = {s: "; ".join(manifest.verify(self._directory / str(s))[:3]) for s in steps}
        if steps and all(wrong.values()):
            raise _none_is_whole(self._directory, wrong)
        step = max((s for s in steps if not wrong[s]), default=None)
        for s in steps:
            if wrong[s] and step is not None and s > step:
                self._set_aside(s, wrong[s], step)
        return step

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self._thread.shutdown(wait=False)  # a second Ctrl-C: no waiting
            return
        try:
            self.wait()
        except Exception as error:
            if kind is None:
                raise
            logging.error("The last save failed, too: %s", error)
        finally:
            self._thread.shutdown()
            if "_manager" in self.__dict__:
                with suppress(Exception):  # which `wait` has raised before
                    self._manager.close()
            self._remove_leftovers()

    def _seal(self, step: int, tree: manifest.Tree) -> None:
        self._manager.wait_until_finished()
        if multihost.is_chief():
            manifest.seal(self._directory / str(step), tree)

    def _prune(self) -> None:
        steps = manifest.steps(self._directory)
        sealed = [s for s in steps if manifest.is_sealed(self._directory / str(s))]
        if len(sealed) < self._keep or not multihost.is_chief():
            return
        for s in steps:
            for_good = self._keep_every and s % self._keep_every == 0
            if s < sealed[-self._keep] and not for_good:
                remove_folder(self._directory / str(s))

    def _set_aside(self, step: int, why: str, instead: int) -> None:
        folder = self._directory / str(step)
        names = (f"{step}.damaged{i or ''}" for i in range(1000))
        new = next(p for p in map(folder.with_name, names) if not p.exists())
        folder.rename(new)
        logging.error(
            "%s cannot be trusted: %s. It is called %s now; the run goes on from step %d.",
            folder,
            why,
            new.name,
            instead,
        )

    def _remove_leftovers(self) -> None:
        if not multihost.is_chief():
            return
        # After a save that failed, TensorStore's threads write on for a moment.
        for _ in range(20):
            unfinished = list(self._directory.glob("*.orbax-checkpoint-tmp*"))
            if not unfinished:
                break
            for path in unfinished:
                shutil.rmtree(path, ignore_errors=True)
            time.sleep(0.1)
        remove_leftovers(self._directory)
        for step in manifest.steps(self._directory):
            remove_leftovers(self._directory / str(step))


@jax.jit
def _is_finite(state: TrainState) -> jax.Array:
    return jnp.all(jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(state)]))


def is_finite(state: TrainState) -> bool:
    """Whether every number of a state is finite: no other state is worth saving."""
    return bool(_is_finite(state))


def read(
    directory: Path, shapes: TrainState, sharding: Any, step: int | None = None
) -> tuple[int, TrainState]:
    """Reads a checkpoint and leaves its folder as it is; another process may be saving there.

    Args:
      directory: has checkpoints.
      shapes: the state's shapes, from ``jax.eval_shape``.
      sharding: where the arrays go, one for all or a tree of them.
      step: which one; the newest whole one if None.

    Returns:
      Its step and state.

    Raises:
      InputError: it is damaged, or of another state.
    """
    if step is not None:
        try:
            return step, _load(directory / str(step), shapes, sharding)
        except _DamagedError as error:
            raise InputError(f"{directory / str(step)} cannot be trusted: {error}") from error
    step, state, wrong = _newest_whole(directory, shapes, sharding)
    for s, why in wrong.items():
        logging.error(
            "%s cannot be trusted: %s. Step %d is taken instead.", directory / str(s), why, step
        )
    return step, state


class _DamagedError(Exception):
    """A checkpoint is not what was saved."""


def _newest_whole(
    directory: Path, shapes: TrainState, sharding: Any
) -> tuple[int, TrainState, dict[int, str]]:
    """Step and state of the newest whole checkpoint, and what is wrong with those tried before.

    One without a manifest is only taken where no sealed one is whole.
    """
    steps = manifest.steps(directory)
    wrong: dict[int, str] = {}
    for step in sorted(
        steps, key=lambda s: (manifest.is_sealed(directory / str(s)), s), reverse=True
    ):
        try:
            return step, _load(directory / str(step), shapes, sharding), wrong
        except _DamagedError as error:
            wrong[step] = str(error)
    raise _none_is_whole(directory, wrong)


def _none_is_whole(directory: Path, wrong: Mapping[int, str]) -> InputError:
    found = "".join(f"\n  {step}: {why}" for step, why in wrong.items())
    return InputError(
        f"{directory} has no checkpoint that is whole. Put back a copy, or name another run "
        f"directory to start anew:{found}"
    )


def _load(folder: Path, shapes: TrainState, sharding: Any) -> TrainState:
    """Verifies a checkpoint and reads it."""
    complaints = manifest.verify(folder)
    if sealed := manifest.is_sealed(folder):
        if complaints:
            raise _DamagedError("; ".join(complaints[:3]))
        if different := manifest.differences(manifest.tree(folder), _tree(shapes)):
            raise InputError(
                f"{folder} holds another state than this config makes ({len(different)} arrays "
                "differ):\n  " + "\n  ".join(different[:5])
            )
    placed = shapes_with(shapes, sharding)
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            state = checkpointer.restore(folder / "default", placed)
    except Exception as error:
        if sealed:
            raise
        said = str(error).strip().partition("\n")[0]
        raise _DamagedError(f"{complaints[0]}; {said}") from error
    if not sealed:
        logging.error("%s is taken as it is, unverified: %s", folder, complaints[0])
    return state


def _tree(state: TrainState) -> manifest.Tree:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (tuple(x.shape), str(x.dtype))
        for path, x in jax.tree.leaves_with_path(state)
    }
