"""Decides which images make which batch, and how, as a pure function of seed and step.

An epoch of a domain is a permutation of its images, cut into whole batches (the remainder, other
images in each epoch, is left out), so no image occurs twice in an epoch or in a batch. Whether an
image is mirrored, and which part of it is cut out, is drawn anew for each batch. Nothing is saved
to resume: the batches of a step follow from its number.

The permutation is a swap-or-not shuffle (Hoang, Morris, Rogaway 2012, "An Enciphering Scheme Based
on a Card Shuffle"): it maps one index at a time, for any size, in integer arithmetic in which NumPy
and JAX agree, so neither host nor device has to store or sort an epoch.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from flax import struct
from jaxtyping import Bool, UInt8, UInt32
from numpy.lib.stride_tricks import sliding_window_view

from discogan_jax.errors import InputError
from discogan_jax.state import DOMAINS

# Of NumPy or of JAX: the type of the arguments decides that of the result.
Array: TypeAlias = Any

# Each round separates a pair of neighbours with probability 1/2: 2^-32 stay together.
_ROUNDS = 32
_DOMAIN_KEYS = {"a": 0xA511E9B3, "b": 0x63D83595}
_FLIP_KEY = 0x1B873593
_CROP_KEY = 0xCC9E2D51


def _mix(x: Any) -> Any:
    """Hashes every element to 32 bits, bijectively (Wellons' lowbias32)."""
    u = x.__array_namespace__().uint32
    x = (x ^ (x >> u(16))) * u(0x7FEB352D)
    x = (x ^ (x >> u(15))) * u(0x846CA68B)
    return x ^ (x >> u(16))


def _hash(first: Any, *words: Any) -> Any:
    """Hashes several words to one of 32 bits, element by element; the first is an array."""
    u = first.__array_namespace__().uint32
    h = _mix(first + u(0x9E3779B9))
    for word in words:
        h = _mix(h + u(0x9E3779B9) ^ word)
    return h


def permute(index: Any, size: int, key: Any) -> Any:
    """Applies a permutation of ``range(size)`` to indices.

    Args:
      index: NumPy or JAX array of uint32, each below `size`.
      size: number of elements, at least 1.
      key: uint32 array that selects the permutation; broadcasts against `index`.

    Returns:
      uint32 of the same shape; for one key, a bijection of ``range(size)``.
    """
    xp = index.__array_namespace__()
    n = xp.uint32(size)
    # For all rounds at once: tracing an operation for each would take most of the time.
    even = xp.arange(0, 2 * _ROUNDS, 2, dtype=xp.uint32).reshape(-1, *[1] * key.ndim)
    offsets = _hash(key[None], even) % n
    salts = _hash(key[None], even + xp.uint32(1))
    for r in range(_ROUNDS):
        partner = (offsets[r] + n - index) % n
        swap = _mix(xp.maximum(index, partner) ^ salts[r]) & xp.uint32(1)
        index = index + (partner - index) * swap
    return index


@dataclass(frozen=True)
class Order:
    """Defines the order in which a run sees its images.

    Attributes:
      sizes: number of images of domain a and of domain b.
      batch_size: images per domain in the (global) batch of one update.
      updates: batches in a step.
      flip: mirror each image with probability 1/2.
      margin: rows and columns by which images are larger than what is cut out of them at random.
    """

    sizes: tuple[int, int]
    batch_size: int
    updates: int
    flip: bool = False
    margin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.batch_size > (least := min(self.sizes)):
            raise InputError(
                f"config.data.batch_size is {self.batch_size}, but the smaller domain has only "
                f"{least} training images: --config.data.batch_size={least} is the largest batch"
            )

    def _batches(self, step: Any) -> Any:
        """Numbers a step's batches, [updates, 1]; `step` is a uint32 array of shape [1]."""
        xp = step.__array_namespace__()
        return (step * xp.uint32(self.updates) + xp.arange(self.updates, dtype=xp.uint32))[:, None]

    def indices(self, seed: Any, step: Any, domain: str) -> UInt32[Array, "U B"]:
        """Chooses the training images of a step's batches.

        Args:
          seed: uint32 array of shape [1], of NumPy or JAX as the result will be.
          step: uint32 array of shape [1].
          domain: ``"a"`` or ``"b"``; each has its own permutations.
        """
        # The epoch chooses the permutation, the batch its place in the epoch.
        xp = step.__array_namespace__()
        size = self.sizes[DOMAINS.index(domain)]
        batches = self._batches(step)
        per_epoch = xp.uint32(size // self.batch_size)
        first = batches % per_epoch * xp.uint32(self.batch_size)
        key = _hash(seed[:, None], xp.uint32(_DOMAIN_KEYS[domain]), batches // per_epoch)
        return permute(first + xp.arange(self.batch_size, dtype=xp.uint32)[None], size, key)

    def flips(self, seed: Any, step: Any, domain: str) -> Bool[Array, "U B"]:
        """Chooses which of those images are mirrored; arguments as in `indices`."""
        xp = step.__array_namespace__()
        return (self._draw(seed, step, domain, _FLIP_KEY) & xp.uint32(1)).astype(bool)

    def crops(self, seed: Any, step: Any, domain: str) -> UInt32[Array, "U B 2"]:
        """Chooses the first row and column of what is cut out; arguments as in `indices`."""
        xp = step.__array_namespace__()
        draws = self._draw(seed, step, domain, _CROP_KEY)[:, :, None]
        # The remainders are biased by no more than the number of places in 2^32.
        places = xp.asarray([n + 1 for n in self.margin], dtype=xp.uint32)
        return _hash(draws, xp.arange(2, dtype=xp.uint32)[None, None]) % places[None, None]

    def _draw(self, seed: Any, step: Any, domain: str, use: int) -> UInt32[Array, "U B"]:
        """Draws 32 bits for each image of a step, independently for each `use`."""
        xp = step.__array_namespace__()
        position = xp.arange(self.batch_size, dtype=xp.uint32)[None]
        key = _hash(seed[:, None], xp.uint32(_DOMAIN_KEYS[domain]), xp.uint32(use))
        return _hash(key, self._batches(step), position)

    def batches(
        self, images: Any, seed: Any, step: Any, rows: slice = slice(None)
    ) -> dict[str, UInt8[Array, "U b h w C"]]:
        """Gathers the batches of a step, or some `rows` of each, from both domains' arrays.

        Args:
          images: ``{"a": uint8[N, H, W, C], "b": uint8[M, H, W, C]}``, of NumPy or JAX as `seed`.
          seed: uint32 array of shape [1].
          step: uint32 array of shape [1].
          rows: the rows of each batch.
        """
        return {d: self.gather(images[d], seed, step, d, rows) for d in DOMAINS}

    def gather(
        self, images: Any, seed: Any, step: Any, domain: str, rows: slice = slice(None)
    ) -> UInt8[Array, "U b h w C"]:
        """Gathers one domain's batches of a step, or only some `rows` of each batch."""
        # Advanced indexing: [updates, rows] of images.
        which = self.indices(seed, step, domain)[:, rows]
        if any(self.margin):
            chosen = _cut(images, which, self.crops(seed, step, domain)[:, rows], self.margin)
        else:
            chosen = images[which]
        if self.flip:
            xp = step.__array_namespace__()
            mirrored = self.flips(seed, step, domain)[:, rows, None, None, None]
            chosen = xp.where(mirrored, chosen[:, :, :, ::-1], chosen)
        return chosen


def _cut(
    images: Any, which: Any, crops: UInt32[Array, "U b 2"], margin: tuple[int, int]
) -> UInt8[Array, "U b h w C"]:
    """Cuts a part out of each of some images; of host arrays, only these parts are read."""
    h, w = images.shape[1] - margin[0], images.shape[2] - margin[1]
    top, left = crops[..., 0], crops[..., 1]
    # NumPy copies rows from a view of all parts, a hundred times as fast as single pixels.
    if isinstance(images, np.ndarray):
        parts = sliding_window_view(images, (h, w, images.shape[3]), axis=(1, 2, 3))
        return parts[which, top, left, 0]
    xp = which.__array_namespace__()
    y = top[:, :, None] + xp.arange(h, dtype=xp.uint32)[None, None]
    x = left[:, :, None] + xp.arange(w, dtype=xp.uint32)[None, None]
    return images[which[:, :, None, None], y[:, :, :, None], x[:, :, None]]


@struct.dataclass
class DeviceDataset:
    """Holds both domains' training images on the device, and draws the batches of a run of them.

    Attributes:
      images: ``{"a": uint8[N, H, W, C], "b": uint8[M, H, W, C]}``.
      seed: of the order.
      order: static; what a step's batches are.
    """

    images: dict[str, Any]
    seed: UInt32[Array, "1"]
    order: Order = struct.field(pytree_node=False)

    def batches(self, step: UInt32[Array, "1"]) -> dict[str, UInt8[Array, "U B h w C"]]:
        """Gathers the batches of a step."""
        return self.order.batches(self.images, self.seed, step)
