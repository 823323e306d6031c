"""Draws the weights and inputs of the golden numbers as described in `tests/golden/README.md`."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

GOLDEN = Path(__file__).parent / "golden"


def load(name):
    with np.load(GOLDEN / f"{name}.npz") as archive:
        return {k: archive[k] for k in archive.files}


def nchw_to_nhwc(x):
    return np.ascontiguousarray(np.transpose(x, (0, 2, 3, 1)))


def summary(x):
    """Summarizes a tensor: sum, L2 norm, first six elements (fewer if it has fewer)."""
    x = np.asarray(x, np.float64).ravel()
    return np.concatenate([[x.sum(), np.sqrt((x**2).sum())], x[:6]])


def book_tensors(seed, shapes):
    rng = np.random.RandomState(seed)
    tensors = {}
    for name, shape in shapes.items():
        z = rng.standard_normal(shape).astype(np.float32)
        tensors[name] = (np.float32(0.05) if len(shape) > 1 else np.float32(0.1)) * z
    return tensors


def official_tensors(seed, shapes):
    rng = np.random.RandomState(seed)
    tensors = {}
    for name, shape in shapes.items():
        z = rng.standard_normal(shape).astype(np.float32)
        if len(shape) == 4:
            value = 0.05 * z
        elif name.endswith("weight"):
            value = 1 + 0.1 * z
        else:
            value = 0.1 * z
        tensors[name] = value.astype(np.float32)
    return tensors


def official_generator_shapes(extra):
    """Returns shapes by name in PyTorch's `named_parameters()` order; indices count activations."""
    shapes, place = {}, 0

    def layer(kernel, norm):
        nonlocal place
        shapes[f"main.{place}.weight"] = kernel
        if norm:
            shapes[f"main.{place + 1}.weight"] = (norm,)
            shapes[f"main.{place + 1}.bias"] = (norm,)
        place += 3 if norm else 2

    widths = [3, 64, 128, 256, 512]
    for i in range(4):
        layer((widths[i + 1], widths[i], 4, 4), widths[i + 1] if i else 0)
    if extra:
        layer((100, 512, 4, 4), 100)
        layer((100, 512, 4, 4), 512)
    for i in range(4, 0, -1):
        layer((widths[i], widths[i - 1], 4, 4), widths[i - 1] if i > 1 else 0)
    return shapes


def official_discriminator_shapes():
    shapes, widths = {}, [3, 64, 128, 256, 512]
    for i in range(1, 5):
        shapes[f"conv{i}.weight"] = (widths[i], widths[i - 1], 4, 4)
        if i > 1:
            shapes[f"bn{i}.weight"] = (widths[i],)
            shapes[f"bn{i}.bias"] = (widths[i],)
    shapes["conv5.weight"] = (1, 512, 4, 4)
    return shapes


def book_generator_shapes():
    shapes, down = {}, [3, 32, 64, 128, 256]
    for i in range(1, 5):
        shapes[f"conv{i}/kernel"] = (4, 4, down[i - 1], down[i])
        shapes[f"conv{i}/{'bias' if i == 1 else 'beta'}"] = (down[i],)
    up = [256, 128, 64, 32, 16]
    for i in range(1, 5):
        shapes[f"deconv{i}/kernel"] = (4, 4, up[i - 1], 4 * up[i])
        shapes[f"deconv{i}/beta"] = (4 * up[i],)
    shapes["conv_out/kernel"] = (4, 4, 16, 3)
    shapes["conv_out/bias"] = (3,)
    return shapes


def book_discriminator_shapes():
    shapes, widths = {}, [3, 32, 64, 128, 256, 512]
    for i in range(1, 6):
        shapes[f"conv{i}/kernel"] = (4, 4, widths[i - 1], widths[i])
        shapes[f"conv{i}/{'bias' if i == 1 else 'beta'}"] = (widths[i],)
    shapes |= {"fc1/kernel": (2 * 2 * 512, 512), "fc1/beta": (512,)}
    return shapes | {"fc2/kernel": (512, 1), "fc2/bias": (1,)}


_BOOK_LAYERS = {f"conv{i + 1}": f"down_{i}" for i in range(5)}
_BOOK_LAYERS |= {f"deconv{i + 1}": f"up_{i}" for i in range(4)}
_BOOK_LAYERS |= {"conv_out": "out", "fc1": "hidden", "fc2": "out"}


def book_path(name):
    """Returns the (layer, parameter) of a tensor of the book."""
    layer, kind = name.split("/")
    ours = _BOOK_LAYERS[layer]
    return (f"{ours}_norm", "bias") if kind == "beta" else (ours, kind)


def book_variables(tensors):
    params, stats = {}, {}
    for name, value in tensors.items():
        layer, kind = book_path(name)
        params.setdefault(layer, {})[kind] = value
        if layer.endswith("_norm"):
            stats[layer] = {"mean": np.zeros_like(value), "var": np.ones_like(value)}
    return {"params": params, "batch_stats": stats}


def in_float64(gan, state, batch):
    """Returns the same system in float64 (under ``jax.enable_x64``), with a separate state.

    Gradients are compared in float64, because in float32 an activation near zero may have either
    sign, depending on the CPU, and a single one changes a gradient by 2e-3 of its norm.
    """
    networks = {
        name: getattr(gan, name).clone(dtype=jnp.float64) for name in ("generator", "discriminator")
    }

    def wide(x):
        return x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.array(x)

    return replace(gan, **networks), *jax.tree.map(wide, (state, batch))


def check_gradient(actual, expected, name, tolerance):
    """Compares a gradient with its golden summary.

    The norm is compared relative to itself; single elements and the sum, which cancel, relative to
    the typical size of an element (or of a sum of that many) for this norm. The effect of rounding
    on the sum depends on the CPU: up to 20 tolerances were observed.
    """
    summed = summary(actual)
    assert summed.shape == expected.shape, name
    size = np.size(actual)
    typical = expected[1] / np.sqrt(size)
    np.testing.assert_allclose(summed[1], expected[1], rtol=tolerance, err_msg=name)
    np.testing.assert_allclose(summed[2:], expected[2:], atol=5 * tolerance * typical, err_msg=name)
    sum_tolerance = 40 * tolerance * typical * np.sqrt(size)
    np.testing.assert_allclose(summed[0], expected[0], atol=sum_tolerance, err_msg=name)
