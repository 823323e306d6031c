"""Weights of the official PyTorch implementation, as variables of these networks.

The official generator is one ``Sequential`` called ``main`` in which activations count too; the
discriminator has ``conv1``, ``conv2``, ``bn2``, ... Kernels are (out, in, h, w) for a convolution
and (in, out, h, w) for a transposed one; here they are (h, w, in, out) and (h, w, out, in).
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from discogan_jax.errors import InputError

Tensors = Mapping[str, np.ndarray]


def _kernel(weight: Float[np.ndarray, "m n h w"]) -> Float[np.ndarray, "h w n m"]:
    """Holds for both kinds: what is first in PyTorch is last here."""
    return np.ascontiguousarray(np.transpose(weight, (2, 3, 1, 0)), dtype=np.float32)


def _norm(tensors: Tensors, name: str, width: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and running statistics of a batch norm; fresh statistics where none are given."""
    params = {
        "scale": np.asarray(tensors[f"{name}.weight"], np.float32),
        "bias": np.asarray(tensors[f"{name}.bias"], np.float32),
    }
    stats = {
        "mean": np.asarray(tensors.get(f"{name}.running_mean", np.zeros(width)), np.float32),
        "var": np.asarray(tensors.get(f"{name}.running_var", np.ones(width)), np.float32),
    }
    return params, stats


def generator_from_torch(tensors: Tensors) -> dict[str, Any]:
    """Variables of `models.official_generator` from a state dict of the official one.

    Args:
      tensors: arrays by the official names, ``main.0.weight`` and so on. Running statistics may be
        missing. A bottleneck ("extra layers") and the depth are found from the shapes.

    Returns:
      ``{"params": ..., "batch_stats": ...}``.

    Raises:
      InputError: the names or shapes are not those of an official generator.
    """
    places = sorted(
        int(m[1])
        for name, t in tensors.items()
        if (m := re.fullmatch(r"main\.(\d+)\.weight", name)) and np.ndim(t) == 4
    )
    kernels = [np.asarray(tensors[f"main.{i}.weight"]) for i in places]
    if len(kernels) < 2 or any(k.shape[2:] != (4, 4) for k in kernels):
        raise InputError(
            f"not an official generator: expected 4×4 kernels main.N.weight, found "
            f"{sorted(tensors)[:4]}"
        )
    half = len(kernels) // 2
    # The code is narrower than what is convolved to it; elsewhere channels never shrink downwards.
    bottleneck = kernels[half - 1].shape[0] < kernels[half - 1].shape[1]
    n = half - bottleneck
    middle = ["code", "decode"] if bottleneck else []
    names = [f"down_{i}" for i in range(n)] + middle + [f"up_{i}" for i in range(n - 1)] + ["out"]
    if len(names) != len(kernels):
        raise InputError(f"not an official generator: {len(kernels)} kernels do not pair up")

    params: dict[str, Any] = {}
    stats: dict[str, Any] = {}
    for name, place, kernel in zip(names, places, kernels, strict=True):
        params[name] = {"kernel": _kernel(kernel)}
        norm = f"main.{place + 1}"
        if f"{norm}.weight" in tensors:
            width = len(tensors[f"{norm}.weight"])
            params[f"{name}_norm"], stats[f"{name}_norm"] = _norm(tensors, norm, width)
    return {"params": params, "batch_stats": stats}


def discriminator_from_torch(tensors: Tensors) -> dict[str, Any]:
    """Variables of `models.official_discriminator` from a state dict of the official one.

    Args:
      tensors: arrays by the official names, ``conv1.weight``, ``bn2.bias`` and so on; running
        statistics may be missing.

    Returns:
      ``{"params": ..., "batch_stats": ...}``.

    Raises:
      InputError: the names are not those of an official discriminator.
    """
    count = sum(re.fullmatch(r"conv\d+\.weight", name) is not None for name in tensors)
    names = {i: f"down_{i - 1}" for i in range(1, count)} | {count: "out"}
    missing = [f"conv{i}.weight" for i in names if f"conv{i}.weight" not in tensors]
    if count < 2 or missing:
        raise InputError(
            f"not an official discriminator: expected conv1.weight, conv2.weight, ..., found "
            f"{sorted(tensors)[:4]}"
        )
    params: dict[str, Any] = {}
    stats: dict[str, Any] = {}
    for i, name in names.items():
        params[name] = {"kernel": _kernel(np.asarray(tensors[f"conv{i}.weight"]))}
        if f"bn{i}.weight" in tensors:
            width = len(tensors[f"bn{i}.weight"])
            params[f"{name}_norm"], stats[f"{name}_norm"] = _norm(tensors, f"bn{i}", width)
    return {"params": params, "batch_stats": stats}
