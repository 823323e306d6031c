"""The training loop, `train_and_evaluate`: resumes, steps, writes, hands results on."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from signal import Signals
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging
from jax.sharding import Mesh

from discogan_jax import files, multihost, sharding, steps
from discogan_jax.config import build
from discogan_jax.config.schema import Settings, from_config
from discogan_jax.data import feed, sources
from discogan_jax.errors import InputError, InterruptedRunError
from discogan_jax.runs import checkpoint, layout, lock, manifest, run
from discogan_jax.state import DOMAINS, DiscoGAN, TrainState, create_state
from discogan_jax.train import writers
from discogan_jax.train.interrupts import Interrupts
from discogan_jax.train.progress import Progress
from discogan_jax.train.recorder import Recorder, due, steps_until_due

# A dispatch is not interrupted: so many cycles at most wait for a signal to be heard.
MAX_STEPS_AT_ONCE = 100

Advance = Callable[[TrainState, int], tuple[TrainState, steps.Metrics, int]]


class _Waiting:
    """Takes from a feed and counts the seconds that it made the loop wait."""

    def __init__(self, batches: Iterator[Any], clock: Callable[[], float]):
        self._batches, self._clock = batches, clock
        self.seconds = 0.0

    def take(self) -> Any:
        before = self._clock()
        batches = next(self._batches)
        self.seconds += self._clock() - before
        return batches


def train_and_evaluate(
    config: Mapping[str, Any],
    workdir: str | Path,
    *,
    open_writer: Callable[[Path, int], writers.Writer] = writers.open_writer,
    clock: Callable[[], float] = time.monotonic,
) -> TrainState:
    """Trains, or goes on training, until ``config.train.steps``.

    Args:
      config: see `settings.Settings`.
      workdir: the run directory. If a run of this config is there, it is resumed with exactly the
        batches that it would have seen.
      open_writer: opens what the numbers go to, from the directory and the first step.
      clock: seconds; for measuring speed alone.

    Returns:
      The trained state.

    Raises:
      InputError: the config, the data, the directory or what is in it cannot be used, another
        process is training there, or the disk is full.
      DivergedError: a loss is not finite.
      InterruptedRunError: SIGTERM or Ctrl-C came; the state is saved. A second one is heard at
        once, as if nobody was listening.
    """
    s = from_config(config)
    workdir = Path(workdir).absolute()
    mesh = sharding.data_mesh()
    sharding.check_batch_size(s.data.batch_size, mesh.size)
    gan = build.gan(s)
    shapes = build.state_shapes(s, gan)
    loaded = multihost.chief_first(lambda: build.images(s))
    build.order(s, loaded)

    with ExitStack() as stack:

        def begin() -> None:
            if multihost.is_chief():
                stack.enter_context(lock.claimed(workdir))
                run.begin(workdir, s)

        multihost.chief_first(begin)
        stack.enter_context(_early_ends_told(workdir))
        checkpoints = stack.enter_context(
            checkpoint.Checkpoints(
                workdir / layout.CHECKPOINTS, keep=s.train.keep, keep_every=s.train.keep_every
            )
        )
        where = sharding.of_state(mesh, shapes, s.train.shard_state)
        state = checkpoints.restore(shapes, where)
        step = 0 if state is None else int(state.step)
        if state is not None and step >= s.train.steps:
            logging.info("%s is already at step %d of %d", workdir, step, s.train.steps)
            return state
        step_jit = sharding.train_step_jit(where) if s.train.shard_state else steps.train_step_jit
        with _compiling(s, gan, shapes, where, mesh, step_jit):
            if state is None:
                # No partial and no lambda: then runs of one process share what is compiled.
                create = jax.jit(create_state, static_argnums=(1, 2), out_shardings=where)
                state = create(jax.random.key(s.seed), gan, build.image_shape(s))
            advance, waiting = _make_advance(
                s, gan, loaded, mesh, step_jit, start=step, clock=clock
            )
            writer = (
                open_writer(workdir, step) if multihost.is_chief() else writers.Both()
            )  # to none
            stack.callback(writer.close)
            shown = (
                None if multihost.is_chief() else stack.enter_context(Path(os.devnull).open("w"))
            )
            progress = Progress(step, s.train.steps, 2 * s.data.batch_size * gan.updates, shown)
            stack.callback(progress.close)
            recorder = Recorder(s, gan, workdir, loaded, checkpoints, writer, progress)
            interrupts = stack.enter_context(Interrupts())
            if step:
                progress.say(f"resuming {workdir} at step {step}")
            elif s.train.sample_every:
                recorder.sample(state, step)
        return _loop(recorder, advance, waiting, state, interrupts=interrupts, clock=clock)


@contextmanager
def _early_ends_told(workdir: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        why = files.disk_full(error)
        if why is None or isinstance(error, InputError):
            raise
        raise InputError(
            f"{workdir} takes no more files ({why}); {_kept(workdir)}. Make room there, or make it "
            "writable, and repeat the command."
        ) from error
    except KeyboardInterrupt as error:
        error.add_note(f"{_kept(workdir)}; repeat the command to go on")
        raise


def _kept(workdir: Path) -> str:
    sealed = manifest.sealed_steps(workdir / layout.CHECKPOINTS)
    if not sealed:
        return f"{workdir} has no checkpoint yet"
    return f"the last checkpoint in {workdir} is {sealed[-1]}"


def _make_advance(
    s: Settings,
    gan: DiscoGAN,
    loaded: Mapping[str, sources.Splits],
    mesh: Mesh,
    step_jit: Any,
    *,
    start: int,
    clock: Callable[[], float],
) -> tuple[Advance, _Waiting | None]:
    """How the state gets from step to step: fed cycle by cycle, or many in one dispatch."""
    order = build.order(s, loaded)
    train = {d: x.train for d, x in loaded.items()}
    kind, why = feed.choose(s.data.feed, train)
    logging.info("feed: %s (%s)", kind, why)
    split = sharding.split_batches(mesh)
    if kind == "tf":
        rows = sharding.own_rows(split, s.data.batch_size)
        batches = feed.tf_feed(
            train, order, s.seed, start=start, stop=s.train.steps, rows=rows, sharding=split
        )
    else:
        data = feed.resident(train, order, sharding.replicated(mesh))
        if _loops_on_device(mesh):
            seed = jnp.asarray(s.seed, jnp.uint32)
            dispatch = partial(steps.train_steps_jit, gan, data=data, seed=seed)
            return lambda state, n: (*dispatch(state, n=n), n), None
        batches = feed.device_feed(data, s.seed, start, split)
    waiting = _Waiting(batches, clock)
    return lambda state, _: (*step_jit(gan, state, waiting.take()), 1), waiting


@contextmanager
def _compiling(
    s: Settings, gan: DiscoGAN, shapes: TrainState, where: Any, mesh: Mesh, step_jit: Any
) -> Iterator[None]:
    """Compiles a step, or loads its program, beside what is done in here."""
    if not _on_cpu(mesh):  # other compilers time kernels, which would be disturbed
        yield
        return
    state = jax.tree.map(
        lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at), shapes, where
    )
    shape = (gan.updates, s.data.batch_size, *build.image_shape(s))
    batch = jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=sharding.split_batches(mesh))
    # Traced first: two threads that trace would only wait for Python's lock.
    lowered = step_jit.lower(gan, state, dict.fromkeys(DOMAINS, batch))
    pool = ThreadPoolExecutor(1)
    compiled = pool.submit(lowered.compile)
    pool.shutdown(wait=False)
    yield  # what is raised in here is told at once
    wait([compiled])  # what failed there fails in the first step again, and is told then


def _on_cpu(mesh: Mesh) -> bool:
    return mesh.devices.flat[0].platform == "cpu"


def _loops_on_device(mesh: Mesh) -> bool:
    # On CPU a dispatch costs nothing beside a step, and many in one would be deaf to signals; on
    # several devices each would draw the whole batch.
    return mesh.size == 1 and not _on_cpu(mesh)


def _loop(
    recorder: Recorder,
    advance: Advance,
    waiting: _Waiting | None,
    state: TrainState,
    *,
    interrupts: Interrupts,
    clock: Callable[[], float],
) -> TrainState:
    t = recorder.s.train
    step = int(state.step)
    periods = (
        *(t.log_every, t.print_every, t.sample_every, t.evaluate_every, t.checkpoint_every),
        MAX_STEPS_AT_ONCE,
    )
    recent: list[tuple[int, steps.Metrics]] = []
    since, since_step = clock(), step
    alone = jax.process_count() == 1
    heard = multihost.agreed(interrupts.signal or 0)
    while step < t.steps and not heard:
        state, metrics, n = advance(state, steps_until_due(step, t.steps, periods))
        step += n
        recorder.checkpoints.check_for_errors()
        recorder.progress.advance(n)
        recent.append((step, metrics))
        if len(recent) > 1:
            # One dispatch ahead of the device is enough; more would make it deaf to signals.
            jax.block_until_ready(recent[-2][1])
        if step < t.steps and not any(due(step, period) for period in periods):
            heard = (interrupts.signal or 0) if alone else 0
            continue
        numbers = recorder.finite(recent)
        recent.clear()
        seconds = max(clock() - since, 1e-9)
        speed = (step - since_step) / seconds
        numbers["steps_per_second"] = speed
        if waiting is not None:
            numbers["data_wait_fraction"] = waiting.seconds / seconds
            waiting.seconds = 0.0
        recorder.record(state, step, numbers, speed)
        since, since_step = clock(), step
        heard = multihost.agreed(interrupts.signal or 0)

    if step < t.steps:
        recorder.finite(recent)
        recorder.save(state, step)
    recorder.checkpoints.wait()
    if step < t.steps:
        raise InterruptedRunError(
            f"{Signals(heard).name}: saved step {step} of {t.steps} in {recorder.workdir}; the "
            "same command goes on from there",
            heard,
        )
    return state
