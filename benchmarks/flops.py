"""Counts the floating-point operations of the recipes analytically.

A multiplication and an addition are two operations. A convolution with a k×k kernel costs
``2·k²·in·out`` per image and position of its smaller feature map: its output if it is strided, its
input if it is transposed. Positions outside the image are counted, unlike in XLA's own count;
normalization, activations, losses and the optimizer are not, unlike in XLA's. Each gradient of a
layer, with respect to its input or its kernel, costs as much as the layer.

With G and D for one pass of a generator and a discriminator, and G₁ and D₁ for their first layers,
one image of each domain costs:

* for an update of the discriminators ``2·G + 12·D − 4·D₁``: two translations, four passes of a
  discriminator, and both gradients of the latter, except those with respect to the images;
* for an update of the generators ``12·G − 2·G₁ + 4·D``, with feature matching ``2·D`` more: four
  translations and both their gradients, except those with respect to real images, two passes of a
  discriminator over fakes and the gradients with respect to the fakes, and two over real images;
* for a cycle one of the former and two of the latter.
"""

from collections.abc import Iterator
from itertools import pairwise

KERNEL = 4 * 4


def conv(positions: int, n_in: int, n_out: int) -> float:
    """Returns the operations of a convolution with a 4×4 kernel, for one image."""
    return 2.0 * KERNEL * n_in * n_out * positions


def _channels(size: int, width: int) -> list[int]:
    return [3, *(min(width * 2**i, 512) for i in range(size.bit_length() - 3))]


def _down(size: int, channels: list[int]) -> Iterator[float]:
    for n_in, n_out in pairwise(channels):
        size //= 2
        yield conv(size * size, n_in, n_out)


def official(size: int, width: int = 64) -> tuple[list[float], list[float]]:
    """Returns the operations of each layer of a generator and a discriminator, for one image."""
    down = list(_down(size, _channels(size, width)))
    last = _channels(size, width)[-1]
    return [*down, *down[::-1]], [*down, conv(1, last, 1)]


def book(size: int, width: int = 32) -> tuple[list[float], list[float]]:
    """Returns the same for the book's networks."""
    down = _channels(size, width)
    up = [*down[:0:-1], width // 2]
    generator = list(_down(size, down))
    side = 4
    for n_in, n_out in pairwise(up):
        generator.append(conv(side * side, n_in, 4 * n_out))
        side *= 2
    generator.append(conv(side * side, up[-1], 3))
    channels = _channels(2 * size, width)
    dense = [2.0 * 2 * 2 * channels[-1] * 512, 2.0 * 512]
    return generator, [*_down(size, channels), *dense]


def updates(recipe: str, size: int, batch: int, width: int | None = None) -> dict[str, float]:
    """Returns the operations of each update and of a cycle.

    Args:
      recipe: ``"official"`` or ``"book"``.
      size: image size in pixels.
      batch: images of each domain.
      width: channels of the first level; the recipe's if None.
    """
    count, feature = (official, True) if recipe == "official" else (book, False)
    generator, discriminator = count(size) if width is None else count(size, width)
    G, D = sum(generator), sum(discriminator)
    d = batch * (2 * G + 12 * D - 4 * discriminator[0])
    g = batch * (12 * G - 2 * generator[0] + (6 if feature else 4) * D)
    return {"D update": d, "G update": g, "cycle": d + 2 * g}
