"""What JAX traces of a function, written as an ONNX graph.

The trace is walked operation by operation. What depends on the weights alone is computed on the
way; the rest becomes the ONNX node of the same meaning. So a network that is changed is exported as
it is, and an operation that has no counterpart here is refused by name.

JAX convolves images as NHWC, ONNX as NCHW: transposes are postponed, and only those that remain are
written. ONNX runtimes compute little in bfloat16: what is that becomes float32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from discogan_jax.errors import InputError

OPSET = 17
IR_VERSION = 8
"""Of the same year: readers refuse newer files than they know."""


@dataclass(frozen=True)
class Tensor:
    """A value of the graph.

    Attributes:
      name: its name there.
      axes: axis i of JAX's value is axis `axes[i]` of the graph's.
    """

    name: str
    axes: tuple[int, ...]


# A constant may have axes of size 1 where JAX has broadcast it: ONNX does so by itself.
Value = Tensor | np.ndarray


def model(
    function: Callable[[Any], Any], shape: jax.ShapeDtypeStruct, given: str, made: str
) -> Any:
    """The model of a function of one array.

    Args:
      function: returns one array.
      shape: of its argument; its first dimension may be symbolic.
      given: name of the argument.
      made: name of the result.

    Returns:
      An ``onnx.ModelProto``.

    Raises:
      InputError: an operation has no counterpart here.
    """
    import onnx

    traced = jax.make_jaxpr(function)(shape)
    graph = _Graph()
    first = Tensor(given, tuple(range(len(shape.shape))))
    (result,) = _walk(graph, traced.jaxpr, traced.consts, [first])
    if not isinstance(result, Tensor):
        raise InputError("The function does not depend on its argument.")
    graph.nodes.append(
        onnx.helper.make_node("Identity", [_ordered(graph, result)], [made], "result")
    )
    (out,) = traced.out_avals
    ends = [
        onnx.helper.make_tensor_value_info(name, _type(x.dtype), [_said(n) for n in x.shape])
        for name, x in ((given, shape), (made, out))
    ]
    written = onnx.helper.make_graph(graph.nodes, "discogan", ends[:1], ends[1:], graph.constants)
    return onnx.helper.make_model(
        written,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="discogan_jax",
    )


class _Graph:
    """Nodes and constants so far."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, inputs: Sequence[str | np.ndarray], **attributes: Any) -> str:
        """Adds a node with one output, and the constants that it takes; returns its output."""
        import onnx

        name = f"{kind}_{len(self.nodes)}"
        names = [x if isinstance(x, str) else f"{name}.{i}" for i, x in enumerate(inputs)]
        for x, of in zip(inputs, names, strict=True):
            if not isinstance(x, str):
                wide = x.astype(np.float32) if x.dtype == jnp.bfloat16 else x
                self.constants.append(onnx.numpy_helper.from_array(wide, of))
        self.nodes.append(onnx.helper.make_node(kind, names, [name], name, **attributes))
        return name


def _walk(graph: _Graph, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
    known: dict[Any, Value] = dict(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))
    known |= dict(zip(jaxpr.invars, inputs, strict=True))

    def value(x: Any) -> Value:
        if isinstance(x, Literal):
            aval: Any = x.aval
            return np.asarray(x.val, aval.dtype)
        return known[x]

    for eqn in jaxpr.eqns:
        made = _operation(graph, eqn, [value(x) for x in eqn.invars])
        known |= dict(zip(eqn.outvars, made, strict=True))
    return [value(x) for x in jaxpr.outvars]


