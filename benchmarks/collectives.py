"""Counts the collectives of a compiled program and estimates their time.

Bytes are counted in the program's text, so they are exact for that program; times are computed
from them by a formula with assumed bandwidths, and are not measured.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jax.extend import core

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
    """What connects the devices; all numbers are assumptions.

    Attributes:
      devices: devices of a host.
      hosts: number of hosts.
      inside: bytes per second that a device can send within its host.
      between: bytes per second that a device can send to another host.
      latency: seconds that a collective takes, regardless of its size.
    """

    devices: int
    hosts: int
    inside: float
    between: float
    latency: float


# NVLink within a host; 400 Gb/s per GPU between hosts. Latencies are those of a small all-reduce
# with NCCL.
ONE_HOST = Network(devices=8, hosts=1, inside=450e9, between=50e9, latency=15e-6)
MANY_HOSTS = Network(devices=8, hosts=64, inside=450e9, between=50e9, latency=60e-6)

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


def seconds(found: Mapping[str, Traffic], network: Network, hosts_first: bool = False) -> float:
    """Returns the time of all collectives, one after the other.

    Args:
      found: the result of `traffic`.
      network: what connects the devices.
      hosts_first: whether each host sums its devices' arrays first, so that each device exchanges
        its part alone with the other hosts; otherwise all devices are one ring.
    """
    waiting = sum(t.calls for t in found.values()) * network.latency
    inside = sent(found, network.devices) / network.inside
    if network.hosts == 1:
        return waiting + inside
    if hosts_first:
        part = sent(found, network.hosts) / network.devices
        return waiting + inside + part / network.between
    # A ring is as fast as its slowest link.
    return waiting + sent(found, network.devices * network.hosts) / network.between


def computing(flops: float) -> float:
    """Returns the time that a device computes."""
    return flops / (SHARE_OF_PEAK * PEAK_FLOPS)


def chain(jaxpr: Any, given: Sequence[int] = ()) -> tuple[list[int], int]:
    """Counts the longest chain of sums over devices of which each needs the one before.

    Args:
      jaxpr: a program, as ``jax.make_jaxpr`` returns it, with ``psum`` for each sum.
      given: the length of the chains that its arguments end; none if empty.

    Returns:
      The length of the chains that its results end, and of the longest of all.
    """
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    ends = dict(zip(jaxpr.invars, given, strict=bool(given)))
    longest = 0
    for eqn in jaxpr.eqns:
        before = [0 if isinstance(v, core.Literal) else ends.get(v, 0) for v in eqn.invars]
        if eqn.primitive.name in ("jit", "pjit", "shard_map"):
            made, inner = chain(eqn.params["jaxpr"], before)
        else:
            inner = max(before, default=0) + (eqn.primitive.name == "psum")
            made = [inner] * len(eqn.outvars)
        ends |= zip(eqn.outvars, made, strict=True)
        longest = max(longest, inner)
    return [0 if isinstance(v, core.Literal) else ends.get(v, 0) for v in jaxpr.outvars], longest
