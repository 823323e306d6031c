"""Which images make which batch: a pure function of (seed, step), the same on host and device.

An epoch of a domain is a permutation of its images, cut into whole batches (the remainder, a
different one each epoch, sits out), so no image is seen twice in an epoch or in a batch. Nothing is
saved to resume: the batches of a step follow from its number.

The permutation is a swap-or-not shuffle (Hoang, Morris, Rogaway 2012, "An Enciphering Scheme Based
on a Card Shuffle"): it maps one index at a time, for any size, in integer arithmetic that NumPy and
JAX carry out alike, so neither side has to store or sort an epoch.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from flax import struct
from jaxtyping import Bool, UInt8, UInt32

from discogan_jax.errors import InputError

# NumPy's or JAX's: what goes in decides what comes out.
Array: TypeAlias = Any

# Each round parts a pair of neighbours with probability 1/2: 2^-32 stay together.
_ROUNDS = 32
_DOMAIN_KEYS = {"a": 0xA511E9B3, "b": 0x63D83595}
_FLIP_KEY = 0x1B873593


def _mix(x: Any) -> Any:
    """A bijective 32-bit hash of every element (Wellons' lowbias32)."""
    u = x.__array_namespace__().uint32
    x = (x ^ (x >> u(16))) * u(0x7FEB352D)
    x = (x ^ (x >> u(15))) * u(0x846CA68B)
    return x ^ (x >> u(16))


def _hash(first: Any, *words: Any) -> Any:
    """One 32-bit hash of several words, element by element; the first is an array."""
    u = first.__array_namespace__().uint32
    h = _mix(first + u(0x9E3779B9))
    for word in words:
        h = _mix(h + u(0x9E3779B9) ^ word)
    return h


def permute(index: Any, size: int, key: Any) -> Any:
    """Where a permutation of ``range(size)`` sends indices.

    Args:
      index: NumPy or JAX array of uint32, each below `size`.
      size: number of elements, at least 1.
      key: uint32 array that chooses the permutation; broadcasts against `index`.

    Returns:
      uint32 of the same shape; for one key, a bijection of ``range(size)``.
    """
    xp = index.__array_namespace__()
    n = xp.uint32(size)
    # Of all rounds at once: an operation for each would be most of the time to trace this.
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
    """The order of a run's images.

    Attributes:
      sizes: number of images of domain a and of domain b.
      batch_size: images per domain in the (global) batch of one update.
      updates: batches in a step.
      flip: mirror every other image, at random.
    """

    sizes: tuple[int, int]
    batch_size: int
    updates: int
    flip: bool = False

    def __post_init__(self) -> None:
        if self.batch_size > min(self.sizes):
            raise InputError(
                f"data.batch_size is {self.batch_size}, but the smaller domain has only "
                f"{min(self.sizes)} training images: use a batch of at most that many"
            )

    def _batches(self, step: Any) -> Any:
        """Numbers of a step's batches, [updates, 1]; `step` is a uint32 array of shape [1]."""
        xp = step.__array_namespace__()
        return (step * xp.uint32(self.updates) + xp.arange(self.updates, dtype=xp.uint32))[:, None]

    def indices(self, seed: Any, step: Any, domain: str) -> UInt32[Array, "U B"]:
        """Which training images make the batches of a step.

        Args:
          seed: uint32 array of shape [1], NumPy or JAX (the result is of the same kind).
          step: uint32 array of shape [1].
          domain: ``"a"`` or ``"b"``; each has its own permutations.
        """
        xp = step.__array_namespace__()
        size = self.sizes["ab".index(domain)]
        batches = self._batches(step)
        per_epoch = xp.uint32(size // self.batch_size)
        first = batches % per_epoch * xp.uint32(self.batch_size)
        key = _hash(seed[:, None], xp.uint32(_DOMAIN_KEYS[domain]), batches // per_epoch)
        return permute(first + xp.arange(self.batch_size, dtype=xp.uint32)[None], size, key)

    def flips(self, seed: Any, step: Any, domain: str) -> Bool[Array, "U B"]:
        """Which of those images are mirrored; arguments as in `indices`."""
        xp = step.__array_namespace__()
        place = xp.arange(self.batch_size, dtype=xp.uint32)[None]
        key = _hash(seed[:, None], xp.uint32(_DOMAIN_KEYS[domain]), xp.uint32(_FLIP_KEY))
        return (_hash(key, self._batches(step), place) & xp.uint32(1)).astype(bool)

    def batches(self, images: Any, seed: Any, step: Any) -> dict[str, UInt8[Array, "U B S S 3"]]:
        """The batches of a step, gathered from both domains' arrays.

        Args:
          images: ``{"a": uint8[N, S, S, 3], "b": uint8[M, S, S, 3]}``, of the kind of `seed`.
          seed: uint32 array of shape [1].
          step: uint32 array of shape [1].
        """
        return {d: self.gather(images[d], seed, step, d) for d in ("a", "b")}

    def gather(
        self, images: Any, seed: Any, step: Any, domain: str, rows: slice = slice(None)
    ) -> UInt8[Array, "U b S S 3"]:
        """One domain's batches of a step, or only some `rows` of each batch."""
        chosen = images[self.indices(seed, step, domain)[:, rows]]
        if self.flip:
            xp = step.__array_namespace__()
            mirrored = self.flips(seed, step, domain)[:, rows, None, None, None]
            chosen = xp.where(mirrored, chosen[:, :, :, ::-1], chosen)
        return chosen


@struct.dataclass
class Resident:
    """Both domains' training images on the device, and the order they are drawn in.

    Attributes:
      images: ``{"a": uint8[N, S, S, 3], "b": uint8[M, S, S, 3]}``.
      order: static; what a step's batches are.
    """

    images: dict[str, Any]
    order: Order = struct.field(pytree_node=False)