def _operation(graph: _Graph, eqn: Any, inputs: list[Value]) -> list[Value]:
    kind = eqn.primitive.name
    if kind == "platform_index":
        return [np.asarray(eqn.params["platforms"].index(None))]  # the form for any platform
    if kind == "broadcast_in_dim":
        return [_broadcast(eqn, inputs)]
    if kind == "cond" and isinstance(inputs[0], np.ndarray):
        chosen = eqn.params["branches"][int(inputs[0])]
        return _walk(graph, chosen.jaxpr, chosen.consts, inputs[1:])
    for name in _CALLS.get(kind, ()):
        if name in eqn.params:
            inner = eqn.params[name]
            inside = getattr(inner, "jaxpr", inner)
            return _walk(graph, inside, getattr(inner, "consts", ()), inputs)
    if all(isinstance(x, np.ndarray) for x in inputs):
        return _computed(eqn, inputs)
    if kind not in _OPERATIONS:
        raise _unknown(kind)
    return [_OPERATIONS[kind](graph, eqn, inputs)]


def _unknown(what: str) -> InputError:
    return InputError(
        f"The network computes {what!r}, for which the ONNX export knows no node: take another "
        "format, or teach it to discogan_jax/export/onnx_graph.py"
    )


def _computed(eqn: Any, inputs: Sequence[Any]) -> list[Value]:
    """What depends on constants alone."""
    shapes = [x.aval.shape for x in eqn.invars]
    if not all(isinstance(n, int) for shape in shapes for n in shape):
        raise _unknown(f"{eqn.primitive.name} of constants")
    whole = [
        jnp.asarray(np.broadcast_to(x, shape)) for x, shape in zip(inputs, shapes, strict=True)
    ]
    made = eqn.primitive.bind(*whole, **eqn.params)
    return [np.asarray(x) for x in (made if eqn.primitive.multiple_results else [made])]


def _broadcast(eqn: Any, inputs: Sequence[Value]) -> Value:
    x = inputs[0]
    if not isinstance(x, np.ndarray):
        raise _unknown("broadcasting of what is no constant")
    shape = [1] * len(eqn.outvars[0].aval.shape)
    for axis, size in zip(eqn.params["broadcast_dimensions"], x.shape, strict=True):
        shape[axis] = size
    return x.reshape(shape)


def _ordered(graph: _Graph, x: Tensor, axes: tuple[int, ...] | None = None) -> str:
    """The name of a tensor whose axes lie in an order, JAX's own if None."""
    axes = tuple(range(len(x.axes))) if axes is None else axes
    if x.axes == axes:
        return x.name
    moved = [x.axes[axes.index(i)] for i in range(len(axes))]
    return graph.node("Transpose", [x.name], perm=moved)


def _elementwise(graph: _Graph, eqn: Any, inputs: Sequence[Value], *, kind: str) -> Tensor:
    axes = next(x.axes for x in inputs if isinstance(x, Tensor))
    names: list[str | np.ndarray] = []
    for x in inputs:
        if isinstance(x, Tensor):
            names.append(_ordered(graph, x, axes))
        else:
            names.append(x.transpose([axes.index(i) for i in range(len(axes))]) if x.ndim else x)
    return Tensor(graph.node(kind, names), axes)


def _select(graph: _Graph, eqn: Any, inputs: Sequence[Value]) -> Tensor:
    which, *cases = inputs
    if len(cases) != 2 or eqn.invars[0].aval.dtype != bool:
        raise _unknown("select_n of more than two")
    return _elementwise(graph, eqn, [which, cases[1], cases[0]], kind="Where")


def _convert(graph: _Graph, eqn: Any, inputs: Sequence[Value]) -> Tensor:
    (x,) = inputs
    assert isinstance(x, Tensor)
    before, after = (_type(v.aval.dtype) for v in (eqn.invars[0], eqn.outvars[0]))
    return x if before == after else Tensor(graph.node("Cast", [x.name], to=after), x.axes)


def _transpose(graph: _Graph, eqn: Any, inputs: Sequence[Value]) -> Tensor:
    (x,) = inputs
    assert isinstance(x, Tensor)
    return Tensor(x.name, tuple(x.axes[i] for i in eqn.params["permutation"]))


