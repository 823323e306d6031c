"""Convolutions of a 4×4 window with nine sixteenths of the multiplications.

Over blocks of 2×2 pixels such a window, at stride 2, is one of 2×2 blocks and stride 1. Along one
axis, two neighbouring results of two terms each, ``x0·k0 + x1·k1`` and ``x1·k0 + x2·k1``, share
work: with ``a = (x0 - x1)·k0``, ``b = x1·(k0 + k1)``, ``c = (x1 - x2)·k1`` they are ``a + b`` and
``b - c``: three products instead of four (Winograd 1980, "Arithmetic complexity of computations";
for convolutions Lavin & Gray 2015, arXiv 1509.09308). Along both axes four results take nine
products instead of sixteen, each a matrix product over the channels of whole blocks. All else is
sums and differences, which add a rounding or two. An output at stride 1 consists of four at stride
2, of inputs that are shifted by a row, by a column and by both.

As in `convolution`, `conv` makes the output ``y``, `conv_transpose` the input ``x`` and
`conv_kernel_grad` the kernel. Inputs have their padding already.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Input = Float[Array, "B H W C"]  # 2h + 2 by 2w + 2; h + 3 by w + 3 at stride 1
Kernel = Float[Array, "4 4 C out"]
Output = Float[Array, "B h w out"]  # h and w are even; multiples of four at stride 1


def conv(x: Input, kernel: Kernel, stride: int) -> Output:
    """Convolves."""
    if stride == 1:
        four = conv(_four_inputs(x), kernel, 2)
        _, h, w, out = four.shape
        y = four.reshape(2, 2, -1, h, w, out).transpose(2, 3, 0, 4, 1, 5)
        return y.reshape(-1, 2 * h, 2 * w, out)
    B, h, w = x.shape[0], x.shape[1] // 2 - 1, x.shape[2] // 2 - 1
    products = jnp.einsum("pni,pio->pno", _input_factors(x), _kernel_factors(kernel))
    rows = _stack(_output_from(products.reshape(3, 3, B, h // 2, w // 2, -1)), 3)
    return jnp.stack(_output_from(rows), 4).reshape(B, h, w, -1)


def conv_transpose(y: Output, kernel: Kernel, stride: int) -> Input:
    """Applies the adjoint of `conv`."""
    if stride == 1:
        x = conv_transpose(_four_outputs(y), kernel, 2)
        four = x.reshape(2, 2, -1, *x.shape[1:])
        # Each is shifted by a row, by a column or by both.
        shifts = {(i, j): [(0, 0), (i, 1 - i), (j, 1 - j), (0, 0)] for i in (0, 1) for j in (0, 1)}
        shifted = [jnp.pad(four[at], shift) for at, shift in shifts.items()]
        return sum(shifted[1:], shifted[0])
    (B, h, w, _), C = y.shape, kernel.shape[2]
    products = jnp.einsum("pno,pio->pni", _output_factors(y), _kernel_factors(kernel))
    rows = _input_from(products.reshape(3, 3, B, h // 2, w // 2, 2, 2 * C), 2)
    x = _input_from(lax.optimization_barrier(rows), 2)
    return x.swapaxes(2, 3).reshape(B, 2 * h + 2, 2 * w + 2, C)


def conv_kernel_grad(x: Input, y: Output, stride: int) -> Kernel:
    """Makes the gradient of both with respect to the kernel."""
    if stride == 1:
        return conv_kernel_grad(_four_inputs(x), _four_outputs(y), 2)
    C, out = x.shape[-1], y.shape[-1]
    products = jnp.einsum("pni,pno->pio", _input_factors(x), _output_factors(y))
    rows = _stack(_kernel_from(products.reshape(3, 3, 2, 2 * C, out)), 1)
    return jnp.stack(_kernel_from(rows), 2).reshape(4, 4, C, out)


def _four_inputs(x: Array) -> Array:
    h, w = x.shape[1] - 1, x.shape[2] - 1
    return jnp.concatenate([x[:, i : i + h, j : j + w] for i in range(2) for j in range(2)])


def _four_outputs(y: Array) -> Array:
    B, h, w, out = y.shape
    four = y.reshape(B, h // 2, 2, w // 2, 2, out).transpose(2, 4, 0, 1, 3, 5)
    return four.reshape(4 * B, h // 2, w // 2, out)


# The factors of the nine products: three terms of each along the rows, then along the columns.


def _input_factors(x: Input) -> Float[Array, "9 tiles 4*C"]:
    B, H, W, C = x.shape
    rows = _stack(_input_terms(x.reshape(B, H // 2, 2, W // 2, 2 * C), 1), 0)
    return _stack(_input_terms(rows, 4), 1).swapaxes(4, 5).reshape(9, -1, 4 * C)


def _kernel_factors(kernel: Kernel) -> Float[Array, "9 4*C out"]:
    C, out = kernel.shape[2:]
    rows = _stack(_kernel_terms(kernel.reshape(2, 2, 2, 2 * C, out), 0), 0)
    return _stack(_kernel_terms(rows, 2), 1).reshape(9, 4 * C, out)


def _output_factors(y: Output) -> Float[Array, "9 tiles out"]:
    B, h, w, out = y.shape
    rows = _stack(_output_terms(y.reshape(B, h // 2, 2, w // 2, 2, out), 2), 0)
    return _stack(_output_terms(rows, 4), 1).reshape(9, -1, out)


def _stack(parts: Sequence[Array], axis: int) -> Array:
    # The barrier keeps XLA from fusing both axes, which takes three times as long to compile.
    return lax.optimization_barrier(jnp.stack(parts, axis))


# Along one axis: three terms of input, kernel or output; then the transposed maps, from three
# products to output, kernel or input.


def _input_terms(x: Array, axis: int) -> Sequence[Array]:
    last = x.shape[axis] - 3
    a, b, c = (lax.slice_in_dim(x, i, last + i + 1, 2, axis) for i in range(3))
    return a - b, b, b - c


def _kernel_terms(kernel: Array, axis: int) -> Sequence[Array]:
    a, b = (lax.index_in_dim(kernel, i, axis, keepdims=False) for i in range(2))
    return a, a + b, b


def _output_terms(y: Array, axis: int) -> Sequence[Array]:
    a, b = (lax.index_in_dim(y, i, axis, keepdims=False) for i in range(2))
    return a, a + b, -b


def _output_from(products: Array) -> Sequence[Array]:
    a, b, c = products
    return a + b, b - c


def _kernel_from(products: Array) -> Sequence[Array]:
    a, b, c = products
    return a + b, b + c


def _input_from(products: Array, axis: int) -> Array:
    a, b, c = products

    def pad(x: Array, low: int, high: int) -> Array:
        return jnp.pad(x, [(low, high) if i == axis else (0, 0) for i in range(x.ndim)])

    even, odd = pad(a, 0, 1) - pad(c, 1, 0), pad(b + c - a, 0, 1)
    n = 2 * even.shape[axis]
    x = jnp.stack([even, odd], axis + 1).reshape(*a.shape[:axis], n, *a.shape[axis + 1 :])
    return lax.slice_in_dim(x, 0, n - 1, 1, axis)
