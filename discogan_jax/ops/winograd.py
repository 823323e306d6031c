"""Convolutions of a 4×4 window with nine sixteenths of the multiplications.

Over blocks of 2×2 pixels such a window, at stride 2, is one of 2×2 blocks and stride 1. Along one
axis, two neighbouring results of two terms each, ``x0·k0 + x1·k1`` and ``x1·k0 + x2·k1``, share
work: with ``a = (x0 - x1)·k0``, ``b = x1·(k0 + k1)``, ``c = (x1 - x2)·k1`` they are ``a + b`` and
``b - c``: three products instead of four (Winograd 1980, "Arithmetic complexity of computations";
for convolutions Lavin & Gray 2015, arXiv 1509.09308). Along both axes four results take nine
products instead of sixteen, each a matrix product over the channels of whole blocks. All else is
sums and differences, which add a rounding or two. At stride 1 the maps are four of stride 2, of
images moved by a row, by a column and by both.

As in `convolutions`, `gather` makes ``y``, `scatter` ``x`` and `correlate` the kernel. Images have
the edges that the window sees already.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Images = Float[Array, "B H W in"]  # 2h + 2 by 2w + 2; h + 3 by w + 3 at stride 1
Kernel = Float[Array, "4 4 in out"]
Maps = Float[Array, "B h w out"]  # h and w are even; multiples of four at stride 1


def gather(x: Images, kernel: Kernel, stride: int) -> Maps:
    """The convolution."""
    if stride == 1:
        maps = gather(_four_images(x), kernel, 2)
        _, h, w, out = maps.shape
        maps = maps.reshape(2, 2, -1, h, w, out).transpose(2, 3, 0, 4, 1, 5)
        return maps.reshape(-1, 2 * h, 2 * w, out)
    B, h, w = x.shape[0], x.shape[1] // 2 - 1, x.shape[2] // 2 - 1
    products = jnp.einsum("pni,pio->pno", _of_images(x), _of_kernel(kernel))
    rows = _stacked(_maps_from(products.reshape(3, 3, B, h // 2, w // 2, -1)), 3)
    return jnp.stack(_maps_from(rows), 4).reshape(B, h, w, -1)


def scatter(y: Maps, kernel: Kernel, stride: int) -> Images:
    """Its adjoint."""
    if stride == 1:
        x = scatter(_four_maps(y), kernel, 2)
        four = x.reshape(2, 2, -1, *x.shape[1:])
        moved = [
            jnp.pad(four[i, j], ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0)))
            for i in range(2)
            for j in range(2)
        ]
        return sum(moved[1:], moved[0])
    (B, h, w, _), C = y.shape, kernel.shape[2]
    products = jnp.einsum("pno,pio->pni", _of_maps(y), _of_kernel(kernel))
    rows = _images_from(products.reshape(3, 3, B, h // 2, w // 2, 2, 2 * C), 2)
    x = _images_from(lax.optimization_barrier(rows), 2)
    return x.swapaxes(2, 3).reshape(B, 2 * h + 2, 2 * w + 2, C)


def correlate(x: Images, y: Maps, stride: int) -> Kernel:
    """The gradient of both with respect to the kernel."""
    if stride == 1:
        return correlate(_four_images(x), _four_maps(y), 2)
    C, out = x.shape[-1], y.shape[-1]
    products = jnp.einsum("pni,pno->pio", _of_images(x), _of_maps(y))
    rows = _stacked(_kernel_from(products.reshape(3, 3, 2, 2 * C, out)), 1)
    return jnp.stack(_kernel_from(rows), 2).reshape(4, 4, C, out)


def _four_images(x: Array) -> Array:
    h, w = x.shape[1] - 1, x.shape[2] - 1
    return jnp.concatenate([x[:, i : i + h, j : j + w] for i in range(2) for j in range(2)])


def _four_maps(y: Array) -> Array:
    B, h, w, out = y.shape
    four = y.reshape(B, h // 2, 2, w // 2, 2, out).transpose(2, 4, 0, 1, 3, 5)
    return four.reshape(4 * B, h // 2, w // 2, out)


# What is multiplied, for the nine products: first three of each along the rows, then along columns.


def _of_images(x: Images) -> Float[Array, "9 tiles 4*in"]:
    B, H, W, C = x.shape
    rows = _stacked(_blocks(x.reshape(B, H // 2, 2, W // 2, 2 * C), 1), 0)
    return _stacked(_blocks(rows, 4), 1).swapaxes(4, 5).reshape(9, -1, 4 * C)


def _of_kernel(kernel: Kernel) -> Float[Array, "9 4*in out"]:
    C, out = kernel.shape[2:]
    rows = _stacked(_kernel(kernel.reshape(2, 2, 2, 2 * C, out), 0), 0)
    return _stacked(_kernel(rows, 2), 1).reshape(9, 4 * C, out)


def _of_maps(y: Maps) -> Float[Array, "9 tiles out"]:
    B, h, w, out = y.shape
    rows = _stacked(_maps(y.reshape(B, h // 2, 2, w // 2, 2, out), 2), 0)
    return _stacked(_maps(rows, 4), 1).reshape(9, -1, out)


def _stacked(parts: Sequence[Array], axis: int) -> Array:
    # Kept apart from what uses it: fused into one, both axes take three times as long to compile.
    return lax.optimization_barrier(jnp.stack(parts, axis))


# Along one axis: of blocks, kernel (two) and maps (two), three things to multiply; of three
# products, maps, kernel and blocks: the transposed.


def _blocks(x: Array, axis: int) -> Sequence[Array]:
    last = x.shape[axis] - 3
    a, b, c = (lax.slice_in_dim(x, i, last + i + 1, 2, axis) for i in range(3))
    return a - b, b, b - c


def _kernel(kernel: Array, axis: int) -> Sequence[Array]:
    a, b = (lax.index_in_dim(kernel, i, axis, keepdims=False) for i in range(2))
    return a, a + b, b


def _maps(y: Array, axis: int) -> Sequence[Array]:
    a, b = (lax.index_in_dim(y, i, axis, keepdims=False) for i in range(2))
    return a, a + b, -b


def _maps_from(products: Array) -> Sequence[Array]:
    a, b, c = products
    return a + b, b - c


def _kernel_from(products: Array) -> Sequence[Array]:
    a, b, c = products
    return a + b, b + c


def _images_from(products: Array, axis: int) -> Array:
    a, b, c = products

    def pad(x: Array, low: int, high: int) -> Array:
        return jnp.pad(x, [(low, high) if i == axis else (0, 0) for i in range(x.ndim)])

    even, odd = pad(a, 0, 1) - pad(c, 1, 0), pad(b + c - a, 0, 1)
    n = 2 * even.shape[axis]
    x = jnp.stack([even, odd], axis + 1).reshape(*a.shape[:axis], n, *a.shape[axis + 1 :])
    return lax.slice_in_dim(x, 0, n - 1, 1, axis)
