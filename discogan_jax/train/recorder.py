"""What becomes of a step's results: printed, sampled, evaluated, written, saved."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import jax
import numpy as np
from absl import logging

from discogan_jax import images, multihost, runs, sharding, steps
from discogan_jax.config.schema import Settings
from discogan_jax.data import sources
from discogan_jax.errors import DivergedError, InputError
from discogan_jax.evaluation import evaluate
from discogan_jax.runs import checkpoint, layout
from discogan_jax.state import DiscoGAN, TrainState
from discogan_jax.train import samples, writers
from discogan_jax.train.progress import Progress

LEAST_DIVERSITY = 0.3
"""Of real images' diversity. Healthy runs of the catalogue and of photographs stay above 0.6."""

PATIENCE = 3
"""Measurements in a row: at the start outputs are grey, and a bad moment is no collapse."""


class CollapseAlarm:
    """Counts how often in a row translations to a domain differed too little.

    The count starts anew when a run is resumed.
    """

    def __init__(self, least: float = LEAST_DIVERSITY, patience: int = PATIENCE):
        """Sets the alarm.

        Args:
          least: diversity, relative to that of real images of the domain, that is enough.
          patience: so many measurements below it in a row raise the alarm.
        """
        self._least, self._patience = least, patience
        self._low: dict[str, int] = {}

    def hear(self, diversity: Mapping[str, float]) -> list[str]:
        """Takes a measurement.

        Args:
          diversity: per domain, mean distance between translations over that of real images.

        Returns:
          The domains for which the alarm is raised: those that have been low for long enough.
        """
        self._low = {
            domain: self._low.get(domain, 0) + 1 if value < self._least else 0
            for domain, value in diversity.items()
        }
        return [domain for domain, count in self._low.items() if count >= self._patience]


def due(step: int, period: int) -> bool:
    """Whether something that is done every `period` steps is done after `step` finished steps.

    Args:
      step: finished steps, from 0; everything periodic is due at 0.
      period: steps between two times; 0 means never.
    """
    return period > 0 and step % period == 0


def steps_until_due(step: int, stop: int, periods: Iterable[int]) -> int:
    """How many steps may run in one go before anything is due again.

    Args:
      step: finished steps.
      stop: the last step, at least ``step + 1``; the end is always due.
      periods: as in `due`.

    Returns:
      At least 1.
    """
    return min([stop - step, *(p - step % p for p in periods if p > 0)])


