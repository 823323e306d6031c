"""What changed in a run on the way, and from which step on: `changes.jsonl`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import logging

from discogan_jax import files
from discogan_jax.files import shapes
from discogan_jax.runs import layout

_INIT = {
    "from": str, "step": (int, type(None)), "digest": str, "taken": int, "drawn": [str],
    "optimizers": bool,
}  # fmt: skip
_SHAPE = {
    "step": int,
    "init?": _INIT,
    "pictures?": {str: {"came": int, "went": int}},
    "settings?": {str: [object, object]},
    "digests?": str,
}


def record(directory: Path, step: int, **what: Any) -> None:
    """Records a change and logs it; what a killed process recorded last is not recorded twice.

    Args:
      directory: the run directory.
      step: finished steps from which on it holds.
      **what: the change as JSON, see `describe`.
    """
    change = json.loads(json.dumps({"step": step, **what}))
    before = read(directory)
    # There is one start: an earlier one was of a run that was killed before its first checkpoint.
    before = [x for x in before if not ("init" in x and "init" in change)]
    if before[-1:] != [change]:
        _write(directory, [*before, change])
    for line in describe(change):
        logging.info("%s: %s", directory, line)


def settle(directory: Path, in_force: Mapping[str, Any], digests: str, step: int) -> None:
    """Makes the record true for a run that goes on from a step.

    What a killed process recorded last, but did not put in force, is removed. Changes of later
    steps, whose checkpoints are lost, move to the step: nothing between the two remains of the run.

    Args:
      directory: the run directory.
      in_force: the settings in the run's config, by dotted field.
      digests: name of the file of digests of the run's pictures.
      step: finished steps.
    """
    before = kept = read(directory)
    settings = kept[-1].get("settings") if kept else None
    if settings and all(in_force.get(name) == old for name, (old, _) in settings.items()):
        kept = kept[:-1]
    if kept and kept[-1].get("digests", digests) != digests:
        kept = kept[:-1]
    for change in kept:
        if change["step"] > step:
            logging.warning(
                "%s: what changed at step %d does so at step %d now, to which the run goes back",
                directory,
                change["step"],
                step,
            )
    settled = [change | {"step": min(change["step"], step)} for change in kept]
    if settled != before:
        _write(directory, settled)


def read(directory: Path) -> list[dict[str, Any]]:
    """Reads the changes of a run in their order; none if there is no record."""
    path = directory / layout.CHANGES_FILE
    lines = files.read_lines(path)
    whole = [line for line in lines if shapes.fits(line, _SHAPE) and [*describe(line)]]
    if len(whole) < len(lines):
        logging.warning("%s: %d lines are damaged: ignored", path, len(lines) - len(whole))
    return whole


def describe(change: Mapping[str, Any]) -> Iterator[str]:
    """Says what changed, in lines for people.

    Args:
      change: a line of the record, whose ``step`` counts the finished steps. ``settings`` are the
        old and the new value by dotted field, ``pictures`` the numbers that came and went by
        domain, ``init`` the weights that a run started from, see `weights.Fit`.
    """
    if "init" in change:
        yield f"started from {init_as_text(change['init'])}"
    when = f"from step {change['step']:,} on:"
    if "pictures" in change:
        said = pictures_as_text(change["pictures"])
        yield f"{when} other pictures ({said}); samples show these"
    for name, (old, new) in change.get("settings", {}).items():
        yield f"{when} {name} {json.dumps(new)} instead of {json.dumps(old)}"


def of_pictures(directory: Path) -> list[str]:
    """Says from which steps on a run was trained on other pictures, in lines."""
    found = [change for change in read(directory) if "pictures" in change]
    return [
        text
        for change in found
        for text in describe({"step": change["step"], "pictures": change["pictures"]})
    ]


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
    return (
        f"the weights of {init['from']}{step} (digest {init['digest']}): {init['taken']} arrays "
        f"taken{optimizers}; drawn anew: {', '.join(init['drawn']) or 'nothing'}"
    )


def _write(directory: Path, changes: list[dict[str, Any]]) -> None:
    with files.replacing(directory / layout.CHANGES_FILE) as temporary:
        temporary.write_text("".join(json.dumps(x) + "\n" for x in changes), encoding="utf-8")
