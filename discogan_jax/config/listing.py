"""Lists settings for people: the values of a run by section, or what each field means."""

import dataclasses
import inspect
import json
import re
import textwrap
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from discogan_jax.config import validate
from discogan_jax.config.schema import Settings, to_json

_WIDTH = 100
_ATTRIBUTE = re.compile(r"^  (\w+): (.*(?:\n    .*)*)", re.MULTILINE)  # of Google's docstrings


def values(settings: Settings, typed: Collection[str] = ()) -> str:
    """Returns the value of each field, a section after the other.

    Args:
      settings: the settings.
      typed: dotted names of fields that were given on the command line, which are marked.
    """
    lines: list[str] = []

    def add(fields: Mapping[str, Any], prefix: str) -> None:
        for name, value in fields.items():
            mark = "  # from the command line" if prefix + name in typed else ""
            lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}{mark}")

    plain = to_json(settings)
    sections = {name: x for name, x in plain.items() if isinstance(x, Mapping)}
    add({name: x for name, x in plain.items() if name not in sections}, "")
    for name, fields in sections.items():
        lines += ["", f"[{name}]"]
        add(fields, f"{name}.")
    return "\n".join(lines)


def explained(values: Mapping[str, Any] | None = None) -> str:
    """Returns each field with a value, the values that it takes, and what it means.

    Args:
      values: the value of each field by dotted name; None for the defaults.
    """
    return "\n".join(_explained(Settings, "", values))


def _explained(cls: type, prefix: str, values: Mapping[str, Any] | None) -> Iterator[str]:
    # The fields of a base class are explained there.
    docs = [inspect.getdoc(c) or "" for c in (cls, *cls.__bases__)]
    meanings = dict(_ATTRIBUTE.findall("\n".join(docs)))
    fields = validate.fields_of(cls, prefix).values()
    for field in fields:
        if not dataclasses.is_dataclass(field.type):
            plain = getattr(field.default, "plain", field.default)  # that of a size
            value = plain if values is None else values[field.name]
            if typing.get_origin(field.type) is tuple:
                value = ",".join(value)
            text = json.dumps(value, ensure_ascii=False).strip('"').replace("null", "none")
            yield f"--config.{field.name}={text}{_accepted(field)}"
            yield _paragraph(meanings[field.name.removeprefix(prefix)], indent=" " * 6)
    for field in fields:
        if dataclasses.is_dataclass(field.type):
            yield ""
            yield _paragraph((inspect.getdoc(field.type) or "").partition("\n\n")[0])
            yield from _explained(typing.cast(type, field.type), f"{field.name}.", values)


def _accepted(field: validate.Field) -> str:
    """Says what values a field takes, as far as its type does not."""
    if typing.get_origin(field.type) is tuple:
        (choices, _) = typing.get_args(field.type)
        return f"  (any of {', '.join(typing.get_args(choices))})"
    if typing.get_origin(field.type) is Literal:
        return f"  ({', '.join(typing.get_args(field.type))})"
    return f"  (must {field.range})" if field.range else ""


def _paragraph(text: str, indent: str = "") -> str:
    plain = " ".join(text.replace("`", "").split())
    return textwrap.fill(plain, _WIDTH, initial_indent=indent, subsequent_indent=indent)
