"""A copy of a state in the memory of the host, which its checkpoint is compared with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp

from discogan_jax import host
from discogan_jax.runs.manifest import Tree


@dataclass(frozen=True)
class Snapshot:
    """What a state held when its save began.

    Attributes:
      target: the state's tree, of arrays of its shapes and types that take no memory.
      parts: of each array, the parts that this process has, with their places in it.
    """

    target: Any
    parts: Sequence[Sequence[tuple[tuple[slice, ...], np.ndarray]]]

    @classmethod
    def of(cls, state: Any) -> Self:
        """Copies a state, which may be donated once this returns."""
        target = jax.tree.map(lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), state)
        return cls(target, [[*_own_parts(x)] for x in jax.tree.leaves(state)])

    @property
    def tree(self) -> Tree:
        """Shapes and types of the arrays."""
        return tree_of(self.target)

    def problem(self, folder: Path) -> str | None:
        """Reads what was written, into the memory of the host, and compares it with the copy.

        Args:
          folder: folder of Orbax's files; no pattern, see `checkpoint`.

        Returns:
          What differs first, or why nothing can be read; None if all is as it was.
        """
        try:
            # The handler itself: other ways wait for the other processes of the run.
            read = ocp.args.StandardRestore(self.target)
            there = ocp.StandardCheckpointHandler().restore(folder, args=read)
        except Exception as error:  # Orbax and TensorStore raise any kind
            if host.out_of_memory(error):
                raise
            return reason(error)
        for (path, x), parts in zip(jax.tree.leaves_with_path(there), self.parts, strict=True):
            if any(x[place].tobytes() != part.tobytes() for place, part in parts):
                return f"{_name(path)} has other numbers"
        return None


def tree_of(state: Any) -> Tree:
    """Returns shape and type of each array of a state."""
    leaves = jax.tree.leaves_with_path(state)
    return {_name(path): (tuple(x.shape), str(x.dtype)) for path, x in leaves}


def reason(error: BaseException) -> str:
    """Returns what an error of Orbax says, without the notes that TensorStore adds."""
    line = str(error).strip().partition("\n")[0].partition(" [tensorstore_spec")[0]
    return line or type(error).__name__


def _own_parts(x: jax.Array) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    # Devices that hold the same part hold it at the same place.
    for shard in {str(shard.index): shard for shard in x.addressable_shards}.values():
        yield shard.index, np.array(shard.data)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
