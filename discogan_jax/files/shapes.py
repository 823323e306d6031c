"""Shapes of JSON values: what a reader needs to find in a file that somebody may have edited."""

from typing import Any

Shape = Any
"""A type, such as str, where float stands for any number and object for anything; a tuple of
alternatives; a frozenset of texts; [shape] for a list of any length, and [shape, shape] for one of
that length; {"key": shape} for an object, in which keys ending in ``?`` may be missing and others
that are not named may be there; {str: shape} for an object with any keys."""

_WORDS = {
    str: "a text", bool: "true or false", int: "a whole number", float: "a number",
    dict: "an object", list: "a list", type(None): "null",
}  # fmt: skip

_TOO_LARGE = 1 << 63  # JSON's whole numbers have any number of digits


def check(value: Any, shape: Shape, where: str = "") -> None:
    """Checks that a JSON value has a shape.

    Args:
      value: the value.
      shape: the shape.
      where: where the value stands, for the message; empty for all of the file.

    Raises:
      ValueError: it has another one; the message says where, what is there and what should be.
    """
    match shape:
        case tuple():
            if any(fits(value, one) for one in shape):
                return
            # Of a list or an object that is wrong inside, what is wrong.
            for one in shape:
                if type(one) is type(value):
                    check(value, one, where)
            raise _wrong(value, " or ".join(dict.fromkeys(map(_name, shape))), where)
        case frozenset():
            if not isinstance(value, str) or value not in shape:
                shown = f"{value!r:.40}" if isinstance(value, str) else _name(type(value))
                choices = ", ".join(sorted(shape))
                raise ValueError(f"{where or 'it'} is {shown}, not one of {choices}")
            return
        case list() if isinstance(value, list):
            several = shape if len(shape) > 1 else shape * len(value)
            if len(several) != len(value):
                raise ValueError(f"{where or 'it'} has {len(value)} elements, not {len(several)}")
            for i, (x, inner) in enumerate(zip(value, several, strict=True)):
                check(x, inner, f"{where}[{i}]")
            return
        case dict() if isinstance(value, dict):
            _check_object(value, shape, where)
            return
    # A bool is an int in Python, and none in JSON.
    right = isinstance(shape, type) and isinstance(value, (int, float) if shape is float else shape)
    if not right or (isinstance(value, bool) and shape in (int, float)):
        raise _wrong(value, _name(shape), where)
    if isinstance(value, int) and abs(value) >= _TOO_LARGE:
        raise ValueError(f"{where or 'it'} is too large a number")


def _check_object(value: dict[str, Any], shape: dict[Any, Shape], where: str) -> None:
    prefix = f"{where}." if where else ""
    for key, inner in shape.items():
        if key is str:
            for name, x in value.items():
                check(x, inner, prefix + name)
        elif key.removesuffix("?") in value:
            check(value[key.removesuffix("?")], inner, prefix + key.removesuffix("?"))
        elif not key.endswith("?"):
            raise ValueError(f"it lacks {prefix}{key}")


def fits(value: Any, shape: Shape) -> bool:
    """Returns whether a JSON value has a shape, see `check`."""
    try:
        check(value, shape)
    except ValueError:
        return False
    return True


def _wrong(value: Any, needed: str, where: str) -> ValueError:
    return ValueError(f"{where or 'it'} is {_name(type(value))}, not {needed}")


def _name(shape: Shape) -> str:
    return _WORDS[shape] if isinstance(shape, type) else _WORDS[type(shape)]
