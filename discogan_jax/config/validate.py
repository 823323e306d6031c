"""Converts untrusted nested mappings to nested dataclasses, checking types and ranges."""

import contextlib
import dataclasses
import math
import operator
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from discogan_jax.config import hints
from discogan_jax.errors import InputError
from discogan_jax.images import Size
from discogan_jax.state import Domains

if TYPE_CHECKING:
    from ml_collections import ConfigDict

MAX_FLOAT = 3.4028234663852886e38  # of float32
MAX_SHOWN = 80  # characters of a value in a message
HELP = "discogan train --help_settings explains all settings"


class MayChangeOnResume:
    """Marks a field that a resumed run may change: it shapes neither the state nor its training."""


class MayChangeOnRequest:
    """Marks a field that a resumed run changes if that is asked for: it shapes the training."""


@dataclass(frozen=True)
class Range:
    """Marks the numbers that a field accepts; as text, the end of "must ...".

    Attributes:
      low: the smallest number.
      high: the largest number.
      above: a number that all accepted ones exceed, in place of `low`.
      below: a number that all accepted ones stay below in float32, in place of `high`.
    """

    low: float = 0
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (value >= self.low if self.above is None else value > self.above)
            and (self.high is None or value <= self.high)
            and (self.below is None or bool(np.float32(value) < self.below))
        )

    def __str__(self) -> str:
        if self.above is not None:
            end = "" if self.high is None else f" and at most {self.high}"
            return f"be above {self.above}{end}"
        if self.below is not None:
            return f"lie in [{self.low}, {self.below})"
        return "not be negative" if self.high is None else f"lie in [{self.low}, {self.high}]"


@dataclass(frozen=True)
class Field:
    """A field of a config: what the annotation in its dataclass says.

    Attributes:
      name: dotted name.
      type: type of its values; a dataclass for a section.
      optional: whether it may be None.
      default: value where a config lacks the field; `dataclasses.MISSING` if it may not.
      range: accepted numbers, or None for all.
      may_change: whether a resumed run may change it.
      on_request: whether it may if that is asked for.
    """

    name: str
    type: Any
    optional: bool
    default: Any
    range: Range | None
    may_change: bool
    on_request: bool


