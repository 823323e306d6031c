"""The best step of a run by a measure of its evaluation; imports no JAX.

Nothing is stored for it: `metrics.jsonl` has the values, and a step counts if its checkpoint is
there. A run that is resumed drops the lines after its checkpoint, so that both agree after any
interruption.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from absl import logging

from discogan_jax.config import measures
from discogan_jax.errors import InputError
from discogan_jax.files import numbers, read_lines_counting_damage
from discogan_jax.runs import manifest
from discogan_jax.runs.layout import CHECKPOINTS, METRICS_FILE

Step = int | Literal["best"] | None
"""A checkpoint: its step, the best one, or the newest one (None)."""


@dataclass(frozen=True)
class Best:
    """The best of the steps of a run that have an evaluation and a checkpoint.

    Attributes:
      measure: the name of the measure.
      step: the step.
      value: its value; of several directions the worse one. A distance that was estimated below 0
        counts as 0.
      ago: the number of evaluations after it.
      damaged: the number of lines of `metrics.jsonl` that cannot be read, and may have had better
        ones.
    """

    measure: str
    step: int
    value: float
    ago: int
    damaged: int = 0

    def __str__(self) -> str:
        text = f"best step by {self.measure}: {self.step:,} ({self.value:.4g})"
        return f"{text}, as far as {METRICS_FILE} can be read" if self.damaged else text

    def ending(self, patience: int, step: int, steps: int) -> str:
        """Says why a run ends before its last step; returns "" if it does not.

        Args:
          patience: the value of ``train.patience``.
          step: number of finished steps.
          steps: the value of ``train.steps``.
        """
        if not 0 < patience <= self.ago or step >= steps:
            return ""
        last = "the last evaluation" if self.ago == 1 else f"the last {self.ago} evaluations"
        return (
            f"ended at step {step:,} of {steps:,}: no better {self.measure} in {last}; the best is "
            f"step {self.step:,} ({self.value:.4g})"
        )


def find(
    run: Path, measure: str | None, *, upto: int | None = None, saving: int | None = None
) -> Best | None:
    """Finds the best step; of equal ones the first.

    Args:
      run: the run directory; another process may be training there.
      measure: the value of ``train.keep_best``.
      upto: the last step that counts; all if None.
      saving: a step that counts although its checkpoint is not there yet.

    Returns:
      The best step, or None if no step that is saved has a value.
    """
    if measure is None or (better := measures.better(measure)) not in ("higher", "lower"):
        return None
    best, worse = (max, min) if better == "higher" else (min, max)
    lines, damaged = read_lines_counting_damage(run / METRICS_FILE, containing='"eval/')
    evaluations = {
        line["step"]: {name: x for name, x in numbers(line).items() if is_of(measure, name)}
        for line in lines
        if upto is None or line["step"] <= upto
    }
    # A step has a value if all directions have one that any step has.
    names = {name for found in evaluations.values() for name in found}
    saved = {*manifest.sealed_steps(run / CHECKPOINTS), saving}
    # No measure of which less is better is below 0: an estimate that is cannot be told from it.
    least = 0.0 if better == "lower" else -math.inf
    values = {
        step: max(worse(found.values()), least)
        for step, found in evaluations.items()
        if step in saved and found and found.keys() == names
    }
    if not values:
        return None
    step = best(values, key=lambda s: values[s])
    return Best(measure, step, values[step], sum(later > step for later in evaluations), damaged)


def known(run: Path, measure: str | None) -> Best:
    """Finds the best step of a run that somebody asks for.

    Raises:
      InputError: the run has none.
    """
    if found := find(run, measure):
        if found.damaged:
            logging.error("%s: %s", run, found)
        return found
    why = f"no step with a checkpoint has a value of {measure} in {METRICS_FILE}"
    if measure is None:
        why = "its train.keep_best names no measure, such as kernel_distance"
    raise InputError(f"{run} has no best step: {why}. Name a step")


def is_of(measure: str, name: str) -> bool:
    """Whether a name in `metrics.jsonl` is that of a measure, in any direction if it has none."""
    prefix, _, last = name.rpartition("/")
    return name == f"eval/{measure}" or (prefix.startswith("eval/") and last == measure)
