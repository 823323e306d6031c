"""Converts what JAX traces of a function to an ONNX graph.

The trace is walked operation by operation. What depends on the weights alone is computed on the
way; the rest becomes the ONNX node of the same meaning. So a changed network is exported as it is,
and an operation without a counterpart here is refused by name.

JAX's convolutions take images as NHWC, ONNX's as NCHW: transposes are postponed, and only those
that remain are written. ONNX runtimes compute little in bfloat16, which therefore becomes float32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from discogan_jax.errors import InputError

# Of the same year: readers refuse files that are newer than they know.
OPSET = 17
IR_VERSION = 8


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
# What a node takes: the name of a tensor, or a constant.
Input = str | np.ndarray


def model(
    function: Callable[[Any], Any], shape: jax.ShapeDtypeStruct, argument: str, result: str
) -> Any:
    """Makes the model of a function of one array.

    Args:
      function: returns one array.
      shape: of its argument; the first dimension may be symbolic.
      argument: name of the argument.
      result: name of the result.

    Returns:
      An ``onnx.ModelProto``.

    Raises:
      InputError: an operation has no counterpart here.
    """
    # Convert the trace; the last node gives the result its name and JAX's order of axes.
    traced = jax.make_jaxpr(function)(shape)
    graph = GraphProto(name="discogan")
    (output,) = _walk(graph, traced.jaxpr, traced.consts, [Tensor(argument, _identity(shape))])
    if not isinstance(output, Tensor):
        raise InputError("The function does not depend on its argument.")
    name: Any = _ordered(graph, output, _identity(traced.out_avals[0]))
    graph.node.append(helper.make_node("Identity", [name], [result], "result"))
    # Describe argument and result: symbolic dimensions have names.
    ends = ((graph.input, argument, shape), (graph.output, result, traced.out_avals[0]))
    for end, name, x in ends:
        sizes = [_static(n) or str(n) for n in x.shape]
        end.append(helper.make_tensor_value_info(name, _type(x.dtype), sizes))
    versions = {"opset_imports": [helper.make_opsetid("", OPSET)], "ir_version": IR_VERSION}
    return helper.make_model(graph, producer_name="discogan_jax", **versions)


def halved(model: ModelProto) -> None:
    """Rounds the weights of a model to float16; they become float32 again when it is loaded."""
    graph = model.graph
    casts = []
    for x in graph.initializer:
        if x.data_type == TensorProto.FLOAT:
            rounded = numpy_helper.to_array(x).astype(np.float16)
            casts.append(helper.make_node("Cast", [f"{x.name}.half"], [x.name], to=x.data_type))
            x.CopyFrom(numpy_helper.from_array(rounded, f"{x.name}.half"))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _node(graph: GraphProto, kind: str, inputs: Sequence[Input], **attributes: Any) -> str:
    """Adds a node with one output, and its constants; returns the name of the output."""
    name = f"{kind}_{len(graph.node)}"
    names = [x if isinstance(x, str) else f"{name}.{i}" for i, x in enumerate(inputs)]
    for x, constant in zip(inputs, names, strict=True):
        if not isinstance(x, str):
            wide = x.astype(np.float32) if x.dtype == jnp.bfloat16 else x
            graph.initializer.append(numpy_helper.from_array(wide, constant))
    graph.node.append(helper.make_node(kind, names, [name], name, **attributes))
    return name


def _walk(
    graph: GraphProto, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value]
) -> list[Value]:
    values: dict[Any, Value] = dict(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))
    values |= dict(zip(jaxpr.invars, inputs, strict=True))

    def value(x: Any) -> Value:
        return np.asarray(x.val, x.aval.dtype) if isinstance(x, Literal) else values[x]  # type: ignore[attr-defined]

    for eqn in jaxpr.eqns:
        results = _operation(graph, eqn, [value(x) for x in eqn.invars])
        values |= dict(zip(eqn.outvars, results, strict=True))
    return [value(x) for x in jaxpr.outvars]


def _operation(graph: GraphProto, eqn: Any, inputs: list[Value]) -> list[Value]:
    """Converts an operation: a control structure, a computed constant, or a node."""
    kind = eqn.primitive.name
    # Traced functions are walked as if their operations stood here.
    if kind == "platform_index":
        return [np.asarray(eqn.params["platforms"].index(None))]  # the form for any platform
    if kind == "cond" and isinstance(inputs[0], np.ndarray):
        branch = eqn.params["branches"][int(inputs[0])]
        return _walk(graph, branch.jaxpr, branch.consts, inputs[1:])
    names = ("jaxpr", "call_jaxpr", "fun_jaxpr") if kind in _CALLS else ("call_jaxpr", "fun_jaxpr")
    if inner := next((eqn.params[name] for name in names if name in eqn.params), None):
        return _walk(graph, getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), inputs)
    # Constants are not broadcast, because ONNX does so; what else depends on them is computed.
    if kind == "broadcast_in_dim":
        return [_broadcast(eqn, inputs)]
    if all(isinstance(x, np.ndarray) for x in inputs):
        return _computed(eqn, inputs)
    if kind not in _OPERATIONS:
        raise _unknown(kind)
    return [_OPERATIONS[kind](graph, eqn, inputs)]


def _unknown(what: str) -> InputError:
    return InputError(
        f"The network computes {what!r}, for which the ONNX export knows no node: use another "
        "format, or add the operation to discogan_jax/export/onnx_graph.py"
    )


def _computed(eqn: Any, inputs: Sequence[Any]) -> list[Value]:
    """Computes an operation on constants."""
    # Constants were left unbroadcast: their full shapes are those that JAX traced.
    shapes = [x.aval.shape for x in eqn.invars]
    if not all(_static(n) for shape in shapes for n in shape):
        raise _unknown(f"{eqn.primitive.name} of constants")
    full = [jnp.asarray(np.broadcast_to(x, s)) for x, s in zip(inputs, shapes, strict=True)]
    results = eqn.primitive.bind(*full, **eqn.params)
    return [np.asarray(x) for x in (results if eqn.primitive.multiple_results else [results])]


def _broadcast(eqn: Any, inputs: Sequence[Value]) -> Value:
    x = inputs[0]
    if not isinstance(x, np.ndarray):
        raise _unknown("broadcasting of a variable")
    shape = [1] * len(eqn.outvars[0].aval.shape)
    for axis, size in zip(eqn.params["broadcast_dimensions"], x.shape, strict=True):
        shape[axis] = size
    return x.reshape(shape)


def _ordered(graph: GraphProto, x: Value, axes: tuple[int, ...]) -> Input:
    """Puts the axes in a given order; a tensor that has another one is transposed by a node."""
    if isinstance(x, np.ndarray):
        return x.transpose(np.argsort(axes)) if x.ndim else x
    if x.axes == axes:
        return x.name
    return _node(graph, "Transpose", [x.name], perm=[x.axes[i] for i in np.argsort(axes)])


def _elementwise(graph: GraphProto, eqn: Any, inputs: Sequence[Value], *, kind: str) -> Tensor:
    # The other operands follow the order of the first tensor.
    axes = next(x.axes for x in inputs if isinstance(x, Tensor))
    return Tensor(_node(graph, kind, [_ordered(graph, x, axes) for x in inputs]), axes)


def _select(graph: GraphProto, eqn: Any, inputs: Sequence[Value]) -> Tensor:
    # JAX lists the case for False first, ONNX the one for True.
    which, *cases = inputs
    if len(cases) != 2 or eqn.invars[0].aval.dtype != bool:
        raise _unknown("select_n of more than two")
    return _elementwise(graph, eqn, [which, cases[1], cases[0]], kind="Where")


def _convert(graph: GraphProto, eqn: Any, inputs: Sequence[Any]) -> Tensor:
    (x,) = inputs
    before, after = (_type(v.aval.dtype) for v in (eqn.invars[0], eqn.outvars[0]))
    return x if before == after else Tensor(_node(graph, "Cast", [x.name], to=after), x.axes)


def _transpose(graph: GraphProto, eqn: Any, inputs: Sequence[Any]) -> Tensor:
    (x,) = inputs
    return Tensor(x.name, tuple(x.axes[i] for i in eqn.params["permutation"]))


def _reshape(graph: GraphProto, eqn: Any, inputs: Sequence[Any]) -> Tensor:
    result = eqn.outvars[0].aval
    # ONNX infers one dimension, -1.
    sizes = [_static(n) or -1 for n in result.shape]
    permuted = eqn.primitive.name == "reshape" and eqn.params["dimensions"] is not None
    if sizes.count(-1) > 1 or permuted:
        raise _unknown("reshape of several symbolic dimensions, or of permuted ones")
    name = _ordered(graph, inputs[0], _identity(eqn.invars[0].aval))
    return Tensor(_node(graph, "Reshape", [name, np.asarray(sizes, np.int64)]), _identity(result))


def _convolution(graph: GraphProto, eqn: Any, inputs: Sequence[Value]) -> Tensor:
    x, kernel = inputs
    if not (isinstance(x, Tensor) and isinstance(kernel, np.ndarray)):
        raise _unknown("convolution with a kernel that is no constant")
    # Bring the kernel into the order of ONNX: outputs, inputs, space.
    p = eqn.params
    lhs, rhs, out = p["dimension_numbers"]
    kernel = np.broadcast_to(kernel, eqn.invars[1].aval.shape).transpose(rhs)
    sizes, padding = kernel.shape[2:], p["padding"]
    strides, dilation, lhs_dilation = p["window_strides"], p["rhs_dilation"], p["lhs_dilation"]
    groups = p["feature_group_count"]

    kind, attributes = "Conv", {"strides": strides, "dilations": dilation, "group": groups}
    if any(n > 1 for n in lhs_dilation):
        # With zeros between the pixels it is the adjoint of a strided convolution, whose kernel
        # is flipped and whose padding is the part that the window does not reach.
        if groups != 1 or any(n > 1 for n in (*strides, *dilation)):
            raise _unknown("convolution that is strided and dilated at once")
        kind, attributes = "ConvTranspose", {"strides": lhs_dilation}
        kernel = np.flip(kernel, tuple(range(2, kernel.ndim))).swapaxes(0, 1)
        padding = [
            (k - 1 - low, k - 1 - high) for k, (low, high) in zip(sizes, padding, strict=True)
        ]
    # ONNX lists the padding before all axes, then that after them.
    pads = [low for low, _ in padding] + [high for _, high in padding]
    if min(pads) < 0 or p["batch_group_count"] != 1:
        raise _unknown("convolution with negative padding or groups of the batch")

    # A spec lists, in the order of ONNX (batch, channels, space), the axes of JAX.
    order = tuple(map(int, np.argsort(lhs)))
    name = _node(
        graph,
        kind,
        [_ordered(graph, x, order), np.ascontiguousarray(kernel)],
        **attributes | {"kernel_shape": sizes, "pads": pads},
    )
    return Tensor(name, tuple(map(int, np.argsort(out))))


def _identity(x: Any) -> tuple[int, ...]:
    """Returns JAX's own order of the axes."""
    return tuple(range(len(x.shape)))


def _static(size: Any) -> int | None:
    """Returns a size, or None if it is symbolic."""
    return size if isinstance(size, int) else None


def _type(dtype: Any) -> int:
    wide = np.float32 if dtype == jnp.bfloat16 else dtype
    return helper.np_dtype_to_tensor_dtype(np.dtype(wide))


# Primitives whose `jaxpr` is a function that they call once (that of a `scan` is a loop's body).
_CALLS = ("checkpoint", "jit", "pjit", "remat2")

# ONNX has the same names, with a capital.
_UNARY = ("abs", "erf", "exp", "log", "neg", "not", "sqrt", "tanh")
_BINARY = ("add", "and", "div", "max", "min", "mul", "or", "pow", "sub")
_RENAMED = {
    "eq": "Equal",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "logistic": "Sigmoid",
    "lt": "Less",
}

_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "conv_general_dilated": _convolution,
    "convert_element_type": _convert,
    "reshape": _reshape,
    "select_n": _select,
    "squeeze": _reshape,
    "transpose": _transpose,
    **{name: partial(_elementwise, kind=name.capitalize()) for name in (*_UNARY, *_BINARY)},
    **{name: partial(_elementwise, kind=kind) for name, kind in _RENAMED.items()},
}
