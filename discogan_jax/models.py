"""The networks: one generator and one discriminator module, and the recipes made of them.

Recipes fill in the modules' fields: ``book`` (the chapter this library implements), ``official``
(Kim et al. 2017, arXiv 1703.05192) and ``best`` (docs/recipes.md). Depth follows the image size:
64 px has four levels, each doubling of the smaller side one more. Channels double from level to
level up to 512. Images may have any number of channels: a network has those of its input.
"""

from collections.abc import Callable
from functools import partial
from sys import maxsize
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from discogan_jax.ops.layers import Conv, ConvTranspose, ResizeConv, depth_to_space, stripes

KERNEL = (4, 4)
LEAK = 0.2
MAX_FEATURES = 512
MIN_IMAGE_SIZE = 16

# `use_fast_variance=False` takes two passes over the data: the mean of squares minus the square of
# the mean loses digits, and the agreement with the golden numbers with them. The book's code never
# updates its averages: their momentum is ours to choose. With Flax's 0.99 they lag behind weights
# that keep moving, and even translations of training images come out bleached or black.
book_norm = partial(
    nn.BatchNorm, use_scale=False, epsilon=1e-3, momentum=0.9, use_fast_variance=False
)
official_norm = partial(nn.BatchNorm, epsilon=1e-5, momentum=0.9, use_fast_variance=False)
book_init = nn.initializers.truncated_normal(0.02)
official_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # PyTorch's default
he_init = nn.initializers.he_normal()

Upsample = Literal["transpose", "smooth", "subpixel", "reshape"]
Recipe = Literal["book", "official", "best"]
ImageSize = int | tuple[int, int]
"""The side of a square, or height and width, in pixels."""


def _full(x: Array) -> Array:
    """Converts what leaves a network that computes in bfloat16 to float32."""
    return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x


def _normalized(net: Any, x: Array, name: str, *, train: bool) -> Any:
    """Applies the normalization of a network's hidden layers, if it has one."""
    if net.norm is None:
        return x
    where = {"use_running_average": not train, "axis_name": net.axis_name}
    return net.norm(name=name, dtype=net.dtype, **where)(x)


def leaky_sigmoid(x: Float[Array, "*shape"], leak: float) -> Float[Array, "*shape"]:
    """Computes the sigmoid, with a gradient that can lead back from 0 and 1.

    Where a sigmoid is as good as 0 or 1 it has no slope, so a network whose pictures have become
    white as a whole would stay so for good. A gradient that leads towards 0 or 1 gets no more than
    the sigmoid's own slope: what is white enough is not driven on.

    Args:
      x: numbers.
      leak: the least slope for gradients whose descent brings `x` nearer to 0.
    """
    return _leaky_sigmoid(x, leak)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _leaky_sigmoid(x: Array, leak: float) -> Array:
    return nn.sigmoid(x)


def _leaky_backward(leak: float, x: Array, cotangent: Array) -> tuple[Array]:
    y = nn.sigmoid(x)
    slope = y * (1 - y)
    inwards = cotangent * x > 0
    return (cotangent * jnp.where(inwards, jnp.maximum(slope, leak), slope),)


_leaky_sigmoid.defvjp(lambda x, leak: (nn.sigmoid(x), x), _leaky_backward)


