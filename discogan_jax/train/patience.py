"""Compares the evaluated steps of a run, and ends it when none was better for long."""

from dataclasses import dataclass
from pathlib import Path

from absl import logging

from discogan_jax import multihost
from discogan_jax.config.schema import Train
from discogan_jax.runs import best, layout


def why_ended(workdir: Path, train: Train, step: int) -> str:
    """Says why a run has nothing more to do after a step; returns "" if it has."""
    if step >= train.steps:
        return f"is already at step {step} of {train.steps}"
    found = best.find(workdir, train.keep_best, upto=step)
    why = found.ending(train.patience, step, train.steps) if found else ""
    return why and f"{why}. With a higher train.patience it goes on"


@dataclass
class Patience:
    """Knows, after each evaluation, whether its step is the best so far.

    What is on the disk decides, as it does when the run is resumed.

    Attributes:
      workdir: the run directory.
      train: the settings that name the measure and the number of evaluations.
      ending: why the run ends before its last step, if it does; process 0 alone has the words.
    """

    workdir: Path
    train: Train
    ending: str | None = None
    _warned: bool = False

    def is_best(self, step: int) -> bool:
        """Whether a step is the best so far; all processes, which save and end together, ask.

        Args:
          step: number of the step, whose evaluation is written.
        """
        measure, found = self.train.keep_best, None
        if multihost.is_chief():
            found = best.find(self.workdir, measure, saving=step)
            if found is None and not self._warned:
                self._warned = True
                logging.warning(
                    "step %d: no evaluation so far has a value of %s, so that no step is the best "
                    "(train.keep_best); the log above or %s has the reason",
                    step,
                    measure,
                    layout.EVALUATION_FILE,
                )
        why = found.ending(self.train.patience, step, self.train.steps) if found else ""
        if multihost.all_max(int(bool(why))):
            self.ending = why
        return bool(multihost.all_max(int(found is not None and found.step == step)))
