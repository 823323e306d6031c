"""Convolutions of a 4×4 window with nine or six sixteenths of the multiplications.

Over blocks of 2×2 pixels such a window, at stride 2, is one of 2×2 blocks and stride 1. Along one
axis, two neighbouring results of two terms each, ``x0·k0 + x1·k1`` and ``x1·k0 + x2·k1``, share
work: with ``a = (x0 - x1)·k0``, ``b = x1·(k0 + k1)``, ``c = (x1 - x2)·k1`` they are ``a + b`` and
``b - c``: three products instead of four (Winograd 1980, "Arithmetic complexity of computations";
for convolutions Lavin & Gray 2015, arXiv 1509.09308). Four results likewise take five products
instead of eight. Along both axes a tile of 2×2 results takes 9 products instead of 16, one of 4×4
results 25 instead of 64, each a matrix product over the channels of whole blocks. All else is
sums, which add a rounding or two (`TILES`). An output at stride 1 consists of four at stride 2, of
inputs that are shifted by a row, by a column and by both.

As in `convolution`, `conv` makes the output ``y``, `conv_transpose` the input ``x`` and
`conv_kernel_grad` the kernel. Inputs have their padding already; ``tile`` is one of `TILES`.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Input = Float[Array, "B H W C"]  # 2h + 2 by 2w + 2; h + 3 by w + 3 at stride 1
Kernel = Float[Array, "4 4 C out"]
Output = Float[Array, "B h w out"]  # h and w are multiples of the tile; of twice that at stride 1
Matrix = tuple[tuple[int | float, ...], ...]


class Tile(NamedTuple):
    """The factors of the products along one axis, as sums of what they are made from.

    One row for each product. The products of the factors of two sides, summed by the transposed
    matrix of the third side, make that side.
    """

    input: Matrix
    kernel: Matrix
    output: Matrix


# Interpolation at 0, 1 and infinity; and at 0, 1, -1, 2 and infinity. In float32 a result differs
# from the exact one by up to 6e-6 of the results' root mean square, and by 4e-5.
TILES = {
    2: Tile(
        input=((1, -1, 0), (0, 1, 0), (0, 1, -1)),
        kernel=((1, 0), (1, 1), (0, 1)),
        output=((1, 0), (1, 1), (0, -1)),
    ),
    4: Tile(
        input=(
            (2, -1, -2, 1, 0),
            (0, 2, 1, -1, 0),
            (0, -2, 3, -1, 0),
            (0, -1, 0, 1, 0),
            (0, 2, -1, -2, 1),
        ),
        kernel=((1 / 2, 0), (1 / 2, 1 / 2), (1 / 6, -1 / 6), (1 / 6, 1 / 3), (0, 1)),
        output=((1, 0, 0, 0), (1, 1, 1, 1), (1, -1, 1, -1), (1, 2, 4, 8), (0, 0, 0, 1)),
    ),
}


def conv(x: Input, kernel: Kernel, stride: int, tile: int) -> Output:
    """Convolves."""
    if stride == 1:
        four = conv(_four_inputs(x), kernel, 2, tile)
        _, h, w, out = four.shape
        y = four.reshape(2, 2, -1, h, w, out).transpose(2, 3, 0, 4, 1, 5)
        return y.reshape(-1, 2 * h, 2 * w, out)
    B, h, w = x.shape[0], x.shape[1] // 2 - 1, x.shape[2] // 2 - 1
    factors = _input_factors(x, tile), _kernel_factors(kernel, tile)
    products = _by_axis(jnp.einsum("pni,pio->pno", *factors), (B, h // tile, w // tile, -1))
    rows = _stack(_sums(TILES[tile].output, products), 3)
    return jnp.stack(_sums(TILES[tile].output, rows), 4).reshape(B, h, w, -1)


def conv_transpose(y: Output, kernel: Kernel, stride: int, tile: int) -> Input:
    """Applies the adjoint of `conv`."""
    if stride == 1:
        x = conv_transpose(_four_outputs(y), kernel, 2, tile)
        four = x.reshape(2, 2, -1, *x.shape[1:])
        # Each is shifted by a row, by a column or by both.
        shifts = {(i, j): [(0, 0), (i, 1 - i), (j, 1 - j), (0, 0)] for i in (0, 1) for j in (0, 1)}
        shifted = [jnp.pad(four[at], shift) for at, shift in shifts.items()]
        return sum(shifted[1:], shifted[0])
    (B, h, w, _), C = y.shape, kernel.shape[2]
    factors = _output_factors(y, tile), _kernel_factors(kernel, tile)
    products = jnp.einsum("pno,pio->pni", *factors)
    rows = _join(_by_axis(products, (B, h // tile, w // tile, 2, 2 * C)), tile)
    x = _join(lax.optimization_barrier(rows), tile)
    return x.swapaxes(2, 3).reshape(B, 2 * h + 2, 2 * w + 2, C)


def conv_kernel_grad(x: Input, y: Output, stride: int, tile: int) -> Kernel:
    """Makes the gradient of both with respect to the kernel."""
    if stride == 1:
        return conv_kernel_grad(_four_inputs(x), _four_outputs(y), 2, tile)
    C, out = x.shape[-1], y.shape[-1]
    factors = _input_factors(x, tile), _output_factors(y, tile)
    products = _by_axis(jnp.einsum("pni,pno->pio", *factors), (2, 2 * C, out))
    rows = _stack(_sums(TILES[tile].kernel, products), 1)
    return jnp.stack(_sums(TILES[tile].kernel, rows), 2).reshape(4, 4, C, out)


def _four_inputs(x: Array) -> Array:
    h, w = x.shape[1] - 1, x.shape[2] - 1
    return jnp.concatenate([x[:, i : i + h, j : j + w] for i in range(2) for j in range(2)])


def _four_outputs(y: Array) -> Array:
    B, h, w, out = y.shape
    four = y.reshape(B, h // 2, 2, w // 2, 2, out).transpose(2, 4, 0, 1, 3, 5)
    return four.reshape(4 * B, h // 2, w // 2, out)


# The factors of all products: first along the rows, then along the columns.


def _input_factors(x: Input, tile: int) -> Float[Array, "products tiles 4*C"]:
    B, H, W, C = x.shape

    def factors(x: Array, axis: int) -> Sequence[Array]:
        last = x.shape[axis] - tile  # tiles overlap by one block
        parts = [lax.slice_in_dim(x, i, last + i, tile, axis) for i in range(tile + 1)]
        return [_sum(row, parts) for row in TILES[tile].input]

    rows = _stack(factors(x.reshape(B, H // 2, 2, W // 2, 2 * C), 1), 0)
    return _stack(factors(rows, 4), 1).swapaxes(4, 5).reshape((tile + 1) ** 2, -1, 4 * C)


def _kernel_factors(kernel: Kernel, tile: int) -> Float[Array, "products 4*C out"]:
    C, out = kernel.shape[2:]
    rows = _stack(_factors(TILES[tile].kernel, kernel.reshape(2, 2, 2, 2 * C, out), 0), 0)
    return _stack(_factors(TILES[tile].kernel, rows, 2), 1).reshape((tile + 1) ** 2, 4 * C, out)


def _output_factors(y: Output, tile: int) -> Float[Array, "products tiles out"]:
    B, h, w, out = y.shape
    tiles = y.reshape(B, h // tile, tile, w // tile, tile, out)
    rows = _stack(_factors(TILES[tile].output, tiles, 2), 0)
    return _stack(_factors(TILES[tile].output, rows, 4), 1).reshape((tile + 1) ** 2, -1, out)


def _factors(matrix: Matrix, x: Array, axis: int) -> Sequence[Array]:
    parts = [lax.index_in_dim(x, i, axis, keepdims=False) for i in range(x.shape[axis])]
    return [_sum(row, parts) for row in matrix]


def _stack(parts: Sequence[Array], axis: int) -> Array:
    # The barrier keeps XLA from fusing both axes, which takes three times as long to compile.
    return lax.optimization_barrier(jnp.stack(parts, axis))


# From the products to the third side: along the columns, then along the rows.


def _by_axis(products: Array, shape: tuple[Any, ...]) -> Array:
    n = math.isqrt(len(products))
    return products.reshape(n, n, *shape)


def _sums(matrix: Matrix, products: Array) -> Sequence[Array]:
    return [_sum(column, list(products)) for column in zip(*matrix, strict=True)]


def _join(products: Array, tile: int) -> Array:
    """Makes the input's blocks along axis 2 of a product from those of its tiles."""
    first, *others, last = _sums(TILES[tile].input, products)

    def pad(x: Array, low: int, high: int) -> Array:
        return jnp.pad(x, [(low, high) if i == 2 else (0, 0) for i in range(x.ndim)])

    # The last block of a tile is the first of the next one.
    blocks = [pad(first, 0, 1) + pad(last, 1, 0), *(pad(x, 0, 1) for x in others)]
    x = jnp.stack(blocks, 3)
    n = tile * first.shape[2] + 1
    x = x.reshape(*first.shape[:2], -1, *first.shape[3:])
    return lax.slice_in_dim(x, 0, n, 1, 2)


def _sum(weights: Sequence[int | float], parts: Sequence[Array]) -> Array:
    # Starting with a positive term saves a change of sign.
    terms = sorted(zip(weights, parts, strict=True), key=lambda term: term[0] < 0)
    (first, x), *others = ((weight, part) for weight, part in terms if weight)
    total = _times(first, x)
    for weight, part in others:
        x = _times(abs(weight), part)
        total = (lax.add if weight > 0 else lax.sub)(total, x)  # traced faster than operators
    return total


def _times(weight: int | float, x: Array) -> Array:
    return x if weight == 1 else weight * x
