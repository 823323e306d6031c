"""A convolution, its adjoint and its kernel gradient, in forms that are fast on CPU and GPU.

The three are the sides of one trilinear form of images ``x``, kernel and feature maps ``y``: the
sum of ``x·kernel·y`` over all positions of a window that moves over the images. Each side is linear
in the other two, and its derivatives are the other two sides. So derivatives of any order of any of
them run in the forms below; forward mode (``jax.jvp``) is not defined.

`gather` makes ``y`` (a convolution), `scatter` ``x`` (a transposed convolution), `correlate` the
kernel (the gradient of either). On CPU each becomes matrix products where those are faster than
XLA's own convolution (`python -m benchmarks.layers` compares), fewer of them where `winograd` can;
these three functions choose.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from discogan_jax.ops import winograd

LAYOUT = ("NHWC", "HWIO", "NHWC")

# Floating-point operations below which a layer takes XLA's form on every backend: there is nothing
# to gain (`docs/performance.md`), and the products take twice as long to compile.
WORTHWHILE = 1e8

# Positions, over the batch, below which Winograd's products have too few rows to gain by.
MANY_POSITIONS = 512

Images = Float[Array, "B H W in"]
Kernel = Float[Array, "k k in out"]
Maps = Float[Array, "B h w out"]


class Window(NamedTuple):
    """How a square window moves over images.

    Attributes:
      k: height and width of the window.
      stride: how far it moves at once.
      images: height and width of the images.
      maps: height and width of the feature maps: the number of its positions.
      before: rows above and columns left of the images that it begins at.
    """

    k: int
    stride: int
    images: tuple[int, int]
    maps: tuple[int, int]
    before: tuple[int, int]

    @property
    def after(self) -> tuple[int, ...]:
        """Rows below and columns right of the images that it ends at; negative if short of it."""
        return tuple(
            (m - 1) * self.stride + self.k - n - b
            for n, m, b in zip(self.images, self.maps, self.before, strict=True)
        )

    def worthwhile(self, batch: Any, kernel_size: int) -> bool:
        """Whether products are possible (whole strides) and there is enough to compute."""
        enough = 2 * self._known(batch) * self.positions * kernel_size >= WORTHWHILE
        return self.k % self.stride == 0 and enough

    def suits_winograd(self, batch: Any, dtype: Any, channels: tuple[int, ...]) -> bool:
        """Whether `winograd` makes it faster; not in bfloat16, which would round its sums."""
        possible = self.k == 4 and self.stride <= 2
        possible = possible and not any(m * self.stride % 4 for m in self.maps)
        large = self._known(batch) * self.positions >= MANY_POSITIONS and min(channels) >= 16
        exact = jnp.finfo(dtype).bits >= 32
        return possible and large and exact and self.worthwhile(batch, 16 * math.prod(channels))

    @staticmethod
    def _known(batch: Any) -> int:
        """The number of images; one where an exported program leaves it open."""
        return batch if isinstance(batch, int) else 1

    @property
    def positions(self) -> int:
        """The number of positions."""
        return self.maps[0] * self.maps[1]


def over_images(images: tuple[int, int], k: int, stride: int, padding: str) -> Window:
    """The window of a convolution.

    Args:
      images: height and width of its input.
      k: height and width of the kernel.
      stride: its stride.
      padding: ``"SAME"`` or ``"VALID"``, as XLA and TensorFlow mean them.
    """
    if padding == "VALID":
        h, w = ((n - k) // stride + 1 for n in images)
        return Window(k, stride, images, (h, w), (0, 0))
    h, w = (-(-n // stride) for n in images)
    top, left = (max((m - 1) * stride + k - n, 0) // 2 for n, m in zip(images, (h, w), strict=True))
    return Window(k, stride, images, (h, w), (top, left))


def to_images(maps: tuple[int, int], k: int, stride: int, padding: str) -> Window:
    """The window of a transposed convolution; arguments as for `over_images`, but of its input."""
    H, W = (n * stride if padding == "SAME" else (n - 1) * stride + k for n in maps)
    return over_images((H, W), k, stride, padding)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def gather(x: Images, kernel: Kernel, window: Window) -> Maps:
    """A convolution (a correlation, as everywhere in the field)."""
    plain = partial(_gather_plain, window=window)
    # Few positions, or few channels: XLA's own convolution does not fill the processor.
    small = window.positions <= 64 or kernel.shape[2] < 16
    if window.suits_winograd(x.shape[0], x.dtype, kernel.shape[2:]):
        quick = partial(_gather_winograd, window=window)
    elif small and window.worthwhile(x.shape[0], kernel.size):
        quick = partial(_gather_products, window=window)
    else:
        return plain(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=quick, default=plain)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def scatter(y: Maps, kernel: Kernel, window: Window) -> Images:
    """The adjoint of `gather`: a transposed convolution, the gradient with respect to images."""
    dilated = partial(_scatter_dilated, window=window)
    if not window.worthwhile(y.shape[0], kernel.size):
        return dilated(y, kernel)
    if window.suits_winograd(y.shape[0], y.dtype, kernel.shape[2:]):
        quick = partial(_scatter_winograd, window=window)
    elif window.positions <= 64 or (window.stride > 1 and kernel.shape[2] < 32):
        quick = partial(_scatter_products, window=window)
    else:
        quick = partial(_scatter_subpixels, window=window)
    # On GPU the dilated form, with the kernel turned round, is what cuDNN has a routine for.
    return lax.platform_dependent(y, kernel, cpu=quick, default=dilated)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(x: Images, y: Maps, window: Window) -> Kernel:
    """The gradient of `gather` and `scatter` with respect to the kernel."""
    channels = x.shape[-1], y.shape[-1]
    if window.suits_winograd(x.shape[0], x.dtype, channels):
        quick = _correlate_winograd
    elif y.shape[-1] >= 16 and window.worthwhile(x.shape[0], window.k**2 * math.prod(channels)):
        quick = _correlate_columns
    else:
        quick = _correlate_canonical
    on_cpu, plain = partial(quick, window=window), partial(_correlate_plain, window=window)
    return lax.platform_dependent(x, y, cpu=on_cpu, default=plain)


def _both(f: Any) -> Any:
    """The forward half of a custom derivative that needs both arguments."""
    return lambda a, b, window: (f(a, b, window), (a, b))


def _whole(primal: Array, cotangent: Array) -> Array:
    """A cotangent, summed over the axes of a ``shard_map`` that its primal does not vary over.

    As JAX does for its own operations: that is what the transpose of an addition is. Elsewhere this
    changes nothing, and the addition itself is not computed.
    """
    return jax.vjp(lambda p: p + cotangent, primal)[1](cotangent)[0]


def _gather_bwd(window: Window, residuals: Any, cotangent: Array) -> Any:
    x, kernel = residuals
    dx, dkernel = scatter(cotangent, kernel, window), correlate(x, cotangent, window)
    return _whole(x, dx), _whole(kernel, dkernel)


def _scatter_bwd(window: Window, residuals: Any, cotangent: Array) -> Any:
    y, kernel = residuals
    dy, dkernel = gather(cotangent, kernel, window), correlate(cotangent, y, window)
    return _whole(y, dy), _whole(kernel, dkernel)


def _correlate_bwd(window: Window, residuals: Any, cotangent: Array) -> Any:
    x, y = residuals
    dx, dy = scatter(y, cotangent, window), gather(x, cotangent, window)
    return _whole(x, dx), _whole(y, dy)


gather.defvjp(_both(gather), _gather_bwd)
scatter.defvjp(_both(scatter), _scatter_bwd)
correlate.defvjp(_both(correlate), _correlate_bwd)


def _ends(window: Window) -> list[tuple[int, int]]:
    return list(zip(window.before, window.after, strict=True))


def _with_edges(x: Array, window: Window) -> Array:
    """Images with all that the window sees, zeros around them."""
    edges = [(0, 0, 0), *((low, high, 0) for low, high in _ends(window)), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def _without_edges(x: Array, window: Window) -> Array:
    edges = [(0, 0, 0), *((-low, -high, 0) for low, high in _ends(window)), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


# XLA's convolutions.


def _gather_plain(x: Array, kernel: Array, window: Window) -> Array:
    strides = (window.stride, window.stride)
    return lax.conv_general_dilated(x, kernel, strides, _ends(window), dimension_numbers=LAYOUT)


def _scatter_dilated(y: Array, kernel: Array, window: Window) -> Array:
    k = window.k
    return lax.conv_general_dilated(
        y,
        kernel[::-1, ::-1].swapaxes(2, 3),
        (1, 1),
        [(k - 1 - low, k - 1 - high) for low, high in _ends(window)],
        lhs_dilation=(window.stride, window.stride),
        dimension_numbers=LAYOUT,
    )


def _correlate_plain(x: Array, y: Array, window: Window) -> Array:
    """What JAX's own derivative is: cuDNN has a routine for it."""
    return lax.conv_general_dilated(
        x,
        y,
        (1, 1),
        _ends(window),
        rhs_dilation=(window.stride, window.stride),
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
    )


