"""A convolution, its transpose and its kernel gradient, in forms that are fast on CPU and GPU.

The three are the sides of one trilinear form of an input ``x``, a kernel and an output ``y``: the
sum of ``x·kernel·y`` over all positions of a window that moves over the input. Each side is linear
in the other two, and its derivatives are the other two sides. So derivatives of any order of any of
them run in the forms below; forward mode (``jax.jvp``) is not defined.

`conv` makes ``y``, `conv_transpose` makes ``x`` and `conv_kernel_grad` the kernel. On CPU each
becomes matrix products where those are faster than XLA's own convolution
(`python -m benchmarks.layers` compares), and fewer of them where `winograd` applies.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from discogan_jax.ops import winograd

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_convolve = partial(lax.conv_general_dilated, dimension_numbers=_LAYOUT)

# Floating-point operations below which a layer takes XLA's form on every backend: there is nothing
# to gain (`docs/performance.md`), and the products take twice as long to compile.
WORTHWHILE = 1e8

# Tiles, over the batch, below which Winograd's products have too few rows to gain by.
MANY_TILES = 128

Input = Float[Array, "B H W in"]
Kernel = Float[Array, "k k in out"]
Output = Float[Array, "B h w out"]
Size = tuple[int, ...]
Form = Callable[..., Array]
Padding = str | Sequence[tuple[int, int]]


class Window(NamedTuple):
    """How a square window moves over the input of a convolution.

    Attributes:
      k: height and width of the window.
      stride: rows or columns from one position to the next.
      input: height and width of the input.
      output: height and width of the output: the number of positions.
      before: rows of padding above and columns of padding left of the input.
    """

    k: int
    stride: int
    input: tuple[int, int]
    output: tuple[int, int]
    before: tuple[int, int]

    @property
    def padding(self) -> list[tuple[int, int]]:
        """Padding before and after the input; negative after it where the window stops short."""
        return [
            (low, (m - 1) * self.stride + self.k - n - low)
            for n, m, low in zip(self.input, self.output, self.before, strict=True)
        ]

    @property
    def positions(self) -> int:
        """The number of positions."""
        return self.output[0] * self.output[1]

    def is_worthwhile(self, batch: Any, kernel_size: int) -> bool:
        """Returns whether products are possible (whole strides) and there is enough to compute."""
        enough = 2 * _known(batch) * self.positions * kernel_size >= WORTHWHILE
        return self.k % self.stride == 0 and enough

    def winograd_tile(self, batch: Any, dtype: Any, channels: tuple[int, ...]) -> int:
        """Returns the size of the tiles with which `winograd` is fastest, or 0 if it is slower.

        It is never used in bfloat16, which would round its sums.
        """
        possible = self.k == 4 and self.stride <= 2 and min(channels) >= 16
        exact = jnp.finfo(dtype).bits >= 32
        if possible and exact and self.is_worthwhile(batch, 16 * math.prod(channels)):
            for tile in sorted(winograd.TILES, reverse=True):
                whole = not any(m * self.stride % (2 * tile) for m in self.output)
                if whole and _known(batch) * self.positions >= MANY_TILES * tile**2:
                    return tile
        return 0


def _known(batch: Any) -> int:
    """Returns the number of images; one where an exported program leaves it open."""
    return batch if isinstance(batch, int) else 1


def window_of_conv(size: Size, kernel: Size, stride: int, padding: Padding) -> Window:
    """Describes the window of a convolution.

    Args:
      size: height and width of the input.
      kernel: height and width of the kernel.
      stride: the factor by which height and width shrink.
      padding: ``"SAME"``, ``"SAME_LOWER"`` or ``"VALID"`` as in XLA, in any case, or rows above and
        below and columns left and right of the input.

    Raises:
      ValueError: the kernel is not square, or the padding is none of these.
    """
    H, W = size
    k, width = kernel
    if k != width:
        raise ValueError(f"the kernel must be square, not {k}×{width}")
    if isinstance(padding, str):
        if padding.upper() not in ("SAME", "SAME_LOWER", "VALID"):
            raise ValueError(f"padding must be 'SAME', 'SAME_LOWER' or 'VALID', not {padding!r}")
        padding = lax.padtype_to_pads((H, W), (k, k), (stride, stride), padding)
    (top, bottom), (left, right) = padding
    h, w = (max((n - k) // stride + 1, 0) for n in (H + top + bottom, W + left + right))
    return Window(k, stride, (H, W), (h, w), (top, left))


def window_of_transpose(size: Size, kernel: Size, stride: int, padding: str) -> Window:
    """Describes the window of a transposed convolution: that of the convolution it transposes.

    Its input, of this size, is the output of the convolution. The rest is as for `window_of_conv`.
    """
    valid = padding.upper() == "VALID"
    H, W = ((n - 1) * stride + kernel[0] if valid else n * stride for n in size)
    return window_of_conv((H, W), kernel, stride, padding)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(x: Input, kernel: Kernel, window: Window) -> Output:
    """Convolves (correlates, as everywhere in the field)."""
    # Few positions, or few channels: XLA's own convolution does not fill the processor.
    small = window.positions <= 64 or kernel.shape[2] < 16
    if tile := window.winograd_tile(x.shape[0], x.dtype, kernel.shape[2:]):
        form: Form = _conv_winograd
    elif small and window.is_worthwhile(x.shape[0], kernel.size):
        form = _conv_products
    else:
        return _conv_xla(x, kernel, window)
    return _on_cpu(form, _conv_xla, x, kernel, window, tile)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_transpose(y: Output, kernel: Kernel, window: Window) -> Input:
    """Applies the adjoint of `conv`, which is its gradient with respect to the input."""
    # "col2im" adds up overlapping patches, which pays where they are few or narrow.
    if not window.is_worthwhile(y.shape[0], kernel.size):
        return _transpose_xla(y, kernel, window)
    if tile := window.winograd_tile(y.shape[0], y.dtype, kernel.shape[2:]):
        form: Form = _transpose_winograd
    elif window.positions <= 64 or (window.stride > 1 and kernel.shape[2] < 32):
        form = _transpose_products
    else:
        form = _transpose_subpixels
    return _on_cpu(form, _transpose_xla, y, kernel, window, tile)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_kernel_grad(x: Input, y: Output, window: Window) -> Kernel:
    """Makes the gradient of `conv` and `conv_transpose` with respect to the kernel."""
    channels = x.shape[-1], y.shape[-1]
    if tile := window.winograd_tile(x.shape[0], x.dtype, channels):
        form: Form = _kernel_grad_winograd
    elif y.shape[-1] >= 16 and window.is_worthwhile(x.shape[0], window.k**2 * math.prod(channels)):
        form = _kernel_grad_products
    else:
        form = _kernel_grad_canonical
    return _on_cpu(form, _kernel_grad_xla, x, y, window, tile)


@partial(jax.jit, static_argnums=(0, 1, 4, 5), inline=True)
def _on_cpu(form: Form, xla: Form, a: Array, b: Array, window: Window, tile: int) -> Array:
    """Computes by one form on CPU and by XLA's convolution on other platforms.

    It is traced once for layers of equal shapes, and leaves no function behind in the program.
    """
    form = partial(form, tile=tile) if tile else form
    forms = partial(form, window=window), partial(xla, window=window)
    return lax.platform_dependent(a, b, cpu=forms[0], default=forms[1])


def _whole(primal: Array, cotangent: Array) -> Array:
    """Sums a cotangent over the axes of a ``shard_map`` over which its primal does not vary.

    JAX does this for its own operations, since it is what the transpose of an addition does.
    Elsewhere this changes nothing, and the addition itself is not computed.
    """
    return jax.vjp(lambda p: p + cotangent, primal)[1](cotangent)[0]


def _define_vjp(f: Any, derivatives: Callable[..., tuple[Array, Array]]) -> None:
    def forward(a: Array, b: Array, window: Window) -> tuple[Array, tuple[Array, Array]]:
        return f(a, b, window), (a, b)

    def backward(window: Window, primals: Any, cotangent: Array) -> tuple[Array, ...]:
        found = derivatives(*primals, cotangent, window)
        return tuple(_whole(p, d) for p, d in zip(primals, found, strict=True))

    f.defvjp(forward, backward)


_define_vjp(conv, lambda x, k, dy, w: (conv_transpose(dy, k, w), conv_kernel_grad(x, dy, w)))
_define_vjp(conv_transpose, lambda y, k, dx, w: (conv(dx, k, w), conv_kernel_grad(dx, y, w)))
_define_vjp(conv_kernel_grad, lambda x, y, dk, w: (conv_transpose(y, dk, w), conv(x, dk, w)))


# XLA's convolutions. On GPU, cuDNN has a routine for each of them.


def _conv_xla(x: Array, kernel: Array, window: Window) -> Array:
    return _convolve(x, kernel, (window.stride, window.stride), window.padding)


def _transpose_xla(y: Array, kernel: Array, window: Window) -> Array:
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    padding = [(window.k - 1 - low, window.k - 1 - high) for low, high in window.padding]
    dilation = (window.stride, window.stride)
    return _convolve(y, turned, (1, 1), padding, lhs_dilation=dilation)


def _kernel_grad_xla(
    x: Array, y: Array, window: Window, layout: Any = ("CHWN", "IHWO", "HWNC")
) -> Array:
    dilation = (window.stride, window.stride)
    return lax.conv_general_dilated(
        x, y, (1, 1), window.padding, rhs_dilation=dilation, dimension_numbers=layout
    )


def _kernel_grad_canonical(x: Array, y: Array, window: Window) -> Array:
    """Makes the same in the one layout that XLA on CPU is fast in everywhere.

    Outside of loops it rearranges other layouts itself; inside of ``lax.scan`` and the like it
    falls back to a naive loop.
    """
    x, y = x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3)
    return _kernel_grad_xla(x, y, window, _LAYOUT).transpose(1, 2, 0, 3)


# Matrix products. The window must be a whole number of strides wide: then a row of it consists of
# pieces of `stride` pixels each, which a reshape turns into channels.


def _padded(x: Array, window: Window, sign: int = 1) -> Array:
    """Adds the padding around an input, or with ``sign=-1`` takes it away."""
    edges = [(0, 0, 0), *((sign * low, sign * high, 0) for low, high in window.padding), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def _columns(x: Array, window: Window) -> Array:
    """Lists what the window sees at each position ("im2col"), ``[B, h, w, k·k·in]``."""
    B, _, _, C = x.shape
    (h, w), s = window.output, window.stride
    x = _padded(x, window)
    x = x.reshape(B, x.shape[1] // s, s, x.shape[2] // s, s * C)
    pieces = [
        x[:, row // s : row // s + h, row % s, piece : piece + w]
        for row in range(window.k)
        for piece in range(window.k // s)
    ]
    return jnp.concatenate(pieces, -1)


def _conv_products(x: Array, kernel: Array, window: Window) -> Array:
    return jnp.einsum("bhwn,no->bhwo", _columns(x, window), kernel.reshape(-1, kernel.shape[-1]))


def _kernel_grad_products(x: Array, y: Array, window: Window) -> Array:
    flat = jnp.einsum("bhwn,bhwo->no", _columns(x, window), y)
    return flat.reshape(window.k, window.k, x.shape[-1], y.shape[-1])


def _squares(blocks: Array, window: Window) -> Array:
    """Joins blocks of ``stride × stride`` pixels, ``[B, h', w', stride, stride, in]``."""
    B, h, w, s, _, C = blocks.shape
    return _padded(blocks.transpose(0, 1, 3, 2, 4, 5).reshape(B, h * s, w * s, C), window, -1)


def _transpose_products(y: Array, kernel: Array, window: Window) -> Array:
    """Adds up what each position contributes to the blocks around it ("col2im"): one product."""
    s, n = window.stride, window.k // window.stride
    parts = jnp.einsum("bhwo,ijco->bhwijc", y, kernel)
    parts = parts.reshape(*y.shape[:3], n, s, n, s, kernel.shape[2])
    unchanged = ((0, 0), (0, 0), (0, 0))
    blocks = [
        jnp.pad(parts[:, :, :, i, :, j], ((0, 0), (i, n - 1 - i), (j, n - 1 - j), *unchanged))
        for i in range(n)
        for j in range(n)
    ]
    return _squares(sum(blocks[1:], blocks[0]), window)


def _transpose_subpixels(y: Array, kernel: Array, window: Window) -> Array:
    """Makes whole blocks of pixels by a convolution of stride 1."""
    s, n = window.stride, window.k // window.stride
    C, out = kernel.shape[2:]
    blocks = kernel.reshape(n, s, n, s, C, out).transpose(0, 2, 5, 1, 3, 4)[::-1, ::-1]
    made = _convolve(y, blocks.reshape(n, n, out, s * s * C), (1, 1), [(n - 1, n - 1)] * 2)
    return _squares(made.reshape(*made.shape[:3], s, s, C), window)


def _conv_winograd(x: Array, kernel: Array, window: Window, tile: int) -> Array:
    return winograd.conv(_padded(x, window), kernel, window.stride, tile)


def _transpose_winograd(y: Array, kernel: Array, window: Window, tile: int) -> Array:
    return _padded(winograd.conv_transpose(y, kernel, window.stride, tile), window, -1)


def _kernel_grad_winograd(x: Array, y: Array, window: Window, tile: int) -> Array:
    return winograd.conv_kernel_grad(_padded(x, window), y, window.stride, tile)
