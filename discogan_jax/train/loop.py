"""The training loop, `train_and_evaluate`: resumes a run, trains it, records what is due."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import jax
from absl import logging

from discogan_jax import files, multihost
from discogan_jax.config.schema import Settings, from_config
from discogan_jax.data import census
from discogan_jax.errors import InputError
from discogan_jax.runs import checkpoint, layout, lock, manifest, pictures, run
from discogan_jax.state import TrainState
from discogan_jax.train import writers
from discogan_jax.train.interrupts import Interrupts
from discogan_jax.train.progress import Progress
from discogan_jax.train.recorder import Recorder
from discogan_jax.train.setup import Setup


def train_and_evaluate(
    config: Mapping[str, Any] | Settings,
    workdir: str | Path,
    *,
    change: bool = False,
    title: str = "",
    open_writer: Callable[[Path, int], writers.Writer] = writers.open_writer,
    clock: Callable[[], float] = time.monotonic,
) -> TrainState:
    """Trains a run from its beginning or its last checkpoint to ``config.train.steps``.

    Args:
      config: the config of the run, or the settings made of it.
      workdir: the run directory. A run of this config that is there is resumed, with exactly the
        batches that it would have seen.
      change: whether a run that was trained on other pictures goes on with these.
      title: line about the run for the log, where those on its pictures follow.
      open_writer: opens the writer of metrics, from the directory and the number of finished steps.
      clock: returns seconds; used for the reported speed only.

    Returns:
      The trained state.

    Raises:
      InputError: the config, the data or the directory cannot be used, another process trains
        there, or the disk is full.
      DivergedError: a loss is not finite.
      InterruptedRunError: SIGINT, SIGTERM or SIGHUP arrived; the state is saved. A second signal
        has its default effect: the process stops immediately.
    """
    s, workdir = from_config(config), Path(workdir).absolute()
    # Before pictures are decoded for nothing.
    multihost.on_process_0_first(lambda: run.check_resumable(workdir, s))
    setup, last_step = Setup(s, pictures.known(workdir)), s.train.steps
    with ExitStack() as stack:
        # Lock the run directory, check that it belongs to this config, find its last checkpoint.
        checkpoints = stack.enter_context(_run_directory(workdir, setup, change))
        state = checkpoints.restore(setup.shapes, setup.shardings)
        start = 0 if state is None else int(state.step)
        if state is not None and start >= last_step:
            logging.info("%s is already at step %d of %d", workdir, start, last_step)
            return state

        if title:
            logging.info("%s", title)
        for d, x in setup.images.items():
            logging.info("%s: %s", s.domains.name(d), census.describe(x.about))

        # Compile the step while the run starts, but on CPUs only: other compilers time kernels,
        # which that would disturb. Traced here: two threads that trace wait for Python's lock.
        compiling = []
        if setup.on_cpu:
            compiling.append(ThreadPoolExecutor(1).submit(setup.lower_step().compile))
        if state is None:
            state = setup.create_state()
        batches = setup.batches(start)
        chief = multihost.is_chief()  # the others write and show nothing
        writer = open_writer(workdir, start) if chief else writers.Writer()
        stack.enter_context(closing(writer))
        stream = sys.stderr if chief else None
        progress = Progress(start, last_step, setup.images_per_step, stream)
        stack.enter_context(closing(progress))
        recorder = Recorder(setup, workdir, checkpoints, writer, progress, clock, start)
        interrupts = stack.enter_context(Interrupts())
        recorder.start(state)
        wait(compiling)  # if that failed, the first step fails in the same way

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
def _run_directory(workdir: Path, setup: Setup, change: bool) -> Iterator[checkpoint.Checkpoints]:
    """Locks and opens a run directory; explains failures of its disk and forced stops."""
    s = setup.settings
    with ExitStack() as stack:

        def begin() -> None:
            if multihost.is_chief():
                stack.enter_context(lock.claimed(workdir))
                run.begin(workdir, s, setup.images, change=change)

        folder = workdir / layout.CHECKPOINTS
        try:
            multihost.on_process_0_first(begin)
            with checkpoint.Checkpoints(
                folder, keep=s.train.keep, keep_every=s.train.keep_every
            ) as opened:
                yield opened
        except Exception as error:
            why = files.disk_full(error)
            if why is None or isinstance(error, InputError):
                raise
            raise InputError(
                f"{workdir} takes no more files ({why}); {_kept(workdir)}. Make room there, or "
                "make it writable, and repeat the command."
            ) from error
        except KeyboardInterrupt as error:
            error.add_note(f"{_kept(workdir)}; repeat the command to go on")
            raise


def _kept(workdir: Path) -> str:
    sealed = manifest.sealed_steps(workdir / layout.CHECKPOINTS)
    if not sealed:
        return f"{workdir} has no checkpoint yet"
    return f"the last checkpoint in {workdir} is {sealed[-1]}"