def _correlate_canonical(x: Array, y: Array, window: Window) -> Array:
    """The same in the one layout that XLA on CPU is fast in everywhere.

    Outside of loops it rearranges other layouts itself; inside of ``lax.scan`` and the like it
    falls to a naive loop.
    """
    found = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        y.transpose(1, 2, 0, 3),
        (1, 1),
        _ends(window),
        rhs_dilation=(window.stride, window.stride),
        dimension_numbers=LAYOUT,
    )
    return found.transpose(1, 2, 0, 3)


# Matrix products. The window must be a whole number of strides wide: then a row of it is a few
# pieces of `stride` pixels each, which a reshape makes channels of.


def _columns(x: Array, window: Window) -> Array:
    """What the window sees at each position ("im2col"), ``[B, h, w, k·k·in]``."""
    B, _, _, C = x.shape
    (h, w), s = window.maps, window.stride
    x = _with_edges(x, window)
    x = x.reshape(B, x.shape[1] // s, s, x.shape[2] // s, s * C)
    pieces = [
        x[:, row // s : row // s + h, row % s, piece : piece + w]
        for row in range(window.k)
        for piece in range(window.k // s)
    ]
    return jnp.concatenate(pieces, -1)


def _gather_products(x: Array, kernel: Array, window: Window) -> Array:
    return jnp.einsum("bhwn,no->bhwo", _columns(x, window), kernel.reshape(-1, kernel.shape[-1]))


def _correlate_columns(x: Array, y: Array, window: Window) -> Array:
    flat = jnp.einsum("bhwn,bhwo->no", _columns(x, window), y)
    return flat.reshape(window.k, window.k, x.shape[-1], y.shape[-1])


def _squares(blocks: Array, window: Window) -> Array:
    """Blocks of ``stride × stride`` pixels, ``[B, h', w', stride, stride, in]``, as images."""
    B, h, w, s, _, C = blocks.shape
    return _without_edges(blocks.transpose(0, 1, 3, 2, 4, 5).reshape(B, h * s, w * s, C), window)


def _scatter_products(y: Array, kernel: Array, window: Window) -> Array:
    """One product gives what each position adds to the blocks around it ("col2im")."""
    s, n = window.stride, window.k // window.stride
    parts = jnp.einsum("bhwo,ijco->bhwijc", y, kernel)
    parts = parts.reshape(*y.shape[:3], n, s, n, s, kernel.shape[2])
    still = ((0, 0), (0, 0), (0, 0))
    blocks = [
        jnp.pad(parts[:, :, :, i, :, j], ((0, 0), (i, n - 1 - i), (j, n - 1 - j), *still))
        for i in range(n)
        for j in range(n)
    ]
    return _squares(sum(blocks[1:], blocks[0]), window)


def _scatter_subpixels(y: Array, kernel: Array, window: Window) -> Array:
    """A convolution of stride 1 that makes whole blocks of pixels."""
    s, n = window.stride, window.k // window.stride
    C, out = kernel.shape[2:]
    blocks = kernel.reshape(n, s, n, s, C, out).transpose(0, 2, 5, 1, 3, 4)[::-1, ::-1]
    made = lax.conv_general_dilated(
        y,
        blocks.reshape(n, n, out, s * s * C),
        (1, 1),
        [(n - 1, n - 1)] * 2,
        dimension_numbers=LAYOUT,
    )
    return _squares(made.reshape(*made.shape[:3], s, s, C), window)


def _gather_winograd(x: Array, kernel: Array, window: Window) -> Array:
    return winograd.gather(_with_edges(x, window), kernel, window.stride)


def _scatter_winograd(y: Array, kernel: Array, window: Window) -> Array:
    return _without_edges(winograd.scatter(y, kernel, window.stride), window)


def _correlate_winograd(x: Array, y: Array, window: Window) -> Array:
    return winograd.correlate(_with_edges(x, window), y, window.stride)
