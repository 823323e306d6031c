"""Reads the weights of the official PyTorch code: a folder with the state dicts of four networks.

The files are ``gen_A``, ``gen_B``, ``dis_A`` and ``dis_B`` with the suffix ``.safetensors``,
``.pt`` or ``.pth``. They are read as tensors only: nothing that could run code is unpickled.
"""

import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from flax import linen as nn

from discogan_jax import interop, models
from discogan_jax.errors import InputError
from discogan_jax.state import Player, TrainState

_SUFFIXES = (".safetensors", ".pt", ".pth")
_NAMES = ("gen_A", "gen_B", "dis_A", "dis_B")
_PICKLED = re.compile(r"model_(gen|dis)_[AB]-.*")
_ADVICE = (
    "the authors' script pickles whole modules, which may run any code when they are read. "
    "docs/finetuning.md has three lines that write their tensors instead"
)
_FLOATS = ("float16", "bfloat16", "float32", "float64")


def is_there(folder: Path) -> bool:
    """Returns whether a folder has files that are named like those of PyTorch or of the authors."""
    if not folder.is_dir():
        return False
    return any(p.suffix in _SUFFIXES or _PICKLED.fullmatch(p.name) for p in folder.iterdir())


def read(folder: Path) -> tuple[tuple[int, int, int], TrainState]:
    """Reads the four networks.

    Returns:
      The shape of the smallest images that the networks take, and their arrays, without averages
      and states of optimizers.

    Raises:
      InputError: files are missing or damaged, or hold other networks.
    """
    files = _find(folder)
    tensors = {name: _tensors(path) for name, path in files.items()}
    types = {str(x.dtype) for found in tensors.values() for x in found.values()}
    if others := sorted(types - {"float32"}):
        logging.info("%s: %s became float32", folder, " and ".join(others))

    def converted(name: str, convert: Callable[[interop.Tensors], Any]) -> Any:
        try:
            return convert(tensors[name])
        except InputError as error:
            raise InputError(f"{files[name]}: {error}") from error

    # The authors' generator_B makes images of B.
    gen = {n: converted(f"gen_{n[1].upper()}", interop.generator_from_torch) for n in ("ab", "ba")}
    dis = {n: converted(f"dis_{n.upper()}", interop.discriminator_from_torch) for n in ("a", "b")}
    generator = _generator(gen["ab"]["params"])
    discriminator = models.Discriminator(_features(dis["a"]["params"]))
    size = 4 * 2 ** max(len(generator.features), len(discriminator.features))
    image_shape = (size, size, gen["ab"]["params"]["down_0"]["kernel"].shape[2])
    _check(folder, generator, image_shape, gen)
    _check(folder, discriminator, image_shape, dis)

    if image_shape[2] == 3:
        _swap_colours(gen, "down_0", "out")
        _swap_colours(dis, "down_0")
        logging.info("%s: red and blue are swapped, since the authors' code reads BGR", folder)
    zero = jnp.zeros((), jnp.int32)
    return image_shape, TrainState(step=zero, updates=zero, gen=_player(gen), dis=_player(dis))


def _find(folder: Path) -> dict[str, Path]:
    """Finds the four files."""
    names = sorted(path.name for path in folder.iterdir())
    if pickled := [name for name in names if _PICKLED.fullmatch(name)]:
        raise InputError(f"{folder} has {pickled[0]}: {_ADVICE}")
    files = [folder / name for name in names if Path(name).suffix in _SUFFIXES]
    found = {path.stem: path for path in files}
    missing = [name for name in _NAMES if name not in found]
    surplus = [p.name for p in files if p.stem not in _NAMES or p != found[p.stem]]
    if missing or surplus:
        wrong = {"missing": missing, "too many": surplus}
        found_out = "; ".join(f"{what}: {', '.join(x)}" for what, x in wrong.items() if x)
        raise InputError(
            f"{folder} must have gen_A, gen_B, dis_A and dis_B, each as one file .safetensors, .pt "
            f"or .pth ({found_out})"
        )
    return found


def _tensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a file, without PyTorch's counts of batches."""
    found = _safetensors(path) if path.suffix == ".safetensors" else _state_dict(path)
    found = {n: x for n, x in found.items() if not n.endswith("num_batches_tracked")}
    for name, x in found.items():
        if str(x.dtype) not in _FLOATS:
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
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged ({error})") from error


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
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} holds more than tensors: {_ADVICE}") from error
    except Exception as error:  # PyTorch's reader raises any kind
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{path} is damaged ({reason})") from error
    if not isinstance(found, Mapping) or not all(torch.is_tensor(x) for x in found.values()):
        raise InputError(f"{path} is no state dict: {_ADVICE}")
    # NumPy has no bfloat16 of PyTorch.
    return {n: (x.float() if x.dtype == torch.bfloat16 else x).numpy() for n, x in found.items()}


def _features(params: Mapping[str, Any]) -> tuple[int, ...]:
    """Returns the channels of the levels on the way down."""
    count = sum(name.startswith("down_") and "kernel" in x for name, x in params.items())
    return tuple(params[f"down_{i}"]["kernel"].shape[-1] for i in range(count))


def _generator(params: Mapping[str, Any]) -> models.Generator:
    bottleneck = params["code"]["kernel"].shape[-1] if "code" in params else None
    return models.Generator(_features(params), bottleneck)


def _check(
    folder: Path, module: nn.Module, image_shape: tuple[int, ...], networks: Mapping[str, Any]
) -> None:
    """Checks that networks have the shapes of a module."""

    def shapes(variables: Any) -> dict[str, tuple[int, ...]]:
        leaves = jax.tree.leaves_with_path(variables)
        return {jax.tree_util.keystr(p, simple=True, separator="/"): x.shape for p, x in leaves}

    image = jnp.zeros((1, *image_shape))
    variables = jax.eval_shape(lambda key: module.init(key, image, True), jax.random.key(0))
    wanted = shapes(variables)
    for network, found in ((network, shapes(x)) for network, x in networks.items()):
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                raise InputError(
                    f"{folder}: network {network} is not the official one: {name} has the shape "
                    f"{found.get(name)}, not {wanted.get(name)}"
                )


def _swap_colours(networks: Mapping[str, Any], *layers: str) -> None:
    """Makes networks of BGR images those of RGB images, in place."""
    for variables in networks.values():
        for name in layers:
            # The channels of an image are the third axis of either kind of kernel.
            layer = variables["params"][name]
            layer["kernel"] = np.ascontiguousarray(layer["kernel"][:, :, ::-1])


def _player(networks: Mapping[str, Any]) -> Player:
    params = {name: variables["params"] for name, variables in networks.items()}
    stats = {name: variables["batch_stats"] for name, variables in networks.items()}
    return Player(params=params, batch_stats=stats, opt_state=())
