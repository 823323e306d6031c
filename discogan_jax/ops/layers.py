"""Convolutions as layers, and the rearrangements that double an image's size."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from discogan_jax.ops import convolution


def _conv_general_dilated(
    lhs: Array, rhs: Array, window_strides: Sequence[int], padding: Any, **rest: Any
) -> Array:
    """Computes what ``lax.conv_general_dilated`` does, by `convolution.conv` where that can."""
    # It can with neither groups nor dilation, a square kernel, and one stride for both axes.
    plain = rest.get("feature_group_count", 1) == 1 and rest.get("precision") is None
    plain = plain and {*rest["lhs_dilation"], *rest["rhs_dilation"]} == {1}
    if plain and lhs.ndim == 4 and rhs.shape[0] == rhs.shape[1] and len({*window_strides}) == 1:
        geometry = lhs.shape[1:3], rhs.shape[:2], window_strides[0], padding
        window = convolution.window_of_conv(*geometry)
        # Windows without a position (an input smaller than the kernel) have no fast form either.
        if window.positions:
            return convolution.conv(lhs, rhs, window)
    return lax.conv_general_dilated(lhs, rhs, window_strides, padding, **rest)


Conv = partial(nn.Conv, conv_general_dilated=_conv_general_dilated)
"""Flax's own module, which computes by `convolution.conv` whatever that can (no dilation, no
groups, a square kernel and equal strides), and everything else as Flax does."""


def conv_transpose(
    x: Float[Array, "B h w in"], kernel: Float[Array, "k _ out in"], stride: int, padding: str
) -> Float[Array, "B H W out"]:
    """Applies the adjoint of a strided convolution (a "transposed convolution").

    Equal to ``lax.conv_transpose(..., transpose_kernel=True)``, and to PyTorch's
    ``ConvTranspose2d(4, 2, 1)`` for ``stride=2, padding="SAME"``, a 4×4 kernel and even sizes.
    All of its derivatives are fast on CPU and GPU, but it has none in forward mode (``jax.jvp``).

    Args:
      x: images or feature maps.
      kernel: weights by height, width, output channel and input channel.
      stride: the factor by which height and width grow.
      padding: ``"SAME"`` or ``"VALID"``.

    Returns:
      Feature maps of ``stride`` times the size (plus the kernel's overhang if ``"VALID"``).

    Raises:
      ValueError: the kernel is not square, or the padding is neither of these.
    """
    window = convolution.window_of_transpose(x.shape[1:3], kernel.shape[:2], stride, padding)
    return convolution.conv_transpose(x, kernel, window)


class ConvTranspose(nn.Module):
    """Computes `conv_transpose`; parameters as in ``nn.ConvTranspose(transpose_kernel=True)``.

    Attributes:
      features: output channels.
      kernel_size: height and width of the kernel.
      stride: the factor by which height and width grow.
      padding: ``"SAME"`` or ``"VALID"``.
      use_bias: adds a bias per output channel.
      kernel_init: initial weights, of shape ``[k, k, out, in]``.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    kernel_size: tuple[int, int] = (4, 4)
    stride: int = 2
    padding: str = "SAME"
    use_bias: bool = True
    kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B h w in"]) -> Float[Array, "B H W out"]:
        """Up-samples feature maps."""
        kernel = self._kernel(x.shape[-1]).astype(self.dtype)
        y = conv_transpose(x.astype(self.dtype), kernel, self.stride, self.padding)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y += bias.astype(self.dtype).reshape(1, 1, 1, -1)
        return y

    def _kernel(self, channels: int) -> Float[Array, "k k out in"]:
        shape = (*self.kernel_size, self.features, channels)
        return self.param("kernel", self.kernel_init, shape)


class ResizeConv(ConvTranspose):
    """Copies every pixel into a 2×2 square and convolves: up-sampling without a checkerboard.

    See Odena et al. 2016, "Deconvolution and checkerboard artifacts". Copying is a transposed
    convolution with ones, so both together are one transposed convolution with the 3×3 kernel
    summed over its four shifts in a 4×4 window: less than half of the arithmetic, no large copy.

    The initial weights are of shape ``[3, 3, in, out]``. Kernel size, stride and padding stay those
    of `ConvTranspose`'s defaults.
    """

    def _kernel(self, channels: int) -> Float[Array, "4 4 out in"]:
        # A transposed convolution applies the kernel turned round.
        kernel = self.param("kernel", self.kernel_init, (3, 3, channels, self.features))
        rotated = kernel[::-1, ::-1].swapaxes(2, 3)
        shifts = [((i, 1 - i), (j, 1 - j), (0, 0), (0, 0)) for i in (0, 1) for j in (0, 1)]
        return sum((jnp.pad(rotated, shift) for shift in shifts), jnp.zeros(()))


def depth_to_space(x: Float[Array, "B H W depth"]) -> Float[Array, "B 2*H 2*W depth//4"]:
    """Turns four channels into a 2×2 square: sub-pixel up-sampling (Shi et al., arXiv 1609.05158).

    Channel ``(2·dy + dx)·C + c`` becomes channel ``c`` at row ``2·h + dy``, column ``2·w + dx``,
    which is TensorFlow's ``depth_to_space``.
    """
    B, H, W, depth = x.shape
    C = depth // 4
    x = x.reshape(B, H, W, 2, 2, C).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(B, 2 * H, 2 * W, C)


def stripes(x: Float[Array, "B H W depth"]) -> Float[Array, "B 2*H 2*W depth//4"]:
    """Reshapes to twice the size as the book does: each pixel becomes a piece of one image row.

    `models.book_generator` has this with ``literal=True``, and `depth_to_space` otherwise.
    """
    B, H, W, depth = x.shape
    return x.reshape(B, 2 * H, 2 * W, depth // 4)
