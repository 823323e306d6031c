"""What becomes of a step's results: printed, sampled, evaluated, written, saved."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import jax
import numpy as np
from absl import logging

from discogan_jax import (
    checkpoint,
    evaluate,
    hosts,
    images,
    run_files,
    runs,
    samples,
    sharding,
    steps,
    writers,
)
from discogan_jax.alarm import CollapseAlarm
from discogan_jax.cadence import due
from discogan_jax.data import sources
from discogan_jax.errors import DivergedError, InputError
from discogan_jax.progress import Progress
from discogan_jax.settings import Settings
from discogan_jax.state import DiscoGAN, TrainState
from discogan_jax.whole_file import write_json


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
    loaded: Mapping[str, sources.Images]
    checkpoints: checkpoint.Checkpoints
    writer: writers.Writer
    progress: Progress
    alarm: CollapseAlarm = field(default_factory=CollapseAlarm)

    @cached_property
    def held_out(self) -> samples.HeldOut:
        """The images that samples are made of."""
        return {d: x.val for d, x in self.loaded.items()}

    @cached_property
    def known(self) -> evaluate.Known:
        """What evaluations measure against; takes seconds when it is first asked for."""
        return evaluate.known(self.s, self.loaded)

    def sample(self, state: TrainState, step: int) -> None:
        """Writes the sample grid and histograms of all parameters."""
        state = sharding.gathered(state)
        if not hosts.is_chief():
            return
        grid = samples.grid(self.gan, state, self.held_out, self.s.domains)
        images.save(self.workdir / runs.SAMPLES / f"{step:08d}.png", grid)
        self.writer.write_images(step, {"samples": grid[None]})
        players = {"gen": state.gen.params, "dis": state.dis.params}
        leaves, _ = jax.tree.flatten_with_path(jax.device_get(players))
        histograms = {"/".join(k.key for k in path): np.asarray(leaf) for path, leaf in leaves}
        self.writer.write_histograms(step, histograms)

    def measure(self, state: TrainState, step: int) -> dict[str, float]:
        """Measures reconstruction and diversity of held-out images; warns of a collapse."""
        state = sharding.gathered(state)
        if not hosts.is_chief():
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
        if not hosts.is_chief():
            return {}
        try:
            rows = evaluate.measure(self.s, self.gan, state, self.known)
        except InputError as error:  # too few images: no reason to stop training
            logging.warning("step %d is not evaluated: %s", step, error)
            return {}
        report = evaluate.report(step, state, rows)
        write_json(self.workdir / run_files.EVALUATION_FILE, report)
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
        hosts.agreed(step)  # Orbax waits for the others only so long
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
