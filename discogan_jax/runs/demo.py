"""The model that the package carries: two generators in half precision, opened as a run is.

Its folder is that of a model card, with `weights.npz` in place of a checkpoint; a copy of it opens
as well. ``python -m experiments.demo_model`` makes it.
"""

import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import discogan_jax
from discogan_jax.errors import InputError
from discogan_jax.files import replacing, require_regular
from discogan_jax.runs.layout import WEIGHTS_FILE
from discogan_jax.state import Player, TrainState

NAME = "demo"

FOLDER = Path(discogan_jax.__file__).parent / NAME
"""Where it is; nothing is written there."""


def located(path: str | Path) -> Path:
    """Returns the place that a name stands for: `NAME` is the carried model, unless it is here."""
    path = Path(path)
    return FOLDER if path == Path(NAME) and not path.exists() else path


def results(path: Path) -> Path:
    """Returns the folder of a run, for what is made of it.

    Raises:
      InputError: it is `FOLDER`.
    """
    if path == FOLDER:
        raise InputError(
            f"{NAME} is a part of the package, which nothing is written into: name --out, or use a "
            f"copy of {path}"
        )
    return path


def write(state: TrainState, folder: Path) -> None:
    """Writes the generators of a state, averaged where it has averages, as `weights.npz`."""
    arrays: dict[str, Any] = {
        _name(keys): np.asarray(x, np.float16)
        for keys, x in jax.tree.leaves_with_path(_generators(state))
    }
    with replacing(folder / WEIGHTS_FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, step=state.step, **arrays)


def is_there(folder: Path) -> bool:
    """Whether a folder has such weights."""
    return (folder / WEIGHTS_FILE).exists()


def read(folder: Path, shapes: TrainState) -> TrainState:
    """Reads what `write` wrote, in the precision of the shapes; discriminators are left empty.

    Args:
      folder: the folder, for which `is_there` holds.
      shapes: those of the whole state.

    Raises:
      InputError: the file is damaged, or has other networks.
    """
    path = folder / WEIGHTS_FILE
    require_regular(path)
    try:
        # Opened here: of a damaged one NumPy leaves its own open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = dict(found)
        step = jnp.asarray(arrays.pop("step"), jnp.int32)
        expected = {_name(k): x for k, x in jax.tree.leaves_with_path(_generators(shapes))}
        if {n: x.shape for n, x in arrays.items()} != {n: x.shape for n, x in expected.items()}:
            raise ValueError("it has other networks than the config")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}): put back a copy") from error
    made = jax.tree.map_with_path(
        lambda keys, x: jnp.asarray(arrays[_name(keys)], x.dtype), _generators(shapes)
    )
    gen, none = Player(**made, opt_state=()), Player(params={}, batch_stats={}, opt_state=())
    averages = (gen.params, gen.batch_stats) if shapes.ema is not None else (None, None)
    return TrainState(step, jnp.zeros((), jnp.int32), gen, none, *averages)


def _generators(state: TrainState) -> dict[str, Any]:
    """Returns the parameters and statistics that translate."""
    stats = state.gen.batch_stats if state.ema_stats is None else state.ema_stats
    params = state.gen.params if state.ema is None else state.ema
    return {"params": params, "batch_stats": stats}


def _name(keys: Any) -> str:
    return jax.tree_util.keystr(keys, simple=True, separator="/")