class Generator(nn.Module):
    """Maps images to images: strided convolutions down, then up again to the input's size.

    Attributes:
      features: channels of the down-sampling levels; the way up mirrors them.
      bottleneck: channels of a code between a valid 4×4 convolution and its transpose (the
        official "extra layers"), or None for no such pair. The code of a power of two is 1×1.
      upsample: ``"transpose"`` (transposed convolutions), ``"smooth"`` (the same, but the last
        layer and all after the second, from 32 px on, are a `ResizeConv`, which leaves no
        checkerboard), ``"subpixel"`` (convolution to four times the channels, then
        `depth_to_space`) or ``"reshape"`` (the book's literal reshape).
      output: last activation, ``"sigmoid"`` (range [0, 1]) or ``"relu"`` (the book's literal one).
      leak: least slope of the sigmoid in training, for gradients that lead away from 0 and from 1;
        see `leaky_sigmoid`.
      norm: constructor of the normalization of every hidden layer but the first; None for biases
        in its place.
      use_bias: add biases on the first and the last layer.
      kernel_init: initial weights of every convolution.
      axis_name: the mapped axis over which batch statistics are averaged, under pmap or shard_map.
      dtype: type of the computation; parameters, statistics and the image are float32.
    """

    features: tuple[int, ...]
    bottleneck: int | None = None
    upsample: Upsample = "transpose"
    output: Literal["sigmoid", "relu"] = "sigmoid"
    leak: float = 0.0
    norm: Callable[..., nn.Module] | None = official_norm
    use_bias: bool = False
    kernel_init: Callable[..., Array] = official_init
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B H W C"]:
        """Translates a batch of images.

        Args:
          x: images in [0, 1]; height and width must be multiples of ``2**len(features)``.
          train: normalize with the batch's statistics (and update the running ones, if the
            collection ``batch_stats`` is mutable) instead of the running statistics.

        Returns:
          Images of the same shape, float32, in [0, 1] (unbounded above if ``output="relu"``).

        Raises:
          ValueError: the size cannot be halved that often.
        """
        _, height, width, channels = x.shape
        factor = 2 ** len(self.features)
        if height % factor or width % factor:
            raise ValueError(
                f"a generator of {len(self.features)} levels takes images whose height and width "
                f"are multiples of {factor}, not {height}×{width}"
            )
        # Hidden layers have a normalization or biases.
        layer = {
            "use_bias": self.norm is None,
            "kernel_init": self.kernel_init,
            "dtype": self.dtype,
        }
        conv, conv_t = partial(Conv, kernel_size=KERNEL, **layer), partial(ConvTranspose, **layer)
        norm = partial(_normalized, self, train=train)

        # Down to 4×4, or up to 7 pixels at other sizes; the first layer is not normalized.
        first, *others = self.features
        x = conv(features=first, strides=2, use_bias=self.use_bias, name="down_0")(x)
        for i, n in enumerate(others, 1):
            x = conv(features=n, strides=2, name=f"down_{i}")(nn.leaky_relu(x, LEAK))
            x = norm(x, f"down_{i}_norm")
        x = nn.leaky_relu(x, LEAK)

        # The official "extra layers".
        if self.bottleneck is not None:
            x = conv(features=self.bottleneck, padding="VALID", name="code")(x)
            x = nn.leaky_relu(norm(x, "code_norm"), LEAK)
            x = conv_t(features=self.features[-1], stride=1, padding="VALID", name="decode")(x)
            x = nn.relu(norm(x, "decode_norm"))

        # Up to the input's size; the last layer is not normalized either.
        ups = self.features[-2::-1]
        if self.upsample in ("transpose", "smooth"):
            fine = partial(ResizeConv, **layer) if self.upsample == "smooth" else conv_t
            for i, n in enumerate(ups):
                up = conv_t if i < 2 else fine  # to 8 and 16 px, or more
                x = nn.relu(norm(up(features=n, name=f"up_{i}")(x), f"up_{i}_norm"))
            x = fine(features=channels, use_bias=self.use_bias, name="out")(x)
        else:
            rearrange = depth_to_space if self.upsample == "subpixel" else stripes
            for i, n in enumerate((*ups, self.features[0] // 2)):
                x = nn.relu(norm(conv(features=4 * n, name=f"up_{i}")(x), f"up_{i}_norm"))
                x = rearrange(x)
            x = conv(features=channels, use_bias=self.use_bias, name="out")(x)

        x = _full(x)
        if self.output == "relu":
            return nn.relu(x)
        return leaky_sigmoid(x, self.leak) if train and self.leak else nn.sigmoid(x)


class Discriminator(nn.Module):
    """Judges images by one logit each, and returns the features that feature matching compares.

    Attributes:
      features: channels of the strided convolutions.
      hidden: width of a dense hidden layer before the logit (book), or None for a valid 4×4
        convolution straight to the logit (official).
      output: ``"logit"``, or ``"probability"``: the book's literal defect, a sigmoid before a loss
        that applies another one.
      norm: constructor of the normalization of every hidden layer but the first; None for biases
        in its place.
      use_bias: add biases on the first and the last layer.
      kernel_init: initial weights.
      axis_name: the mapped axis over which batch statistics are averaged, under pmap or shard_map.
      dtype: type of the computation; parameters, statistics and results are float32.
    """

    features: tuple[int, ...]
    hidden: int | None = None
    output: Literal["logit", "probability"] = "logit"
    norm: Callable[..., nn.Module] | None = official_norm
    use_bias: bool = False
    kernel_init: Callable[..., Array] = official_init
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool
    ) -> tuple[Float[Array, "B"], tuple[Float[Array, "B ..."], ...]]:
        """Judges a batch of images.

        Args:
          x: images in [0, 1].
          train: normalize with the batch's statistics instead of the running ones.

        Returns:
          Logits, positive for "real", and the activations after every convolution but the first.
        """
        settings: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        conv = partial(Conv, kernel_size=KERNEL, **settings)
        dense = partial(nn.Dense, **settings)
        norm = partial(_normalized, self, train=train)
        biased = self.norm is None

        # Down; the first layer is not normalized, and its features are not compared.
        first, *others = self.features
        x = conv(features=first, strides=2, use_bias=self.use_bias, name="down_0")(x)
        x = nn.leaky_relu(x, LEAK)
        activations = []
        for i, n in enumerate(others, 1):
            x = conv(features=n, strides=2, use_bias=biased, name=f"down_{i}")(x)
            x = nn.leaky_relu(norm(x, f"down_{i}_norm"), LEAK)
            activations.append(_full(x))

        # The logit of each image.
        if self.hidden is None:
            # A power of two has one position; at other sizes the logits of all are averaged.
            x = conv(features=1, use_bias=False, padding="VALID", name="out")(x).mean((1, 2, 3))
        else:
            x = dense(features=self.hidden, use_bias=biased, name="hidden")(x.reshape(len(x), -1))
            x = nn.leaky_relu(norm(x, "hidden_norm"), LEAK)
            x = dense(features=1, use_bias=self.use_bias, name="out")(x)[:, 0]
        logits = _full(x)
        return nn.sigmoid(logits) if self.output == "probability" else logits, tuple(activations)


def levels(image_size: ImageSize) -> int:
    """Counts how often an image is halved until its smaller side has 4 to 7 pixels.

    Both sides, of at least 16 pixels, must be multiples of two to the power of the result, as all
    powers of two are, 48, 80, 96 by 64 and 256 by 512.

    Raises:
      ValueError: it is another size; the message has the nearest that work.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    nearest = nearest_sizes(size)
    if nearest != (size,):
        found, *others = (f"{h}x{w}" if h != w else f"{h}" for h, w in (size, *nearest))
        raise ValueError(
            f"image_size must be a size that the networks can halve, it is {found}; "
            f"nearest: {', '.join(others)}"
        )
    return _halvings(size)


def nearest_sizes(size: tuple[int, int], largest: int = maxsize) -> tuple[tuple[int, int], ...]:
    """Finds the image sizes next to a given one that the networks take.

    Args:
      size: height and width in pixels.
      largest: the most pixels that a side may have, a power of two.

    Returns:
      Heights and widths: the given size alone if the networks take it; otherwise the next below
      and the next above, or one of them at either limit.
    """

    def multiple(size: tuple[int, int], up: bool) -> tuple[int, int]:
        factor = 2 ** _halvings(size)
        height, width = ((n + up * (factor - 1)) // factor * factor for n in size)
        return height, width

    height, width = (min(max(n, MIN_IMAGE_SIZE), largest) for n in size)
    # Rounding up may reach the next power of two, whose factor is twice as large.
    below = multiple((height, width), False)
    above = multiple(multiple((height, width), True), True)
    return (below,) if below == above else (below, above)


def _halvings(size: tuple[int, int]) -> int:
    return min(size).bit_length() - 3


def _doubling(width: int, n: int) -> tuple[int, ...]:
    return tuple(min(width * 2**i, MAX_FEATURES) for i in range(n))


def official_generator(
    image_size: ImageSize = 64, *, width: int = 64, bottleneck: int | None = None, **fields: Any
) -> Generator:
    """Makes the published generator: 64 to 512 channels, transposed convolutions.

    Args:
      image_size: the side of a square, or height and width, in pixels; sets the depth.
      width: number of channels of the first level.
      bottleneck: 100 for the published "extra layers".
      **fields: fields of `Generator` that replace the recipe's.
    """
    recipe = {"features": _doubling(width, levels(image_size)), "bottleneck": bottleneck}
    return Generator(**(recipe | fields))


def official_discriminator(
    image_size: ImageSize = 64, *, width: int = 64, **fields: Any
) -> Discriminator:
    """Makes the published discriminator: 64 to 512 channels, then a valid 4×4 convolution.

    Size, width and fields are as for `official_generator`, but the fields of `Discriminator`.
    """
    return Discriminator(**({"features": _doubling(width, levels(image_size))} | fields))


# The defaults of the modules' fields are the official recipe; the others name what they change.
_BOOK: dict[str, Any] = {"norm": book_norm, "use_bias": True, "kernel_init": book_init}


def best_generator(
    image_size: ImageSize = 64, *, batch_norm: bool = False, **fields: Any
) -> Generator:
    """Makes an `official_generator` without batch norm and checkerboards (docs/recipes.md).

    With `batch_norm` it is that of runs whose config lacks this field. Size and fields are as for
    `official_generator`.
    """
    recipe: dict[str, Any] = {"upsample": "smooth", "use_bias": True}
    if not batch_norm:
        recipe |= {"norm": None, "kernel_init": he_init, "leak": 0.003}
    return official_generator(image_size, **(recipe | fields))


def best_discriminator(image_size: ImageSize = 64, **fields: Any) -> Discriminator:
    """Makes an `official_discriminator` without batch norm (docs/recipes.md)."""
    return official_discriminator(image_size, **({"norm": None} | fields))


def book_generator(
    image_size: ImageSize = 64, *, width: int = 32, literal: bool = False, **fields: Any
) -> Generator:
    """Makes the book's generator: 32, 64, 128, 256 channels down, sub-pixel up-sampling.

    If `literal`, it does what the book's code did: up-samples by a bare reshape and ends with a
    ReLU. Size, width and fields are as for `official_generator`.
    """
    upsample, output = ("reshape", "relu") if literal else ("subpixel", "sigmoid")
    recipe = _BOOK | {"upsample": upsample, "output": output}
    return official_generator(image_size, width=width, **(recipe | fields))


def book_discriminator(
    image_size: ImageSize = 64, *, width: int = 32, literal: bool = False, **fields: Any
) -> Discriminator:
    """Makes the book's discriminator: 32 to 512 channels, then a dense layer of 512.

    If `literal`, it does what the book's code did: returns probabilities where the loss takes
    logits. Size, width and fields are as for `official_discriminator`.
    """
    # One level more than the generator has, and a dense layer behind it.
    recipe = _BOOK | {"features": _doubling(width, levels(image_size) + 1), "hidden": 512}
    output = "probability" if literal else "logit"
    return Discriminator(**(recipe | {"output": output} | fields))


RECIPES: dict[Recipe, tuple[Callable[..., nn.Module], Callable[..., nn.Module]]] = {
    "book": (book_generator, book_discriminator),
    "official": (official_generator, official_discriminator),
    "best": (best_generator, best_discriminator),
}
"""What makes the networks, by the name in a config; takes ``image_size``, ``width``, ``dtype``."""


def count_parameters(params: Any) -> int:
    """Counts the scalars in a tree of arrays or of their shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