@dataclass
class Recorder:
    """Takes the state and numbers of steps, and does with them what is due.

    Attributes:
      s: the run's settings.
      gan: what is trained.
      workdir: the run directory.
      loaded: the images.
      checkpoints: of the run.
      writer: of the numbers.
      progress: shows the way.
      alarm: hears how much translations differ.
    """

    s: Settings
    gan: DiscoGAN
    workdir: Path
    loaded: Mapping[str, sources.Splits]
    checkpoints: checkpoint.Checkpoints
    writer: writers.Writer
    progress: Progress
    alarm: CollapseAlarm = field(default_factory=CollapseAlarm)

    @cached_property
    def held_out(self) -> samples.HeldOut:
        """The images that samples are made of."""
        return {d: x.val for d, x in self.loaded.items()}

    @cached_property
    def references(self) -> evaluate.References:
        """What evaluations compare with; takes seconds when it is first needed."""
        return evaluate.fit_references(self.s, self.loaded)

    def sample(self, state: TrainState, step: int) -> None:
        """Writes the sample grid and histograms of all parameters."""
        state = sharding.gathered(state)
        if not multihost.is_chief():
            return
        grid = samples.grid(self.gan, state, self.held_out, self.s.domains)
        images.save(self.workdir / layout.SAMPLES / f"{step:08d}.png", grid)
        self.writer.write_images(step, {"samples": grid[None]})
        players = {"gen": state.gen.params, "dis": state.dis.params}
        leaves, _ = jax.tree.flatten_with_path(jax.device_get(players))
        histograms = {"/".join(k.key for k in path): np.asarray(leaf) for path, leaf in leaves}
        self.writer.write_histograms(step, histograms)

    def measure(self, state: TrainState, step: int) -> dict[str, float]:
        """Measures reconstruction and diversity of held-out images; warns of a collapse."""
        state = sharding.gathered(state)
        if not multihost.is_chief():
            return {}
        diversity = samples.held_out_diversity(self.gan, state, self.held_out)
        return {
            **samples.held_out_reconstruction(self.gan, state, self.held_out),
            **diversity,
            "collapse_alarm": self.warn_of_collapse(step, diversity),
        }

    def warn_of_collapse(self, step: int, diversity: dict[str, float]) -> float:
        """Says so in the log when translations have hardly differed for some time; 1 if so."""
        named = {d: f"diversity_{d}" for d in "ab" if f"diversity_{d}" in diversity}
        collapsed = self.alarm.hear({d: diversity[name] for d, name in named.items()})
        for d in collapsed:
            domain = self.s.domains["ab".index(d)]
            logging.warning(
                "step %d: translations to %s hardly differ from each other (diversity %.2f of that "
                "of real ones) and have not for some time: the generator may have collapsed. Look "
                "at samples/; a lower config.optim.learning_rate, a larger batch or a higher "
                "config.loss.feature may help.",
                step,
                domain,
                diversity[named[d]],
            )
        return float(bool(collapsed))

    def evaluate(self, state: TrainState, step: int) -> dict[str, float]:
        """Measures the state on the held-out images and writes the evaluation of the run."""
        state = sharding.gathered(state)
        if not multihost.is_chief():
            return {}
        try:
            run = runs.Run(self.workdir, self.s, self.gan, step, state)
            rows = evaluate.measure(run, self.references)
        except InputError as error:  # too few images: no reason to stop training
            logging.warning("step %d is not evaluated: %s", step, error)
            return {}
        evaluate.write(run, rows)
        return {f"eval/{row.name}": row.value for row in rows if math.isfinite(row.value)}

    def record(self, state: TrainState, step: int, numbers: dict[str, float], speed: float) -> None:
        """Prints, samples, evaluates, writes and saves, as far as each is due."""
        t, last = self.s.train, step == self.s.train.steps
        if due(step, t.print_every) or last:
            self.progress.report(step, speed, numbers)
        sampled = due(step, t.sample_every) or (last and t.sample_every > 0)
        if sampled:
            self.sample(state, step)
            numbers = numbers | self.measure(state, step)
        named = _named(numbers, self.s.domains)
        evaluated = due(step, t.evaluate_every) or (last and t.evaluate_every > 0)
        if evaluated:
            named |= self.evaluate(state, step)
        if due(step, t.log_every) or sampled or evaluated or last:
            self.writer.write_scalars(step, named)
        if due(step, t.checkpoint_every) or last:
            self.writer.flush()
            self.save(state, step)

    def save(self, state: TrainState, step: int) -> None:
        """Starts to save a state, if it is worth keeping."""
        # A loss is that of before the update, so it does not vouch for what came out of it.
        if not checkpoint.is_finite(state):
            self.diverge(step, "parameters or statistics are not finite")
        multihost.agreed(step)  # Orbax waits for the others only so long
        self.checkpoints.save(step, state)

    def finite(self, recent: list[tuple[int, steps.Metrics]]) -> dict[str, float]:
        """The last step's numbers on the host, after all recent ones were found to be finite."""
        numbers: dict[str, float] = {}
        for step, metrics in jax.device_get(recent):
            numbers = {name: float(value) for name, value in metrics.items()}
            named = _named(numbers, self.s.domains).items()
            if bad := [f"{name} is {value}" for name, value in named if not math.isfinite(value)]:
                self.diverge(step, ", ".join(bad))
        return numbers

    def diverge(self, step: int, what: str) -> NoReturn:
        """Ends the run; the checkpoints that are there stay as they are."""
        self.writer.write_scalars(step, {"diverged": 1.0})  # `discogan runs` and the page tell it
        self.checkpoints.wait()
        last = self.checkpoints.last()
        kept = "there is no checkpoint yet" if last is None else f"the last checkpoint is {last}"
        raise DivergedError(
            f"step {step}: {what}. Stopped without saving that state; in {self.workdir} {kept}. "
            "Lower config.optim.learning_rate, or look at the images of that step."
        )


def _named(scalars: Mapping[str, float], domains: tuple[str, str]) -> dict[str, float]:
    """The names that people read: the domains' in place of a and b."""
    names = dict(zip("ab", domains, strict=True))
    parts = {name: [names.get(part, part) for part in name.split("_")] for name in scalars}
    return {"_".join(parts[name]): value for name, value in scalars.items()}
