"""Reads checkpoints, and changes nothing: the newest one that is intact, or that of a step."""

import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from absl import logging

from discogan_jax import host
from discogan_jax.errors import InputError
from discogan_jax.runs import manifest
from discogan_jax.runs.snapshot import reason, tree_of
from discogan_jax.sharding import shapes_with
from discogan_jax.state import TrainState

Shardings = Any
"""A `jax.sharding.Sharding` for all arrays of a state, or a tree of them."""


class _RemovedError(InputError):
    """A checkpoint that another process has removed since it was chosen."""


def read(
    directory: Path, shapes: TrainState, sharding: Shardings, step: int | None = None
) -> tuple[int, TrainState]:
    """Reads a checkpoint and changes nothing in its folder; another process may be saving there.

    Args:
      directory: folder of the checkpoints.
      shapes: see `Checkpoints.restore`.
      sharding: see `Checkpoints.restore`.
      step: step of the checkpoint; the newest intact one if None.

    Returns:
      Its step and state.

    Raises:
      InputError: it is damaged, or holds another state.
    """
    if step is None:
        try:
            return _read_newest(directory, shapes, sharding)
        except _RemovedError:  # training goes on there, so there is a newer one
            return _read_newest(directory, shapes, sharding)
    if manifest.is_sealed(folder := directory / str(step)) and (problem := _problem(folder)):
        raise InputError(f"{folder} cannot be trusted: {problem}")
    return step, load(folder, shapes, sharding)


def _read_newest(
    directory: Path, shapes: TrainState, sharding: Shardings
) -> tuple[int, TrainState]:
    step, damaged = newest_intact(directory)
    for s, problem in damaged.items():
        folder = directory / str(s)
        # It may be saved at this moment, or was a moment ago.
        if manifest.is_sealed(folder) and _problem(folder):
            instead = f"Using step {step} instead."
            logging.error("%s cannot be trusted: %s. %s", folder, problem, instead)
    return step, load(directory / str(step), shapes, sharding)


def _problem(folder: Path) -> str:
    return "; ".join(manifest.verify(folder)[:3])


def newest_intact(directory: Path) -> tuple[int, dict[int, str]]:
    """Finds the newest checkpoint that is intact, in a folder that has one at least.

    Returns:
      Its step, and the problems of the newer ones.

    Raises:
      InputError: all are damaged.
    """
    problems: dict[int, str] = {}
    for step in reversed(manifest.steps(directory)):
        if not (problem := _problem(directory / str(step))):
            return step, problems
        problems[step] = problem

    # None is sealed and intact. Earlier versions wrote no manifests, so one without may be whole.
    for step in problems:
        folder = directory / str(step)
        if not manifest.is_sealed(folder) and (folder / "default").exists():
            return step, {s: newer for s, newer in problems.items() if s > step}
    found = "".join(f"\n  {step}: {problem}" for step, problem in problems.items())
    raise InputError(
        f"{directory} has no checkpoint that is whole. Put back a copy, or name another run "
        f"directory to start anew:{found}"
    )


def load(folder: Path, shapes: TrainState, sharding: Shardings) -> TrainState:
    """Reads a checkpoint that is intact, or has no manifest."""
    sealed = manifest.is_sealed(folder)
    try:
        # What has no manifest may hold anything; Orbax would wait for the writer of a pipe.
        others = [p for p in folder.rglob("*") if not (p.is_file() or p.is_dir())]
        if others and os.path.lexists(others[0]):  # or it was removed meanwhile
            raise InputError(f"{others[0]} is no file: it was not written here. Remove it")
        with without_patterns(folder) as seen, ocp.StandardCheckpointer() as checkpointer:
            # Earlier versions did not average statistics.
            saved = ocp.StandardCheckpointHandler().metadata(seen / "default").tree
            fields = vars(shapes_with(shapes, sharding))
            target = {name: x for name, x in fields.items() if name in saved}
            there = manifest.tree(folder) if sealed else tree_of(target)
            if different := manifest.differences(there, tree_of(target)):
                raise InputError(
                    f"{folder} holds another state than this config makes ({len(different)} "
                    "arrays differ):\n  " + "\n  ".join(different[:5])
                )
            state = TrainState(**checkpointer.restore(seen / "default", target))
    except Exception as error:
        if isinstance(error, InputError) or host.out_of_memory(error):
            raise
        if not folder.is_dir():
            raise _RemovedError(f"{folder} was removed meanwhile: name another step") from error
        why = "" if sealed else ", and has no manifest: its save was cut off"
        raise InputError(
            f"{folder} cannot be read ({reason(error)}){why}. Remove it to use the checkpoint "
            "before it"
        ) from error
    if int(state.step) != int(folder.name):
        raise InputError(
            f"{folder} holds the state of step {int(state.step)}: somebody has renamed or copied "
            "it. Remove it, or give it that name"
        )
    if not sealed:
        logging.error("%s is taken as it is, unverified: %s", folder, _problem(folder))
    if state.ema is not None and state.ema_stats is None:
        logging.info("%s has no averages of statistics: they begin with the running ones", folder)
        return replace(state, ema_stats=jax.tree.map(jnp.copy, state.gen.batch_stats))
    return state


@contextmanager
def without_patterns(folder: Path) -> Iterator[Path]:
    """Gives a path to a folder without brackets, stars and question marks, which Orbax expands."""
    if not glob.has_magic(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="discogan-") as place:
        link = Path(place, "folder")
        link.symlink_to(folder, target_is_directory=True)
        yield link