def _reshape(graph: _Graph, eqn: Any, inputs: Sequence[Value]) -> Tensor:
    x, shape = inputs[0], eqn.outvars[0].aval.shape
    assert isinstance(x, Tensor)
    sizes = [n if isinstance(n, int) else -1 for n in shape]
    permuted = eqn.primitive.name == "reshape" and eqn.params["dimensions"] is not None
    if sizes.count(-1) > 1 or permuted:
        raise _unknown("reshape of several open dimensions, or of permuted ones")
    name = graph.node("Reshape", [_ordered(graph, x), np.asarray(sizes, np.int64)])
    return Tensor(name, tuple(range(len(shape))))


def _convolution(graph: _Graph, eqn: Any, inputs: Sequence[Value]) -> Tensor:
    x, kernel = inputs
    if not (isinstance(x, Tensor) and isinstance(kernel, np.ndarray)):
        raise _unknown("convolution with a kernel that is no constant")
    given, weights, made = eqn.params["dimension_numbers"]
    kernel = np.broadcast_to(kernel, eqn.invars[1].aval.shape).transpose(weights)
    sizes = kernel.shape[2:]
    strides, holes = eqn.params["window_strides"], eqn.params["lhs_dilation"]
    spread, padding = eqn.params["rhs_dilation"], eqn.params["padding"]
    groups = eqn.params["feature_group_count"]
    kind = "Conv"
    attributes: dict[str, Any] = {"strides": strides, "dilations": spread, "group": groups}
    if any(n > 1 for n in holes):
        # With zeros between the pixels it is the adjoint of a strided convolution, whose kernel
        # lies the other way round and whose padding is what the window does not reach.
        if groups != 1 or any(n > 1 for n in (*strides, *spread)):
            raise _unknown("convolution that is strided and dilated at once")
        kind, attributes = "ConvTranspose", {"strides": holes}
        kernel = np.flip(kernel, tuple(range(2, kernel.ndim))).swapaxes(0, 1)
        padding = [
            (k - 1 - low, k - 1 - high) for k, (low, high) in zip(sizes, padding, strict=True)
        ]
    pads = [side[0] for side in padding] + [side[1] for side in padding]
    if min(pads) < 0 or eqn.params["batch_group_count"] != 1:
        raise _unknown("convolution with negative padding or groups of the batch")
    name = graph.node(
        kind,
        [_ordered(graph, x, _positions(given)), np.ascontiguousarray(kernel)],
        kernel_shape=sizes,
        pads=pads,
        **attributes,
    )
    return Tensor(name, _positions(made))


def _positions(spec: Sequence[int]) -> tuple[int, ...]:
    """Of each of JAX's axes, where ONNX has it: batch, channels, then space."""
    return tuple(spec.index(axis) for axis in range(len(spec)))


def _type(dtype: Any) -> int:
    import onnx

    wide = np.float32 if dtype == jnp.bfloat16 else dtype
    return onnx.helper.np_dtype_to_tensor_dtype(np.dtype(wide))


def _said(size: Any) -> int | str:
    return size if isinstance(size, int) else str(size)


# Primitives that call a traced function, and the parameter that has it, over JAX's releases.
_CALLS = {
    "checkpoint": ("jaxpr",),
    "closed_call": ("call_jaxpr",),
    "custom_jvp_call": ("call_jaxpr",),
    "custom_vjp_call": ("call_jaxpr",),
    "custom_vjp_call_jaxpr": ("fun_jaxpr",),
    "jit": ("jaxpr",),
    "pjit": ("jaxpr",),
}

_ELEMENTWISE = {
    name: name.capitalize()
    for name in (
        *("abs", "add", "and", "div", "erf", "exp", "log", "max", "min"),
        *("mul", "neg", "not", "or", "pow", "sqrt", "sub", "tanh"),
    )
} | {
    "eq": "Equal",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "logistic": "Sigmoid",
    "lt": "Less",
}

_PLAIN: dict[str, Callable[..., Tensor]] = {
    "conv_general_dilated": _convolution,
    "convert_element_type": _convert,
    "reshape": _reshape,
    "select_n": _select,
    "squeeze": _reshape,
    "transpose": _transpose,
}

_OPERATIONS = _PLAIN | {
    name: partial(_elementwise, kind=kind) for name, kind in _ELEMENTWISE.items()
}
