"""What changed in a run on the way, and from which step on: `changes.jsonl`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from discogan_jax import files
from discogan_jax.runs import layout

MAX_NAMED = 8
"""A line names so many of the layers that were drawn anew."""


def record(directory: Path, step: int, **what: Any) -> None:
    """Records a change; one that a killed process recorded last is not recorded twice.

    Args:
      directory: the run directory.
      step: finished steps from which on it holds.
      **what: the change as JSON, see `describe`.
    """
    change = json.loads(json.dumps({"step": step, **what}))
    before = read(directory)
    if before[-1:] != [change]:
        _write(directory, [*before, change])


def read(directory: Path) -> list[dict[str, Any]]:
    """Reads the changes of a run in their order; none if there is no record."""
    return files.read_lines(directory / layout.CHANGES_FILE)


def describe(change: Mapping[str, Any]) -> Iterator[str]:
    """Says what changed, in lines for people.

    Args:
      change: a line of the record, whose ``step`` counts the finished steps. ``settings`` are the
        old and the new value by dotted field, ``pictures`` the numbers that came and went by
        domain, ``init`` the weights that a run started from, see `weights.Fit.record`.
    """
    if "init" in change:
        yield f"started from {init_as_text(change['init'])}"
    when = f"from step {change['step']:,} on:"
    if "pictures" in change:
        yield f"{when} other pictures ({pictures_as_text(change['pictures'])})"
    for name, (old, new) in change.get("settings", {}).items():
        yield f"{when} {name} {json.dumps(new)} instead of {json.dumps(old)}"


def pictures_as_text(found: Mapping[str, Mapping[str, int]]) -> str:
    """Says how many pictures of each domain came and went."""
    return "; ".join(
        f"{name}: {n['came']:,} came, {n['went']:,} went" if any(n.values()) else f"{name}: moved"
        for name, n in found.items()
    )


def init_as_text(init: Mapping[str, Any]) -> str:
    """Says which weights a run started from, and what was drawn anew."""
    step = "" if init["step"] is None else f", step {init['step']:,}"
    optimizers = ", with the optimizers' states" if init["optimizers"] else ""
    drawn = ", ".join(init["drawn"][:MAX_NAMED]) or "nothing"
    more = len(init["drawn"]) - MAX_NAMED
    return (
        f"the weights of {init['from']}{step} (digest {init['digest']}): {init['taken']} arrays "
        f"taken{optimizers}; drawn anew: {drawn}{f' and {more} more' if more > 0 else ''}"
    )


def _write(directory: Path, changes: list[dict[str, Any]]) -> None:
    with files.replacing(directory / layout.CHANGES_FILE) as temporary:
        temporary.write_text("".join(json.dumps(x) + "\n" for x in changes), encoding="utf-8")
