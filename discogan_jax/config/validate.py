"""Nested mappings, of whatever objects, as nested dataclasses whose types are right."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from discogan_jax.errors import InputError
from discogan_jax.state import Domains

MAX_FLOAT = 3.4028234663852886e38  # of float32
MAX_SHOWN = 80  # characters of a value in a message


def check_known(name: Any, hints: Mapping[str, Any], prefix: str) -> None:
    """Refuses a name that is not among a section's.

    Raises:
      InputError: names the nearest one.
    """
    if name not in hints:
        plain = name if isinstance(name, str) and name.isidentifier() else _shown(name)
        raise InputError(
            f"there is no field config.{prefix}{plain}: {_suggest(str(plain), [*hints])}"
        )


def fill(cls: type, values: Mapping[str, Any], prefix: str = "") -> Any:
    """A mapping as a dataclass, and the mappings in it as those that are its fields.

    Args:
      cls: the dataclass; its fields are numbers, strings, choices, pairs of names, dataclasses.
      values: what a config says; any objects.
      prefix: of the names in messages: sections with a dot at the end.

    Raises:
      InputError: an unknown field, a missing one that may not be None, or a value of the wrong
        type; nothing else is raised, whatever the values are.
    """
    if isinstance(values, type) or not hasattr(values, "items"):
        where = f"config.{prefix}".rstrip(".")
        raise InputError(f"{where} must hold fields, not {_shown(values)}")
    hints = typing.get_type_hints(cls)
    for name in values:
        check_known(name, hints, prefix)
    # What may be None may be missing: a run of an older version lacks what has come since.
    absent = {name for name in hints if name not in values}
    optional = {name for name in absent if types.NoneType in typing.get_args(hints[name])}
    missing = [f"{prefix}{name}" for name in hints if name in absent - optional]
    if missing:
        raise InputError(f"config lacks {', '.join(missing)}: see configs/default.py")
    given = {n: _get(values, n, prefix) for n in hints if n not in absent}
    return cls(**{n: _value(hint, given.get(n), prefix + n) for n, hint in hints.items()})


def _get(values: Mapping[str, Any], name: str, prefix: str) -> Any:
    try:
        return values[name]
    except Exception as error:  # ml_collections' fields that a config file must fill in
        raise InputError(f"config.{prefix}{name} has no value: {_shown(error)}") from error


def _value(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return fill(typing.cast(type, hint), value, f"{name}.")
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if types.NoneType in args:
        return None if value is None else _value(args[0], value, name)
    if origin is Literal:
        if not isinstance(value, str) or value not in args:
            raise InputError(f"config.{name} must be one of {', '.join(args)}, not {_shown(value)}")
        return value
    if hint is Domains:
        names = tuple(value) if isinstance(value, list | tuple) else ()
        good = [n for n in names if isinstance(n, str) and n and n.isprintable()]
        if len(good) != 2 or len(names) != 2:
            raise InputError(f"config.{name} must be 2 names, not {_shown(value)}")
        return Domains(*names)
    accepted = (int, float) if hint is float else hint
    if not isinstance(value, accepted) or (hint is not bool and isinstance(value, bool)):
        raise InputError(f"config.{name} must be of type {hint.__name__}, not {_shown(value)}")
    if hint is float and not abs(value) <= MAX_FLOAT:  # nor is NaN
        raise InputError(f"config.{name} must be a finite number, not {_shown(value)}")
    if hint is int and abs(value) >= 2**32:
        raise InputError(f"config.{name} must be below 2^32, it is {_shown(value)}")
    if isinstance(value, str) and "\0" in value:
        raise InputError(f"config.{name} must hold no zero character, it is {_shown(value)}")
    return float(value) if hint is float else value


def _shown(value: Any) -> str:
    """A value in a message: one line, however long or odd it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # such as an integer of thousands of digits
        text = f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _suggest(name: str, known: list[str]) -> str:
    """The nearest of the known names, as the end of an error message."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(sorted(known))}"
