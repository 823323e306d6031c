"""Weights of the official PyTorch implementation, as variables of these networks.

The authors read images with OpenCV, so their networks take and make BGR images; by default they are
converted to networks of RGB ones. Their images are resized bilinearly without antialiasing, ours
with it: the converted networks see smoother images than those that they were trained on.

The official generator is one ``Sequential`` called ``main``, which numbers activations, too; the
discriminator has ``conv1``, ``conv2``, ``bn2``, ... Kernels are (out, in, h, w) for a convolution
and (in, out, h, w) for a transposed one; here they are (h, w, in, out) and (h, w, out, in).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from discogan_jax.errors import InputError

Tensors = Mapping[str, np.ndarray]


def _variables(tensors: Tensors, layers: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """Converts layers, given by our name and by those of their convolution and batch norm."""
    # A state dict counts batches, too. Whatever else is missing or left over is an error.
    left = {n: x for n, x in tensors.items() if not n.endswith(".num_batches_tracked")}
    params: dict[str, Any] = {}
    stats: dict[str, Any] = {}
    try:
        for name, conv, norm in layers:
            # For both kinds of convolution, the axis that is first in PyTorch is last here.
            kernel = np.transpose(left.pop(f"{conv}.weight"), (2, 3, 1, 0))
            params[name] = {"kernel": np.ascontiguousarray(kernel, dtype=np.float32)}
            if f"{norm}.weight" in left:
                scale, bias = left.pop(f"{norm}.weight"), left.pop(f"{norm}.bias")
                params[f"{name}_norm"] = _floats(scale=scale, bias=bias)
                # Running statistics may be missing: then they are those of a new network.
                mean = left.pop(f"{norm}.running_mean", np.zeros_like(bias))
                var = left.pop(f"{norm}.running_var", np.ones_like(bias))
                stats[f"{name}_norm"] = _floats(mean=mean, var=var)
    except KeyError as error:
        raise InputError(f"not the official network: it lacks {error.args[0]}") from error
    if left:
        raise InputError(f"not the official network: it has {min(left)}")
    return {"params": params, "batch_stats": stats}


def _turned(variables: dict[str, Any], *layers: str) -> dict[str, Any]:
    """Makes a network of BGR images one of RGB images; other numbers of channels stay."""
    params = variables["params"]
    if params["down_0"]["kernel"].shape[2] == 3:
        for name in layers:
            # The channels of an image are the third axis of either kind of kernel.
            params[name]["kernel"] = np.ascontiguousarray(params[name]["kernel"][:, :, ::-1])
    return variables


def _floats(**arrays: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(x, np.float32) for name, x in arrays.items()}


def generator_from_torch(tensors: Tensors, *, bgr: bool = True) -> dict[str, Any]:
    """Converts a state dict of the official generator to variables of `models.official_generator`.

    Args:
      tensors: arrays by the official names, ``main.0.weight`` and so on; running statistics may be
        missing. Their shapes show the depth and whether there is a bottleneck ("extra layers").
      bgr: whether the network takes and makes BGR images, as the authors' do; then its first and
        last kernels are turned round, so that the variables are those of RGB images.

    Returns:
      ``{"params": ..., "batch_stats": ...}``.

    Raises:
      InputError: the names or shapes are not those of an official generator.
    """
    # Kernels in the order of the layers; batch norms have weights of one dimension.
    positions = sorted(
        int(m[1])
        for name, t in tensors.items()
        if (m := re.fullmatch(r"main\.(\d+)\.weight", name)) and np.ndim(t) == 4
    )
    kernels = [np.asarray(tensors[f"main.{i}.weight"]) for i in positions]
    if len(kernels) < 2 or any(k.shape[2:] != (4, 4) for k in kernels):
        raise InputError(
            f"not an official generator: expected 4×4 kernels main.N.weight, found "
            f"{sorted(tensors)[:4]}"
        )
    # As many kernels lead down as up.
    half = len(kernels) // 2
    # Only a bottleneck has fewer channels than the layer before it on the way down.
    bottleneck = kernels[half - 1].shape[0] < kernels[half - 1].shape[1]
    n = half - bottleneck
    middle = ["code", "decode"] if bottleneck else []
    names = [f"down_{i}" for i in range(n)] + middle + [f"up_{i}" for i in range(n - 1)] + ["out"]
    if len(names) != len(kernels):
        raise InputError(f"not an official generator: {len(kernels)} kernels do not pair up")
    named = zip(names, positions, strict=True)
    layers = ((name, f"main.{i}", f"main.{i + 1}") for name, i in named)
    variables = _variables(tensors, layers)
    return _turned(variables, "down_0", "out") if bgr else variables


def discriminator_from_torch(tensors: Tensors, *, bgr: bool = True) -> dict[str, Any]:
    """Converts a state dict to variables of `models.official_discriminator`.

    Args:
      tensors: arrays by the official names, ``conv1.weight``, ``bn2.bias`` and so on; running
        statistics may be missing.
      bgr: whether the network takes BGR images, as the authors' do; then its first kernel is turned
        round, so that the variables are those of RGB images.

    Returns:
      ``{"params": ..., "batch_stats": ...}``.

    Raises:
      InputError: the names or shapes are not those of an official discriminator.
    """
    count = sum(re.fullmatch(r"conv\d+\.weight", name) is not None for name in tensors)
    names = [*(f"down_{i}" for i in range(count - 1)), "out"]
    layers = [(name, f"conv{i}", f"bn{i}") for i, name in enumerate(names, 1)]
    if count < 2 or any(np.ndim(tensors.get(f"{conv}.weight", ())) != 4 for _, conv, _ in layers):
        raise InputError(
            f"not an official discriminator: expected conv1.weight, conv2.weight, ..., found "
            f"{sorted(tensors)[:4]}"
        )
    variables = _variables(tensors, layers)
    return _turned(variables, "down_0") if bgr else variables
