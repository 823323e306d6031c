"""Variants of a config: combinations of values, checked, each with a run directory of its own."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discogan_jax.config import validate
from discogan_jax.config.schema import Settings, check_name, from_config, to_json
from discogan_jax.errors import InputError
from discogan_jax.runs import run


@dataclass(frozen=True)
class Variant:
    """A change of the config.

    Attributes:
      name: shown in the table; the run's directory is named after it.
      changes: values of dotted config fields, all but the seed.
    """

    name: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """A run to do: `plan` makes it.

    Attributes:
      label: what it is called in messages.
      variant: its change of the config.
      seed: its seed, or None for the config's.
      directory: its run directory.
      config: its whole config.
    """

    label: str
    variant: Variant
    seed: int | None
    directory: Path
    config: Mapping[str, Any]


def product(texts: Sequence[str]) -> tuple[list[Variant], list[int] | None]:
    """All combinations of the values of some fields.

    Args:
      texts: as `--sweep` takes them: ``optim.learning_rate=1e-4,2e-4``.

    Returns:
      The variants, and the seeds if the seed is among the fields.

    Raises:
      InputError: a text names no field or one that another has, or a value is not of its type.
    """
    fields: dict[str, list[Any]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        try:
            if name in fields:
                raise InputError(f"{name} has values already: give them all in one --sweep")
            fields[name] = _values(name, values)
        except InputError as error:
            raise InputError(f"--sweep={text}: {error}") from error
    seeds = fields.pop("seed", None)
    combined = [dict(zip(fields, v, strict=True)) for v in itertools.product(*fields.values())]
    return [Variant(described(changes), changes) for changes in combined], seeds


def described(changes: Mapping[str, Any]) -> str:
    """Changes as `--sweep` takes them, which names a variant that has no better name."""
    return ", ".join(f"{field}={said(value)}" for field, value in changes.items())


def said(value: Any) -> str:
    """A value as `--sweep` takes it."""
    return value if isinstance(value, str) else json.dumps(value).replace("null", "none")


def _values(name: str, texts: str) -> list[Any]:
    if not name or not texts:
        raise InputError("a field and its values look like --sweep=optim.learning_rate=1e-4,2e-4")
    field = validate.find(Settings, name)
    values = [validate.parse(field, text.strip()) for text in texts.split(",")]
    if len(set(values)) < len(values):
        raise InputError("a value is given twice")
    return values


def plan(
    config: Mapping[str, Any],
    variants: Iterable[Variant],
    folder: str | Path,
    seeds: Sequence[int] | None = None,
) -> list[Job]:
    """The runs of a sweep in their order, all checked; nothing is written.

    Args:
      config: what the variants change.
      variants: with names of their own.
      folder: of the sweep.
      seeds: every variant is run with each; None for the config's seed alone.

    Raises:
      InputError: a variant is no valid config, two share a directory, or a directory holds the run
        of another config.
    """
    jobs: dict[Path, Job] = {}
    # All variants with one seed, then with the next: a sweep that is cut short has compared them.
    for seed, variant in itertools.product([None] if seeds is None else seeds, list(variants)):
        named = {} if seed is None else {"seed": seed}
        label = ", ".join(filter(None, [variant.name, described(named)]))
        directory = Path(folder) / label.replace(", ", ",").replace("/", "_")
        if directory in jobs:
            raise InputError(f"two runs of the sweep would lie in {directory}: name them apart")
        try:
            changed = _changed(config, {**variant.changes, **named})
            settings = from_config(changed)
        except InputError as error:
            raise InputError(f"{label}: {error}") from error
        run.check_resumable(directory, settings)
        jobs[directory] = Job(label, variant, seed, directory, changed)
    return list(jobs.values())


def _changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    new = to_json(from_config(config))
    for field, value in changes.items():
        check_name(field)
        *sections, name = field.split(".")
        place = new
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return new
