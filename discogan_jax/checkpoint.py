"""Checkpoints of the state, and nothing but the state, with Orbax."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from discogan_jax.state import TrainState


def open_manager(directory: Path, *, keep: int, keep_every: int) -> ocp.CheckpointManager:
    """Opens a folder of checkpoints ``STEP/``, and makes it if it is not there.

    Args:
      directory: an absolute path.
      keep: how many of the last checkpoints stay.
      keep_every: every so-many-th step's checkpoint stays for good; 0 for none.
    """
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        keep_period=keep_every or None,
        enable_async_checkpointing=True,
        cleanup_tmp_directories=True,
    )
    return ocp.CheckpointManager(directory, options=options)


def save(manager: ocp.CheckpointManager, step: int, state: TrainState) -> None:
    """Starts to save in the background; the state may be donated as soon as this returns.

    Raises:
      Exception: an earlier save failed in the background.
    """
    manager.check_for_errors()
    if step not in manager.all_steps():
        manager.save(step, args=ocp.args.StandardSave(state), force=True)


@jax.jit
def _is_finite(state: TrainState) -> jax.Array:
    return jnp.all(jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(state)]))


def is_finite(state: TrainState) -> bool:
    """Whether every number of a state is finite: no other state is worth saving."""
    return bool(_is_finite(state))


def restore(
    manager: ocp.CheckpointManager, shapes: TrainState, sharding: Any, step: int | None = None
) -> TrainState | None:
    """Reads a checkpoint onto the devices.

    Args:
      manager: of the folder.
      shapes: the state's shapes, from ``jax.eval_shape``.
      sharding: where the arrays go.
      step: which checkpoint; the last one if None.

    Returns:
      The state, or None if there is no checkpoint yet.
    """
    step = manager.latest_step() if step is None else step
    if step is None:
        return None
    return manager.restore(step, args=ocp.args.StandardRestore(_placed(shapes, sharding)))


def steps_saved(directory: Path) -> list[int]:
    """Steps of the whole checkpoints of a folder, which another process may be writing to."""
    if not directory.is_dir():
        return []
    return sorted(ocp.utils.checkpoint_steps(directory))


def read(directory: Path, step: int, shapes: TrainState, sharding: Any) -> TrainState:
    """Reads one checkpoint and leaves its folder as it is; arguments as in `restore`."""
    with ocp.CheckpointManager(
        directory, options=ocp.CheckpointManagerOptions(read_only=True)
    ) as manager:
        return manager.restore(step, args=ocp.args.StandardRestore(_placed(shapes, sharding)))


def _placed(shapes: TrainState, sharding: Any) -> TrainState:
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding), shapes)
