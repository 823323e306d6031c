"""Plans a sweep: all combinations of values of some config fields, each with a run directory."""

import functools
import itertools
import json
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discogan_jax.config import validate
from discogan_jax.config.schema import Settings, from_config, to_json
from discogan_jax.errors import InputError
from discogan_jax.runs import layout, manifest, run, weights


@dataclass(frozen=True)
class Variant:
    """A change of the config.

    Attributes:
      name: the name in the table; run directories are named after it.
      changes: new values by dotted config field, without the seed.
    """

    name: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """A run of a sweep, made by `plan`.

    Attributes:
      label: the name in messages.
      variant: the change of the config.
      seed: the seed, or None for that of the config.
      directory: the run directory.
      settings: all settings.
    """

    label: str
    variant: Variant
    seed: int | None
    directory: Path
    settings: Settings


def product(texts: Sequence[str]) -> tuple[list[Variant], list[int] | None]:
    """Returns all combinations of the values of some fields.

    Args:
      texts: values of ``--sweep``, such as ``optim.learning_rate=1e-4,2e-4``.

    Returns:
      The variants, and the seeds if the seed is among the fields.

    Raises:
      InputError: a text does not name a field, two name the same one, or a value is not of the type
        of its field.
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
    return [Variant(name_of(changes), changes) for changes in combined], seeds


def name_of(changes: Mapping[str, Any]) -> str:
    """Returns the name of a variant that has no better one: its changes, in the form of --sweep."""
    return ", ".join(f"{field}={as_text(value)}" for field, value in changes.items())


def as_text(value: Any) -> str:
    """Returns a value in the form of --sweep."""
    return value if isinstance(value, str) else json.dumps(value).replace("null", "none")


def _values(name: str, texts: str) -> list[Any]:
    if not name or not texts:
        raise InputError("a field and its values look like --sweep=optim.learning_rate=1e-4,2e-4")
    field = validate.find(Settings, name)
    values = [validate.parse(field, text.strip()) for text in texts.split(",")]
    if len(set(values)) < len(values):
        raise InputError("a value is given twice")
    return values


def directories(
    variants: Iterable[Variant], folder: str | Path, seeds: Sequence[int] | None = None
) -> list[Path]:
    """Returns the run directories of a sweep in their order; see `plan` for the arguments."""
    return [Path(folder) / _place(label) for label, _, _ in _labelled(variants, seeds)]


def _labelled(
    variants: Iterable[Variant], seeds: Sequence[int] | None
) -> Iterator[tuple[str, Variant, int | None]]:
    # All variants with one seed, then with the next: an interrupted sweep has compared all of them.
    for seed, variant in itertools.product([None] if seeds is None else seeds, variants):
        named = {} if seed is None else {"seed": seed}
        yield ", ".join(filter(None, [variant.name, name_of(named)])), variant, seed


def _place(label: str) -> str:
    return label.replace(", ", ",").replace("/", "_")


def plan(
    config: Mapping[str, Any],
    variants: Iterable[Variant],
    folder: str | Path,
    seeds: Sequence[int] | None = None,
) -> list[Job]:
    """Returns the runs of a sweep in their order, all checked; nothing is written.

    Args:
      config: the config that the variants change.
      variants: the changes, with names that differ.
      folder: the folder of the sweep.
      seeds: the seeds that every variant is run with; None for that of the config.

    Raises:
      InputError: a variant is no valid config, two share a directory, or a directory holds the run
        of another config.
    """
    jobs: dict[Path, Job] = {}
    for label, variant, seed in _labelled(variants, seeds):
        directory = Path(folder) / _place(label)
        if directory in jobs:
            raise InputError(f"two runs of the sweep would lie in {directory}: name them apart")
        try:
            changes = variant.changes if seed is None else {**variant.changes, "seed": seed}
            settings = _changed(config, changes)
        except InputError as error:
            raise InputError(f"{label}: {error}") from error
        run.check_resumable(directory, settings, alone=False)
        # A source that is not there ends the sweep before its first run.
        if not manifest.steps(directory / layout.CHECKPOINTS):
            weights.of_settings(settings)
        jobs[directory] = Job(label, variant, seed, directory, settings)
    return list(jobs.values())


def _changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> Settings:
    new = to_json(from_config(config))
    for field, value in changes.items():
        validate.find(Settings, field)  # refuses what is none
        *sections, name = field.split(".")
        functools.reduce(operator.getitem, sections, new)[name] = value
    return from_config(new)
