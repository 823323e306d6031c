"""The training loop, `train_and_evaluate`: resumes a run, trains it, records what is due."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import jax
from absl import logging

from discogan_jax import files, multihost, sharding
from discogan_jax.config import build
from discogan_jax.config.schema import Settings, from_config
from discogan_jax.data import census
from discogan_jax.data.arrays import InMemory
from discogan_jax.errors import DivergedError, InputError, InterruptedRunError
from discogan_jax.evaluation import held_out
from discogan_jax.runs import (
    changes,
    checkpoint,
    layout,
    lock,
    manifest,
    pictures,
    report,
    run,
    weights,
)
from discogan_jax.state import TrainState
from discogan_jax.train import forecast, writers
from discogan_jax.train.interrupts import Interrupts
from discogan_jax.train.memory import StepMemory
from discogan_jax.train.patience import why_ended
from discogan_jax.train.progress import Progress
from discogan_jax.train.recorder import Recorder
from discogan_jax.train.setup import Setup


def train_and_evaluate(
    config: Mapping[str, Any] | Settings,
    workdir: str | Path,
    *,
    arrays: Sequence[InMemory] | None = None,
    change: bool = False,
    title: str = "",
    open_writer: Callable[[Path, int], writers.Writer] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainState:
    """Trains a run from its beginning or its last checkpoint to ``config.train.steps``.

    It ends before if the best step is ``config.train.patience`` evaluations ago. At its end, also
    by a signal or divergence, it writes its report.

    Args:
      config: the config of the run, or the settings made of it.
      workdir: the run directory. A run of this config that is there is resumed, with exactly the
        batches that it would have seen.
      arrays: pictures of both domains that are in memory, in place of the config's sources: for
        each domain what `sources.keep` takes, which writes them below `data.data_dir`.
      change: whether a run of other settings or pictures goes on with these.
      title: line about the run for the log, where those on its pictures follow.
      open_writer: opens the writer of metrics, from the directory and the number of finished steps;
        None for `writers.open_writer` with the config's trackers.
      clock: returns seconds; used for what is reported of speed and time only.

    Returns:
      The trained state.

    Raises:
      InputError: the config, the data or the directory cannot be used, another process trains
        there, or the disk is full or the memory too small.
      DivergedError: a loss is not finite.
      InterruptedRunError: SIGINT, SIGTERM or SIGHUP arrived; the state is saved. A second signal
        has its default effect: the process stops immediately.
    """
    s, workdir = from_config(config), Path(workdir).absolute()
    writers.check(s.train.trackers)
    if arrays is not None:
        s = build.with_arrays(s, arrays)
    # Before pictures are decoded for nothing.
    multihost.on_process_0_first(lambda: run.check_resumable(workdir, s, change=change))
    begun = manifest.steps(workdir / layout.CHECKPOINTS)
    trained = None if begun else weights.of_settings(s)
    setup = Setup(s, pictures.known(workdir))
    memory = StepMemory(setup)
    memory.check()
    with _reporting(workdir), ExitStack() as stack:
        checkpoints, state = stack.enter_context(_run_directory(workdir, setup, memory, change))
        if state is not None and _has_ended(workdir, s, int(state.step)):
            return state
        if multihost.is_chief():
            _introduce(setup, title)

        # Compile the step while the run starts, but on CPUs only: other compilers time kernels,
        # which that would disturb. Traced here: two threads that trace wait for Python's lock.
        compiling = None
        if setup.on_cpu:
            compiling = ThreadPoolExecutor(1).submit(setup.lower_step().compile)
        if state is None:
            state = _first_state(workdir, setup, trained)
        del trained  # a copy that would stay in memory
        start, chief = int(state.step), multihost.is_chief()  # the others write and show nothing
        batches = setup.batches(start)
        open_writer = open_writer or partial(writers.open_writer, trackers=s.train.trackers)
        writer = open_writer(workdir, start) if chief else writers.Writer()
        stack.enter_context(closing(writer))
        stream = sys.stderr if chief else None
        progress = Progress(start, s.train.steps, setup.images_per_step, stream)
        stack.enter_context(closing(progress))
        recorder = Recorder(setup, workdir, checkpoints, writer, progress, clock, start)
        interrupts = stack.enter_context(Interrupts())
        recorder.start(state)
        batches = chain([next(batches)], batches)  # before waiting for the compiler
        memory.check(compiling.result() if compiling else setup.lower_step().compile())

        alone, signal = jax.process_count() == 1, 0
        for step, batch in recorder.timed(batches):
            # Several processes stop together, so they agree where each of them records.
            if alone or recorder.due(step - 1):
                signal = multihost.all_max(interrupts.signal or 0)
            if signal:
                break
            state, metrics = setup.train_step(setup.gan, state, batch)
            recorder.after_step(step, state, metrics)
        return recorder.finish(state, signal)


@contextmanager
def _reporting(workdir: Path) -> Iterator[None]:
    """Writes the report of a run when the run ends, also if it has diverged or was interrupted."""
    try:
        yield
    except (DivergedError, InterruptedRunError):
        if multihost.is_chief():
            report.refresh(workdir)
        raise
    if multihost.is_chief():
        report.refresh(workdir)


@contextmanager
def _run_directory(
    workdir: Path, setup: Setup, memory: StepMemory, change: bool
) -> Iterator[tuple[checkpoint.Checkpoints, TrainState | None]]:
    """Locks a run directory and reads its last state; explains lack of disk or memory, and stops.

    Other settings are in force from that state on.
    """
    s, t, begun = setup.settings, setup.settings.train, False
    with ExitStack() as stack:
        folder = workdir / layout.CHECKPOINTS

        def claim() -> None:
            if multihost.is_chief():
                stack.enter_context(lock.claimed(workdir))
                run.check_resumable(workdir, s, setup.images, change=change)
                checkpoint.require_writable(folder)
                forecast.warn_of_little_room(s, workdir)

        def begin() -> None:
            if multihost.is_chief():
                run.begin(workdir, s, setup.images, change=change, step=start)

        try:
            multihost.on_process_0_first(claim)
            with checkpoint.Checkpoints(
                folder, keep=t.keep, keep_every=t.keep_every, keep_best=t.keep_best
            ) as checkpoints:
                state = checkpoints.restore(setup.shapes, setup.shardings)
                start = 0 if state is None else int(state.step)
                multihost.on_process_0_first(begin)
                begun = multihost.is_chief()
                yield checkpoints, state
        except Exception as error:
            known = isinstance(error, InputError)
            lack = None if known else memory.explain(error)
            if begun and (known or lack):
                run.withdraw(workdir)
            if lack is not None:
                raise InputError(f"{lack} {_kept(workdir)}.") from error
            why = files.disk_full(error)
            if why is None or known:
                raise
            raise InputError(
                f"{workdir} takes no more files ({why}); {_kept(workdir)}. Make room there, or "
                "make it writable, and repeat the command."
            ) from error
        except KeyboardInterrupt as error:
            error.add_note(f"{_kept(workdir)}; repeat the command to go on")
            raise


def _has_ended(workdir: Path, s: Settings, step: int) -> bool:
    """Whether a run has nothing more to do after a step; says why."""
    why = why_ended(workdir, s.train, step) if multihost.is_chief() else ""
    if why:
        logging.info("%s %s", workdir, why)
    return bool(multihost.all_max(int(bool(why))))


def _introduce(setup: Setup, title: str) -> None:
    """Says what is trained on what."""
    s = setup.settings
    if title:
        logging.info("%s", title)
    for d, x in setup.images.items():
        logging.info("%s: %s", s.domains.name(d), census.describe(x.about))
    if s.train.evaluate_every:
        try:
            for warning in held_out.few(s.domains, held_out.choose(s, setup.images)):
                logging.warning(warning)
        except InputError as error:
            logging.warning("the run will not be evaluated: %s", error)
    logging.info(
        "batches of %d a domain at %s px on %s; compiling the training step",
        s.data.batch_size,
        s.data.image_size,
        forecast.machine(setup.mesh),
    )
    if setup.mesh.size < jax.device_count():
        logging.warning("devices: %s", sharding.describe_devices(setup.mesh, s.data.batch_size))


def _first_state(workdir: Path, setup: Setup, trained: weights.Fit | None) -> TrainState:
    """Draws the first state of a run, with the trained weights that it starts from."""
    state = setup.create_state()
    if trained is None:
        return state
    if multihost.is_chief():
        changes.record(workdir, 0, init=trained.record)
    return trained.apply(state)


def _kept(workdir: Path) -> str:
    sealed = manifest.sealed_steps(workdir / layout.CHECKPOINTS)
    if not sealed:
        return f"{workdir} has no checkpoint yet"
    return f"the last checkpoint in {workdir} is {sealed[-1]}"
