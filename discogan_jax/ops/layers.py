"""Convolutions as layers, and the rearrangements that double an image's size."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from discogan_jax.ops.convolution import gather, over_images, scatter, to_images


def conv(
    x: Float[Array, "B H W in"],
    kernel: Float[Array, "k k in out"],
    stride: int,
    padding: str,
) -> Float[Array, "B h w out"]:
    """A strided convolution (a correlation, as everywhere in the field).

    Equal to what ``nn.Conv`` computes. All of its derivatives are fast on CPU and GPU, but it has
    none in forward mode (``jax.jvp``).

    Args:
      x: images or feature maps.
      kernel: laid out height, width, input channels, output channels.
      stride: the factor by which height and width shrink.
      padding: ``"SAME"`` or ``"VALID"``.

    Returns:
      Feature maps.
    """
    _, H, W, _ = x.shape
    return gather(x, kernel, over_images((H, W), kernel.shape[0], stride, padding))


def _conv_of_flax(x: Array, kernel: Array, strides: Any, padding: Any, **_: Any) -> Array:
    return conv(x, kernel, strides[0], padding)


Conv = partial(nn.Conv, conv_general_dilated=_conv_of_flax)
"""Flax's own module around `conv`: square kernels, equal strides, ``"SAME"`` or ``"VALID"``."""


def conv_transpose(
    x: Float[Array, "B h w in"],
    kernel: Float[Array, "k k out in"],
    stride: int,
    padding: str,
) -> Float[Array, "B H W out"]:
    """The adjoint of a strided convolution (a "transposed convolution").

    Equal to ``lax.conv_transpose(..., transpose_kernel=True)``, and to PyTorch's
    ``ConvTranspose2d(4, 2, 1)`` for ``stride=2, padding="SAME"``, a 4×4 kernel and even sizes.
    Derivatives as for `conv`.

    Args:
      x: images or feature maps.
      kernel: laid out height, width, output channels, input channels.
      stride: the factor by which height and width grow.
      padding: ``"SAME"`` or ``"VALID"``.

    Returns:
      Feature maps of ``stride`` times the size (plus the kernel's overhang if ``"VALID"``).
    """
    _, h, w, _ = x.shape
    return scatter(x, kernel, to_images((h, w), kernel.shape[0], stride, padding))


class ConvTranspose(nn.Module):
    """Transposed convolution with the parameters of ``nn.ConvTranspose(transpose_kernel=True)``.

    Attributes:
      features: output channels.
      kernel_size: height and width of the kernel.
      stride: the factor by which height and width grow.
      padding: ``"SAME"`` or ``"VALID"``.
      use_bias: adds a bias per output channel.
      kernel_init: initial weights, of shape ``[k, k, out, in]``.
      dtype: what it computes in; parameters are float32.
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
        """Up-samples feature maps; see `conv_transpose`."""
        shape = (*self.kernel_size, self.features, x.shape[-1])
        kernel = self.param("kernel", self.kernel_init, shape)
        y = conv_transpose(
            x.astype(self.dtype), kernel.astype(self.dtype), self.stride, self.padding
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
        return y


class ResizeConv(nn.Module):
    """Copies every pixel into a 2×2 square and convolves: up-sampling that leaves no checkerboard.

    Odena et al. 2016, "Deconvolution and checkerboard artifacts". Copying is a transposed
    convolution with ones, so both are one transposed convolution with the 3×3 kernel summed over
    its four shifts in a 4×4 window: less than half of the arithmetic, and no large copy in memory.

    Attributes:
      features: output channels.
      use_bias: adds a bias per output channel.
      kernel_init: initial weights, of shape ``[3, 3, in, out]``.
      dtype: what it computes in; parameters are float32.
    """

    features: int
    use_bias: bool = True
    kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B h w in"]) -> Float[Array, "B 2*h 2*w out"]:
        """Up-samples feature maps."""
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features))
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        shifts = [((i, 1 - i), (j, 1 - j), (0, 0), (0, 0)) for i in (0, 1) for j in (0, 1)]
        wide = sum((jnp.pad(turned, shift) for shift in shifts), jnp.zeros(()))
        y = conv_transpose(x.astype(self.dtype), wide.astype(self.dtype), 2, "SAME")
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
        return y


def depth_to_space(x: Float[Array, "B H W depth"]) -> Float[Array, "B 2*H 2*W depth//4"]:
    """Sub-pixel up-sampling: four channels become a 2×2 square (Shi et al. 2016, arXiv 1609.05158).

    Channel ``(2·dy + dx)·C + c`` becomes channel ``c`` at row ``2·h + dy``, column ``2·w + dx``,
    which is TensorFlow's ``depth_to_space``.
    """
    B, H, W, depth = x.shape
    C = depth // 4
    x = x.reshape(B, H, W, 2, 2, C).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(B, 2 * H, 2 * W, C)


def stripes(x: Float[Array, "B H W depth"]) -> Float[Array, "B 2*H 2*W depth//4"]:
    """The book's bare reshape to twice the size: each pixel becomes a piece of one image row.

    Kept to show the difference to `depth_to_space`; no recipe trains with it.
    """
    B, H, W, depth = x.shape
    return x.reshape(B, 2 * H, 2 * W, depth // 4)
