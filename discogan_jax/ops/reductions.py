"""Combines the sums over devices that a program can do at the same time.

A sum of a few numbers takes as long as its latency, and batch norm sums a few numbers over the
devices in every layer, forward and backward. Sums that do not depend on one another (those of both
domains' networks, of real and translated images, all gradients of an update) become one here. So a
program has as many sums as the longest chain of those of which each needs the one before.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jax.extend.core.primitives import psum_p

Read = Callable[[Any], Any]


class _Later:
    """The place of a value that is computed later."""

    value: Any = None


# A program of one operation, its arguments and its results.
_Step = tuple[core.Jaxpr, list[Any], list[_Later]]


def combined(f: Callable[..., Any], axis_name: str) -> Callable[..., Any]:
    """Returns a function that does the same with fewer sums, for ``shard_map(check_vma=False)``.

    Args:
      f: a function of trees of arrays; the order of its sums over the devices must not matter.
      axis_name: the mapped axis over which it sums.
    """

    def call(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(f, return_shape=True)(*args)
        results: list[Any] = []
        waiting = list(_flat(closed, jax.tree.leaves(args), results))
        while waiting:
            waiting, sums = _advance(waiting, axis_name)
            _sum_all(sums, axis_name)
        return jax.tree.unflatten(jax.tree.structure(shapes), map(_value, results))

    return call


def _value(x: Any) -> Any:
    return x.value if isinstance(x, _Later) else x


def _flat(closed: core.ClosedJaxpr, args: Sequence[Any], results: list[Any]) -> Iterator[_Step]:
    """Lists the operations of a program, those of compiled functions that sum included."""
    jaxpr = closed.jaxpr
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *args], strict=True))

    def read(v: Any) -> Any:
        return v.val if isinstance(v, core.Literal) else known[v]

    for eqn in jaxpr.eqns:
        given = [read(v) for v in eqn.invars]
        made: list[Any] = []
        if _is_compiled(eqn) and _sums(eqn.params["jaxpr"].jaxpr):
            yield from _flat(eqn.params["jaxpr"], given, made)
        else:
            made = [_Later() for _ in eqn.outvars]
            yield jaxpr.replace(constvars=[], eqns=[eqn], outvars=eqn.outvars), given, made
        known |= zip(eqn.outvars, made, strict=True)
    results.extend(map(read, jaxpr.outvars))


def _is_compiled(eqn: core.JaxprEqn) -> bool:
    return eqn.primitive.name in ("jit", "pjit")


def _sums(jaxpr: core.Jaxpr) -> bool:
    return any(
        eqn.primitive is psum_p or (_is_compiled(eqn) and _sums(eqn.params["jaxpr"].jaxpr))
        for eqn in jaxpr.eqns
    )


def _advance(waiting: Sequence[_Step], axis_name: str) -> tuple[list[_Step], list[_Step]]:
    """Computes what can be without a sum; returns what cannot be, and the sums that now can."""
    late, sums = [], []
    for program, given, made in waiting:
        [eqn], values = program.eqns, [_value(x) for x in given]
        if any(x is None for x in values):
            late.append((program, given, made))
        elif eqn.primitive is psum_p and eqn.params["axes"] == (axis_name,):
            sums.append((program, values, made))
        else:
            pairs = zip(eqn.invars, values, strict=True)
            own = {v: x for v, x in pairs if not isinstance(v, core.Literal)}
            alone = core.ClosedJaxpr(program.replace(invars=[*own]), [])
            for place, x in zip(made, core.jaxpr_as_fun(alone)(*own.values()), strict=True):
                place.value = x
    return late, sums


def _sum_all(sums: Sequence[_Step], axis_name: str) -> None:
    """Sums many arrays over the devices as one of each type."""
    terms = [pair for _, values, made in sums for pair in zip(values, made, strict=True)]
    for dtype in dict.fromkeys(x.dtype for x, _ in terms):
        those = [(jnp.asarray(x), place) for x, place in terms if x.dtype == dtype]
        flat = lax.psum(jnp.concatenate([x.reshape(-1) for x, _ in those]), axis_name)
        start = 0
        for x, place in those:
            place.value = flat[start : start + x.size].reshape(x.shape)
            start += x.size
