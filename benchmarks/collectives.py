"""Counts the collectives of a compiled program and estimates their time.

Bytes are counted in the program's text, so they are exact for that program; times are computed
from them by a formula with assumed bandwidths, and are not measured.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_CALL = re.compile(rf"= (.*?) ({'|'.join(_KINDS)})(-start)?\(")
_ARRAY = re.compile(r"([a-z]+\d+)\[([\d,]*)\]")


@dataclass(frozen=True)
class Traffic:
    """The traffic of one kind of collective.

    Attributes:
      calls: number of calls.
      size: bytes of their results.
    """

    calls: int
    size: int


@dataclass(frozen=True)
class Network:
    """The network between the devices; all numbers are assumptions.

    Attributes:
      devices: number of devices.
      bandwidth: bytes per second that each device can send.
      latency: seconds that a collective takes, regardless of its size.
    """

    devices: int
    bandwidth: float
    latency: float


# NVLink within a host; 400 Gb/s per GPU between hosts, where a ring is as fast as its slowest
# link. Latencies are those of a small all-reduce with NCCL.
ONE_HOST = Network(devices=8, bandwidth=450e9, latency=15e-6)
MANY_HOSTS = Network(devices=512, bandwidth=50e9, latency=60e-6)

PEAK_FLOPS = 790e12
"""Of an H100 in bfloat16, as large matrix products reach it."""

SHARE_OF_PEAK = 0.35
"""Of it, what training reaches; an assumption."""


def traffic(text: str) -> dict[str, Traffic]:
    """Counts the collectives of a program.

    Args:
      text: ``compiled.as_text()``; collectives in loops count once.

    Returns:
      The traffic by kind of collective; kinds that do not occur are left out.
    """
    found: dict[str, Traffic] = {}
    for shapes, kind, start in _CALL.findall(text):
        arrays = [_bytes(*array) for array in _ARRAY.findall(shapes)]
        if start and kind in ("all-gather", "collective-permute"):
            arrays = arrays[len(arrays) // 2 :]  # arguments first, results after them
        before = found.get(kind, Traffic(0, 0))
        found[kind] = Traffic(before.calls + 1, before.size + sum(arrays))
    return found


def _bytes(kind: str, shape: str) -> int:
    bits = int(re.sub(r"\D", "", kind))
    size = 1
    for n in filter(None, shape.split(",")):
        size *= int(n)
    return size * max(bits, 8) // 8


def sent(found: Mapping[str, Traffic], devices: int) -> float:
    """Returns the bytes that each device sends if the devices form a ring."""
    n = devices
    share = {
        "all-reduce": 2 * (n - 1) / n,
        "all-gather": (n - 1) / n,
        "reduce-scatter": n - 1,
        "all-to-all": (n - 1) / n,
        "collective-permute": 1,
    }
    return sum(share[kind] * t.size for kind, t in found.items())


def seconds(found: Mapping[str, Traffic], network: Network) -> float:
    """Returns the time of all collectives, one after the other."""
    calls = sum(t.calls for t in found.values())
    return sent(found, network.devices) / network.bandwidth + calls * network.latency


def efficiency(found: Mapping[str, Traffic], network: Network, flops: float) -> float:
    """Returns the fraction of a device's time that is left for computing, if nothing overlaps.

    Args:
      found: the result of `traffic`.
      network: the network between the devices.
      flops: floating-point operations of one device in the same program.
    """
    computing = flops / (SHARE_OF_PEAK * PEAK_FLOPS)
    return computing / (computing + seconds(found, network))
