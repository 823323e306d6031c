"""Reads the weights of the official PyTorch code: a folder with the state dicts of four networks.

The files are ``gen_A``, ``gen_B``, ``dis_A`` and ``dis_B`` with the suffix ``.safetensors``,
``.pt`` or ``.pth``. They are read as tensors only: nothing that could run code is unpickled.
"""

import pickle
import re
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from absl import logging

from discogan_jax import interop
from discogan_jax.errors import InputError
from discogan_jax.files import require_regular
from discogan_jax.state import Player, TrainState

_SUFFIXES = (".safetensors", ".pt", ".pth")
_CONVERTERS = {"gen": interop.generator_from_torch, "dis": interop.discriminator_from_torch}
# Our names of the networks, by those of their files: the authors' generator_B makes images of B.
_NETWORKS = {"gen_A": "ba", "gen_B": "ab", "dis_A": "a", "dis_B": "b"}
_PICKLED = re.compile(r"model_(gen|dis)_[AB]-.*")
_ADVICE = (
    "the authors' script pickles whole modules, which may run any code when they are read. "
    "the documentation of fine-tuning has three lines that write their tensors instead"
)


def is_there(folder: Path) -> bool:
    """Returns whether a folder has files that are named like those of PyTorch or of the authors."""
    return any(p.suffix in _SUFFIXES or _PICKLED.fullmatch(p.name) for p in folder.glob("*"))


def read(folder: Path) -> tuple[tuple[int, int, int], TrainState]:
    """Reads the four networks.

    Returns:
      The shape of the smallest images that the networks take, and their arrays, without averages
      and states of optimizers.

    Raises:
      InputError: files are missing or damaged, or hold other networks.
    """
    tensors = {path: _tensors(path) for path in _find(folder)}
    types = {str(x.dtype) for found in tensors.values() for x in found.values()}
    if others := sorted(types - {"float32"}):
        logging.info("%s: %s became float32", folder, " and ".join(others))
    players = {side: Player(params={}, batch_stats={}, opt_state=()) for side in _CONVERTERS}
    for path, found in tensors.items():
        player, network = players[path.stem[:3]], _NETWORKS[path.stem]
        try:
            variables = _CONVERTERS[path.stem[:3]](found)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        player.params[network] = variables["params"]
        player.batch_stats[network] = variables["batch_stats"]

    gen, dis = players["gen"], players["dis"]
    levels = sum("kernel" in layer for layer in dis.params["a"].values())
    size, channels = 2 * 2**levels, dis.params["a"]["down_0"]["kernel"].shape[2]
    if channels == 3:
        logging.info("%s: red and blue are swapped, since the authors' code reads BGR", folder)
    zero = jnp.zeros((), jnp.int32)
    return (size, size, channels), TrainState(step=zero, updates=zero, gen=gen, dis=dis)


def _find(folder: Path) -> list[Path]:
    """Finds the four files."""
    there = sorted(folder.iterdir())
    if pickled := [path.name for path in there if _PICKLED.fullmatch(path.name)]:
        raise InputError(f"{folder} has {pickled[0]}: {_ADVICE}")
    files = [path for path in there if path.suffix in _SUFFIXES]
    if sorted(path.stem for path in files) != sorted(_NETWORKS):
        raise InputError(
            f"{folder} must have gen_A, gen_B, dis_A and dis_B, each as one file .safetensors, .pt "
            f"or .pth; it has {', '.join(path.name for path in files)}"
        )
    return files


def _tensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a file, without PyTorch's counts of batches."""
    require_regular(path)
    found = _safetensors(path) if path.suffix == ".safetensors" else _state_dict(path)
    found = {n: x for n, x in found.items() if not n.endswith("num_batches_tracked")}
    for name, x in found.items():
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise InputError(f"{path}: {name} is of type {x.dtype}, not of floating-point numbers")
        if not np.isfinite(np.asarray(x, np.float32)).all():
            raise InputError(f"{path}: {name} has numbers that are not finite in float32")
    return found


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise InputError(
            f"{path} needs the package safetensors: pip install 'discogan_jax[weights]'"
        ) from None
    try:
        return load_file(path)
    # Numbers of types that NumPy lacks, such as those of 8 bits, raise other kinds.
    except (SafetensorError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged, or of other types ({error})") from error


def _state_dict(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise InputError(
            f"{path} needs PyTorch, which is not installed: pip install torch, or save the tensors "
            "as .safetensors"
        ) from None
    try:
        with warnings.catch_warnings():  # about pickles that it did not write
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
        # NumPy has no bfloat16 of PyTorch; parameters themselves have gradients.
        plain = {n: x.float() if x.dtype == torch.bfloat16 else x for n, x in found.items()}
        return {str(n): x.detach().numpy() for n, x in plain.items()}
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} holds more than tensors: {_ADVICE}") from error
    except Exception as error:  # PyTorch's reader raises any kind; others are no state dicts
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{path} is damaged, or no state dict ({reason}): {_ADVICE}") from error
