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
  with the identity term ``6·G − 2·G₁`` more: two translations of real images;
* for a cycle one of the former and two of the latter.

The networks of ``best`` cost what the official ones do, as the library computes them.
"""

from collections.abc import Iterator
from itertools import pairwise

from discogan_jax.models import MAX_FEATURES, ImageSize, levels

KERNEL = 4 * 4


def conv(positions: int, n_in: int, n_out: int) -> float:
    """Returns the operations of a convolution with a 4×4 kernel, for one image."""
    return 2.0 * KERNEL * n_in * n_out * positions


def _sides(size: ImageSize) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _channels(channels: int, width: int, n: int) -> list[int]:
    return [channels, *(min(width * 2**i, MAX_FEATURES) for i in range(n))]


def _down(size: ImageSize, channels: list[int]) -> Iterator[float]:
    height, width = _sides(size)
    for n_in, n_out in pairwise(channels):
        height, width = -(-height // 2), -(-width // 2)
        yield conv(height * width, n_in, n_out)


def official(
    size: ImageSize, width: int = 64, channels: int = 3
) -> tuple[list[float], list[float]]:
    """Returns the operations of each layer of a generator and a discriminator, for one image."""
    n = levels(size)
    down = list(_down(size, _channels(channels, width, n)))
    h, w = (side // 2**n - 3 for side in _sides(size))
    last = _channels(channels, width, n)[-1]
    return [*down, *down[::-1]], [*down, conv(h * w, last, 1)]


def book(size: ImageSize, width: int = 32, channels: int = 3) -> tuple[list[float], list[float]]:
    """Returns the same for the book's networks."""
    n = levels(size)
    h, w = (side // 2**n for side in _sides(size))
    down = _channels(channels, width, n)
    up = [*down[:0:-1], width // 2]
    generator = list(_down(size, down))
    for i, (n_in, n_out) in enumerate(pairwise(up)):
        generator.append(conv(4**i * h * w, n_in, 4 * n_out))
    generator.append(conv(4**n * h * w, up[-1], channels))
    judged = _channels(channels, width, n + 1)
    dense = [2.0 * -(-h // 2) * -(-w // 2) * judged[-1] * 512, 2.0 * 512]
    return generator, [*_down(size, judged), *dense]


def updates(
    recipe: str, size: ImageSize, batch: int, width: int | None = None, channels: int = 3
) -> dict[str, float]:
    """Returns the operations of each update and of a cycle.

    Args:
      recipe: ``"official"``, ``"book"`` or ``"best"``.
      size: the side of a square image, or height and width, in pixels.
      batch: images of each domain.
      width: channels of the first level; the recipe's if None.
      channels: of the images.
    """
    count = book if recipe == "book" else official
    fields = {"channels": channels} if width is None else {"channels": channels, "width": width}
    generator, discriminator = count(size, **fields)
    G, D = sum(generator), sum(discriminator)
    d = batch * (2 * G + 12 * D - 4 * discriminator[0])
    g = batch * (12 * G - 2 * generator[0] + (4 if recipe == "book" else 6) * D)
    if recipe == "best":
        g += batch * (6 * G - 2 * generator[0])
    return {"D update": d, "G update": g, "cycle": d + 2 * g}