@cache
def fields_of(cls: type, prefix: str = "") -> dict[str, Field]:
    """Returns the fields of a dataclass by their own names.

    Args:
      cls: the dataclass; its fields are numbers, strings, choices, tuples of choices, pairs of
        names, dataclasses.
      prefix: the section that it is, with a dot at the end.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}
    found = {}
    # A hint is Annotated[T, markers...], Annotated[T | None, markers...], T or T | None.
    for name, annotated in typing.get_type_hints(cls, include_extras=True).items():
        has_markers = typing.get_origin(annotated) is Annotated
        hint, *markers = typing.get_args(annotated) if has_markers else (annotated,)
        optional = types.NoneType in typing.get_args(hint)
        found[name] = Field(
            prefix + name,
            typing.get_args(hint)[0] if optional else hint,
            optional,
            defaults[name],
            next((m for m in markers if isinstance(m, Range)), None),
            MayChangeOnResume in markers,
            MayChangeOnRequest in markers,
        )
    return found


def leaves(cls: type, prefix: str = "") -> Iterator[Field]:
    """Yields the fields of a dataclass and of its sections, but not the sections."""
    for field in fields_of(cls, prefix).values():
        if dataclasses.is_dataclass(field.type):
            yield from leaves(typing.cast(type, field.type), f"{field.name}.")
        else:
            yield field


def defaults(cls: type) -> "ConfigDict":
    """Makes a config of the defaults of a dataclass and of its sections.

    Args:
      cls: the dataclass, see `fields_of`.
    """
    from ml_collections import ConfigDict, config_dict  # only what makes configs needs it

    config = ConfigDict()
    for name, field in fields_of(cls).items():
        if dataclasses.is_dataclass(field.type):
            config[name] = defaults(typing.cast(type, field.type))
        elif field.default is None:
            # A placeholder is None, and knows the type of what may be assigned later.
            config[name] = config_dict.placeholder(field.type)
        elif field.type is Size:
            # A size may be assigned as a number or as text.
            config[name] = config_dict.FieldReference(field.default.plain, field_type=object)
        else:
            # ml_collections would take no plain tuple in place of a named one.
            config[name] = tuple(field.default) if field.type is Domains else field.default
    return config


def names(cls: type) -> list[str]:
    """Returns the dotted names of the fields of a dataclass and of its sections, and of those."""
    sections = [x.name for x in fields_of(cls).values() if dataclasses.is_dataclass(x.type)]
    return [*(field.name for field in leaves(cls)), *sections]


def _unknown(name: str, whole: type) -> InputError:
    """Makes the error about a dotted name that is no field of a config."""
    meant = hints.hint(name, names(whole))
    return InputError(f"there is no field config.{name}: {meant or HELP}")


def find(cls: type, name: str) -> Field:
    """Finds a field or section by its dotted name.

    Raises:
      InputError: there is none; the message suggests what was meant.
    """
    # Descend a section at a time.
    section, prefix = cls, ""
    for part in name.split("."):
        if not dataclasses.is_dataclass(section):
            raise InputError(f"config.{prefix.rstrip('.')} is a value, it has no fields")
        known = fields_of(section, prefix)
        if part not in known:
            raise _unknown(name, cls)
        section, prefix = known[part].type, f"{prefix}{part}."
    return known[part]


def fill(cls: type, values: Mapping[str, Any], prefix: str = "", whole: type | None = None) -> Any:
    """Converts a mapping to a dataclass, and the mappings in it to its sections.

    Ranges are not checked: see `out_of_range`.

    Args:
      cls: the dataclass, see `fields_of`.
      values: the config, with any objects as keys and values.
      prefix: the section that it is, with a dot at the end.
      whole: the dataclass whose section it is, or None.

    Raises:
      InputError: an unknown field, a missing one that has no default, or a value of the wrong
        type; nothing else is raised, whatever the values are.
    """
    if isinstance(values, type) or not hasattr(values, "items"):
        where = f"config.{prefix}".rstrip(".")
        raise InputError(f"{where} must hold fields, not {_shown(values)}")
    # Unknown names first, as they are most often misspelt known ones.
    known = fields_of(cls, prefix)
    for name in values:
        if name not in known:
            plain = name if isinstance(name, str) and name.isidentifier() else _shown(name)
            raise _unknown(f"{prefix}{plain}", whole or cls)
    # A run of an older version lacks the fields that were added since: they have defaults.
    given = {name: field for name, field in known.items() if name in values}
    lacking = [field for name, field in known.items() if name not in given]
    if missing := [field.name for field in lacking if field.default is dataclasses.MISSING]:
        raise InputError(f"config lacks {', '.join(missing)}: {HELP}")
    # Types last, once all names are known to be right.
    filled = {}
    for name, field in given.items():
        try:
            value = values[name]
        except Exception as error:  # ml_collections' fields that a config file must fill in
            raise InputError(f"config.{field.name} has no value: {_shown(error)}") from error
        filled[name] = _value(field, value, whole or cls)
    return cls(**filled)


def out_of_range(filled: Any) -> Iterator[str]:
    """Yields a message for each field whose value is outside its range.

    Args:
      filled: a dataclass that `fill` made.
    """
    for field in leaves(type(filled)):
        value = operator.attrgetter(field.name)(filled)
        if field.range and value is not None and value not in field.range:
            yield f"{field.name} must {field.range}, it is {value}"


def parse(field: Field, text: str) -> Any:
    """Converts a text, such as a part of a command line, to a value of a field.

    Args:
      field: the field; not a section, nor a pair of names.
      text: JSON without quotes, or ``none``; Python's ``None``, ``True`` and ``False``, too.

    Raises:
      InputError: the text is empty or is no value of the field's type.
    """
    value: Any = text
    # Words come first: an optional field may be none, a switch is true or false.
    if not text:
        raise InputError("a value is empty")
    if field.optional and text in ("none", "None"):
        return None
    if field.type is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"config.{field.name} must be one of true, false, not {text!r}")
        return text.lower() == "true"
    if field.type in (int, float):
        # What is no number, or not finite, stays a text, which `_value` refuses by its type.
        with contextlib.suppress(ValueError, OverflowError):  # an integer beyond all floats
            if math.isfinite(number := field.type(text)):
                value = number
    elif field.type is Domains or dataclasses.is_dataclass(field.type):
        raise InputError(f"config.{field.name} is no single value: it cannot be swept")
    return _value(field, value)


def _value(field: Field, value: Any, whole: type | None = None) -> Any:
    """Checks the type of a value; a section of the whole config is filled."""
    name, kind = field.name, field.type
    if field.optional and value is None:
        return None

    # Sections, choices, and the names of the domains.
    if dataclasses.is_dataclass(kind):
        return fill(typing.cast(type, kind), value, f"{name}.", whole)
    if typing.get_origin(kind) in (Literal, tuple):
        return _chosen(name, kind, value)
    if kind is Domains:
        names = tuple(value) if isinstance(value, list | tuple) else ()
        good = [n for n in names if isinstance(n, str) and n and n.isprintable()]
        if len(good) != 2 or len(names) != 2:
            raise InputError(f"config.{name} must be 2 names, not {_shown(value)}")
        return Domains(*names)
    if kind is Size:
        try:
            return Size.of(value)
        except ValueError:
            wanted = "a number, or height and width such as 96x64"
            raise InputError(f"config.{name} must be {wanted}, not {_shown(value)}") from None

    # Numbers, strings and switches; a bool is an int in Python, but not here.
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (kind is not bool and isinstance(value, bool)):
        raise InputError(f"config.{name} must be of type {kind.__name__}, not {_shown(value)}")
    if kind is float and not abs(value) <= MAX_FLOAT:  # nor is NaN
        raise InputError(f"config.{name} must be a finite number, not {_shown(value)}")
    if kind is int and abs(value) >= 2**32:
        raise InputError(f"config.{name} must be below 2^32, it is {_shown(value)}")
    if isinstance(value, str) and "\0" in value:
        raise InputError(f"config.{name} must not contain a zero character, it is {_shown(value)}")
    return float(value) if kind is float else value


def _chosen(name: str, kind: Any, value: Any) -> Any:
    """Checks one of several choices, or a tuple of them, which may be text with commas."""
    choices = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        several = value.split(",") if isinstance(value, str) else value
        if not isinstance(several, list | tuple):
            raise InputError(f"config.{name} must be words, not {_shown(value)}")
        return tuple(_chosen(name, choices[0], x) for x in several)
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"config.{name} must be one of {', '.join(choices)}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    """Formats a value for a message: in one line, however long or odd it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # such as an integer of thousands of digits
        text = f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
