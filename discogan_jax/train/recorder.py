"""Records a run: prints, samples, evaluates, writes and saves what is due after a step."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from signal import Signals
from typing import NoReturn

import jax
import numpy as np
from absl import logging

from discogan_jax import images, multihost, sharding
from discogan_jax.config import build
from discogan_jax.errors import DivergedError, InputError, InterruptedRunError
from discogan_jax.evaluation import evaluate
from discogan_jax.runs import best, checkpoint, layout
from discogan_jax.runs.run import Run
from discogan_jax.state import TrainState
from discogan_jax.steps import Batch, Metrics
from discogan_jax.train import forecast, samples, writers
from discogan_jax.train.collapse import CollapseDetector
from discogan_jax.train.pace import Pace
from discogan_jax.train.patience import Patience
from discogan_jax.train.progress import Progress
from discogan_jax.train.setup import Setup

MAX_UNCHECKED_STEPS = 100
"""Losses are checked to be finite after so many steps where nothing else is due."""

PRINTED = 20.0
"""Seconds after which losses are printed although `train.print_every` steps are not done yet."""

MEASURED = 1.0
"""Seconds of steps after which the time that the run takes is printed."""


def every_n_steps(step: int, period: int) -> bool:
    """Returns whether something periodic is due.

    Args:
      step: number of finished steps; everything periodic is due at 0.
      period: number of steps from one time to the next; 0 means never.
    """
    return period > 0 and step % period == 0


@dataclass
class Recorder:
    """Takes the state and metrics of each step, and does with them what is due.

    Where several processes train one run, all of them make the same calls; process 0 alone
    samples, evaluates, prints and writes.

    Attributes:
      setup: the setup of the run.
      workdir: the run directory.
      checkpoints: the checkpoints of the run.
      writer: the writer of metrics.
      progress: the progress bar.
      clock: returns seconds.
      step: number of finished steps.
    """

    setup: Setup
    workdir: Path
    checkpoints: checkpoint.Checkpoints
    writer: writers.Writer
    progress: Progress
    clock: Callable[[], float]
    step: int
    _collapse: CollapseDetector = field(default_factory=CollapseDetector)
    # Domains whose diversity is undefined, as was logged.
    _undefined: set[str] = field(default_factory=set)
    # Steps since the last record: number and metrics, on the devices.
    _recent: list[tuple[int, Metrics]] = field(default_factory=list)
    # Whether the time that the run takes was printed.
    _time_said: bool = False

    def __post_init__(self) -> None:
        t = self.setup.settings.train
        self._start, self._printed = self.step, math.inf  # until the first step is printed
        self._periods = {
            "check": MAX_UNCHECKED_STEPS,
            "print": t.print_every,
            "sample": t.sample_every,
            "evaluate": t.evaluate_every,
            "log": t.log_every,
            "save": t.checkpoint_every,
        }
        self._pace = Pace(self.clock, t.steps, self._periods)
        self._patience = Patience(self.workdir, t)

    def start(self, state: TrainState) -> None:
        """Announces a resumed run, or samples the initial state of a new one."""
        if self.step:
            self.progress.write(f"resuming {self.workdir} at step {self.step}")
        elif self.setup.settings.train.sample_every:
            whole = sharding.gathered(state)
            with self._diverging_together():
                if multihost.is_chief():
                    self._sample(whole)

    def timed(self, batches: Iterator[Batch]) -> Iterator[tuple[int, Batch]]:
        """Numbers the steps that remain, and measures how long they wait for their batches.

        Args:
          batches: the batches of all steps that remain.

        Yields:
          Number and batches of a step, counted from 1; `after_step` has to follow.
        """
        self._pace.lap(self.step)
        while self.step < self.setup.settings.train.steps and self._patience.ending is None:
            with self._pace.waiting():
                batch = next(batches)
            yield self.step + 1, batch

    def due(self, step: int) -> set[str]:
        """Returns what is done after a step: check, print, sample, evaluate, log, save."""
        due = {what for what, period in self._periods.items() if every_n_steps(step, period)}
        # The first losses are shown without waiting for a hundred steps.
        if step == self._start + 1 and self._periods["print"]:
            due.add("print")
        # The last step has everything that is not switched off, and is printed, logged and saved.
        if step == self.setup.settings.train.steps:
            due |= {what for what, period in self._periods.items() if period}
            due |= {"print", "log", "save"}
        return due | {"log"} if due & {"sample", "evaluate"} else due

    def after_step(self, step: int, state: TrainState, metrics: Metrics) -> None:
        """Records a step, as far as something is due.

        Args:
          step: number of the step, counted from 1.
          state: the state after it.
          metrics: its metrics, on the devices.

        Raises:
          DivergedError: a number is not finite.
          Exception: a checkpoint could not be saved in the background.
        """
        self.step = step
        self.checkpoints.check_for_errors()
        self._recent.append((step, metrics))
        if len(self._recent) > 1:
            # One step ahead of the devices keeps them busy; more would delay signals.
            self._wait_for(*self._recent[-2])
        self.progress.advance(self._pace.left(step))
        if due := self.due(step):
            self._record(state, due)
        # The clock chooses the step of these, so nothing there may wait for other processes.
        if multihost.is_chief() and not self._time_said and self._pace.seconds >= MEASURED:
            self._say_time(step, metrics)
        late = self._periods["print"] > 0 and self.clock() - self._printed >= PRINTED
        if multihost.is_chief() and late and len(self._recent) > 1:
            finished, metrics = self._recent[-2]
            self._print(finished, {k: float(x) for k, x in jax.device_get(metrics).items()})

    def finish(self, state: TrainState, signal: int) -> TrainState:
        """Ends the run, at its last step or before, or saves what a signal interrupted.

        Args:
          state: the last state.
          signal: number of the signal, if it stopped the run.

        Returns:
          The state, saved.

        Raises:
          InterruptedRunError: a signal stopped the run.
        """
        t = self.setup.settings.train
        if signal:
            self._fetch()
            self._save(state)
        self.checkpoints.wait()
        if self._patience.ending is not None:
            self.progress.write(self._patience.ending)
        elif not signal and (found := best.find(self.workdir, t.keep_best)):
            self.progress.write(str(found))
        if signal:
            raise InterruptedRunError(
                f"{Signals(signal).name}: saved step {self.step} of {t.steps} in "
                f"{self.workdir}; the same command goes on from there",
                signal,
            )
        return state

    def _wait_for(self, step: int, metrics: Metrics) -> None:
        jax.block_until_ready(metrics)
        self._pace.reached(step)

    def _say_time(self, step: int, metrics: Metrics) -> None:
        """Prints the time that the run takes."""
        self._time_said = True
        self._wait_for(step, metrics)
        left = self._pace.left(self._start)
        if left is not None and step < self.setup.settings.train.steps:
            with self._pace.interrupted():
                self.progress.write(forecast.time_of(self.setup, left, self._start))

    def _record(self, state: TrainState, due: set[str]) -> None:
        # The numbers of the last step, and the speed since the one recorded before.
        step, numbers = self.step, self._fetch()
        self._pace.reached(step)
        if "print" in due:
            self._print(step, numbers)

        # What looks at translations of held-out images.
        named = self._named(numbers) | self._pace.lap(step)
        if due & {"sample", "evaluate"}:
            # A sharded state is gathered for both, by all processes together.
            whole = sharding.gathered(state)
            with self._diverging_together():
                if "sample" in due and multihost.is_chief():
                    with self._pace.interrupted("sample"):
                        self._sample(whole)
                        named |= self._named(self._measure(whole))
                if "evaluate" in due and multihost.is_chief():
                    with self._pace.interrupted("evaluate"):
                        named |= self._evaluate(whole)

        if "log" in due:
            # The rates of the last update: of the cycle that `step - 1` others precede.
            named |= build.learning_rates(self.setup.settings, step - 1)
            self.writer.write_scalars(step, named)
        if "evaluate" in due and self.setup.settings.train.keep_best is not None:
            with self._pace.interrupted():
                # The best step so far is looked for among the saved ones and the written lines.
                self.checkpoints.wait()
                self.writer.flush()
                if self._patience.is_best(step) or self._patience.ending is not None:
                    due = due | {"save"}
        if "save" in due:
            with self._pace.interrupted("save"):
                self._save(state)

    def _print(self, step: int, numbers: Mapping[str, float]) -> None:
        self._printed = self.clock()
        self.progress.report(step, self._pace.speed, numbers)

    def _sample(self, state: TrainState) -> None:
        """Writes the sample grid and histograms of all parameters."""
        grid = samples.grid(self.setup, state, self.step)
        images.save(self.workdir / layout.SAMPLES / f"{self.step:08d}.png", grid)
        self.writer.write_images(self.step, {"samples": grid[None]})
        # Histograms are named after the path of a parameter: gen/ab/Conv_0/kernel.
        players = {"gen": state.gen.params, "dis": state.dis.params}
        leaves, _ = jax.tree.flatten_with_path(jax.device_get(players))
        histograms = {"/".join(k.key for k in path): np.asarray(leaf) for path, leaf in leaves}
        self.writer.write_histograms(self.step, histograms)

    def _measure(self, state: TrainState) -> dict[str, float]:
        """Measures reconstruction and diversity on held-out images; warns of a collapse."""
        reconstruction = samples.reconstruction(self.setup, state)
        diversity = samples.diversity(self.setup, state)
        collapsed = self._collapse.update(diversity)
        if undefined := {d for d in diversity if math.isnan(diversity[d])} - self._undefined:
            self._undefined |= undefined
            names = " and ".join(self.setup.settings.domains.name(d) for d in sorted(undefined))
            logging.warning("diversity is null: held-out images of %s are all equal", names)
        for d in collapsed:
            logging.warning(
                "step %d: translations to %s hardly differ from each other (diversity %.2f of that "
                "of real ones) and have not for some time: the generator may have collapsed. Look "
                "at samples/; a lower config.optim.learning_rate, a larger batch or a higher "
                "config.loss.feature may help.",
                self.step,
                self.setup.settings.domains.name(d),
                diversity[d],
            )
        return {
            **{f"val_const_{d}_loss": value for d, value in reconstruction.items()},
            **{f"diversity_{d}": value for d, value in diversity.items()},
            "collapse_alarm": float(bool(collapsed)),
        }

    @cached_property
    def _references(self) -> evaluate.References:
        # Takes seconds, so only a run that evaluates does it.
        return evaluate.fit_references(self.setup.settings, self.setup.images)

    def _evaluate(self, state: TrainState) -> dict[str, float]:
        """Measures the state on the held-out images and writes the evaluation of the run."""
        try:
            setup = self.setup
            run = Run(self.workdir, setup.settings, setup.gan, self.step, state)
            rows = evaluate.measure(run, self._references)
        except InputError as error:  # too few images: no reason to stop training
            logging.warning("step %d is not evaluated: %s", self.step, error)
            return {}
        evaluate.write(run, rows, self._references)
        return {f"eval/{row.name}": row.value for row in rows if math.isfinite(row.value)}

    def _fetch(self) -> dict[str, float]:
        """Fetches the last metrics, after all recent ones were found to be finite."""
        recent, self._recent = self._recent, []
        numbers: dict[str, float] = {}
        for step, metrics in jax.device_get(recent):
            numbers = {name: float(value) for name, value in metrics.items()}
            named = self._named(numbers).items()
            if bad := [f"{name} is {value}" for name, value in named if not math.isfinite(value)]:
                self._diverge(step, ", ".join(bad))
        return numbers

    def _save(self, state: TrainState) -> None:
        """Starts to save a state, if it is worth keeping."""
        # A loss is that before the update, so it does not vouch for the parameters after it.
        if not checkpoint.is_finite(state):
            self._diverge(self.step, "parameters or statistics are not finite")
        self.writer.flush()  # a run that is resumed does not write these lines again
        multihost.all_max(self.step)  # Orbax's own wait for the other processes times out
        self.checkpoints.save(self.step, state)

    @contextmanager
    def _diverging_together(self) -> Iterator[None]:
        """Stops the run in all processes if process 0 finds translations that are not finite."""
        what = ""
        try:
            yield
        except DivergedError as error:
            what = str(error).partition(": ")[2]
        if multihost.all_max(int(bool(what))):
            self._diverge(self.step, what)

    def _diverge(self, step: int, what: str) -> NoReturn:
        """Stops the run; its checkpoints stay as they are."""
        self.writer.write_scalars(step, {"diverged": 1.0})  # shown by `discogan runs`, the report
        self.checkpoints.wait()
        last = self.checkpoints.last()
        kept = "there is no checkpoint yet" if last is None else f"the last checkpoint is {last}"
        raise DivergedError(
            f"step {step}: {what}. Stopped without saving that state; in {self.workdir} {kept}. "
            "Lower config.optim.learning_rate, or look at the images of that step."
        )

    def _named(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Names metrics after the domains: ``gen_b_loss`` becomes ``gen_shoes_loss``."""
        names = self.setup.settings.domains._asdict()
        return {
            "_".join(names.get(part, part) for part in name.split("_")): value
            for name, value in numbers.items()
        }
