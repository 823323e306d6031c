"""The training loop: `train_and_evaluate`, and what it builds from the settings."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax.sharding import Mesh

from discogan_jax import (
    checkpoint,
    images,
    models,
    runs,
    samples,
    sharding,
    steps,
    writers,
)
from discogan_jax.cadence import due, steps_until_due
from discogan_jax.data import feed, sources
from discogan_jax.data.order import Order
from discogan_jax.errors import InputError
from discogan_jax.interrupts import Interrupts
from discogan_jax.losses import LossWeights
from discogan_jax.progress import Progress
from discogan_jax.settings import Settings, from_config
from discogan_jax.state import DiscoGAN, TrainState, adam, create_state

# A dispatch is not interrupted: so many cycles at most wait for a signal to be heard.
MAX_STEPS_AT_ONCE = 100

Advance = Callable[[TrainState, int, int], tuple[TrainState, steps.Metrics, int]]


class DivergedError(RuntimeError):
    """A loss is not finite: the run has stopped, its checkpoints are good."""


class InterruptedRunError(RuntimeError):
    """A signal ended the run after it had saved its state.

    Attributes:
      signal: which one.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal


def build_gan(s: Settings) -> DiscoGAN:
    """The networks, optimizers and losses that the settings describe."""
    common: dict[str, Any] = {
        "image_size": s.data.image_size,
        "width": s.model.width,
        "dtype": jnp.dtype(s.train.precision),
    }
    if s.model.recipe == "book":
        generator = models.book_generator(literal=s.model.literal, **common)
        discriminator = models.book_discriminator(literal=s.model.literal, **common)
    else:
        generator = models.official_generator(s.model.bottleneck or None, **common)
        discriminator = models.official_discriminator(**common)
    tx = adam(s.optim.learning_rate, s.optim.b1, s.optim.b2, s.optim.l2)
    return DiscoGAN(
        generator=generator,
        discriminator=discriminator,
        gen_tx=tx,
        dis_tx=tx,
        weights=LossWeights(**{f.name: getattr(s.loss, f.name) for f in fields(LossWeights)}),
        objective=s.loss.objective,
        d_updates=s.train.d_updates,
        g_updates=s.train.g_updates,
        ema_decay=s.optim.ema_decay or None,
    )


def load_images(s: Settings) -> dict[str, sources.Images]:
    """Both domains' images, from their sources or from the cache."""
    named = {"a": s.data.source_a, "b": s.data.source_b}
    load = partial(
        sources.load, image_size=s.data.image_size, data_dir=s.data_dir, archives=s.archives
    )
    return {d: load(source) for d, source in named.items()}


def make_order(s: Settings, loaded: Mapping[str, sources.Images]) -> Order:
    """The order in which a run sees its images."""
    return Order(
        sizes=(len(loaded["a"].train), len(loaded["b"].train)),
        batch_size=s.data.batch_size,
        updates=s.train.d_updates + s.train.g_updates,
        flip=s.data.flip,
    )


def state_shapes(s: Settings, gan: DiscoGAN) -> TrainState:
    """The state's shapes; nothing is allocated."""
    return jax.eval_shape(partial(_create, s, gan), jax.random.key(s.seed))


def _create(s: Settings, gan: DiscoGAN, key: Any) -> TrainState:
    return create_state(key, gan, (s.data.image_size, s.data.image_size, 3))


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


def _advance(
    s: Settings,
    gan: DiscoGAN,
    loaded: Mapping[str, sources.Images],
    start: int,
    mesh: Mesh,
    clock: Callable[[], float],
) -> tuple[Advance, _Waiting | None]:
    """How the state gets from step to step: fed cycle by cycle, or many in one dispatch."""
    order = make_order(s, loaded)
    train = {d: x.train for d, x in loaded.items()}
    kind, why = feed.choose(s.data.feed, train)
    logging.info("feed: %s (%s)", kind, why)
    split = sharding.split_batches(mesh)
    if kind == "tf":
        batches = feed.tf_feed(train, order, s.seed, start, s.train.steps, split)
    else:
        data = feed.resident(train, order, sharding.replicated(mesh))
        # XLA on CPU is many times slower in a loop on the device, and on several devices each
        # would draw the whole batch.
        if mesh.size == 1 and mesh.devices.flat[0].platform != "cpu":
            seed = jnp.asarray(s.seed, jnp.uint32)

            def dispatch(state: TrainState, step: int, n: int) -> Any:
                del step  # the state knows
                n = min(n, MAX_STEPS_AT_ONCE)
                return *steps.train_steps_jit(gan, state, data, seed, n), n

            return dispatch, None
        batches = feed.device_feed(data, s.seed, start, split)
    waiting = _Waiting(batches, clock)

    def cycle(state: TrainState, step: int, n: int) -> Any:
        del step, n  # one at a time, in order
        return *steps.train_step_jit(gan, state, waiting.take()), 1

    return cycle, waiting


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
      InputError: the config or the data cannot be used.
      DivergedError: a loss is not finite.
      InterruptedRunError: SIGTERM or Ctrl-C came; the state is saved.
    """
    s = from_config(config)
    workdir = Path(workdir).absolute()
    mesh = sharding.data_mesh()
    sharding.check_batch_size(s.data.batch_size, mesh.size)
    gan = build_gan(s)
    shapes = state_shapes(s, gan)
    loaded = load_images(s)
    make_order(s, loaded)
    held_out = {d: x.val for d, x in loaded.items()}
    runs.begin(workdir, config)

    with ExitStack() as stack:
        manager = stack.enter_context(
            checkpoint.open_manager(
                workdir / runs.CHECKPOINTS, keep=s.train.keep, keep_every=s.train.keep_every
            )
        )
        everywhere = sharding.replicated(mesh)
        state = checkpoint.restore(manager, shapes, everywhere)
        if state is None:
            create = jax.jit(partial(_create, s, gan), out_shardings=everywhere)
            state = create(jax.random.key(s.seed))
        step = int(state.step)
        if step >= s.train.steps:
            logging.info("%s is already at step %d of %d", workdir, step, s.train.steps)
            return state
        advance, waiting = _advance(s, gan, loaded, step, mesh, clock)
        writer = open_writer(workdir, step)
        stack.callback(writer.close)
        images_per_step = 2 * s.data.batch_size * gan.updates
        progress = Progress(step, s.train.steps, images_per_step)
        stack.callback(progress.close)
        interrupts = stack.enter_context(Interrupts())

        def sample(state: TrainState, step: int) -> dict[str, float]:
            _write_samples(gan, state, step, held_out, s.domains, workdir, writer)
            return samples.held_out_reconstruction(gan, state, held_out)

        if step == 0 and s.train.sample_every:
            sample(state, step)
        else:
            progress.say(f"resuming {workdir} at step {step}")
        periods = (
            s.train.log_every,
            s.train.print_every,
            s.train.sample_every,
            s.train.checkpoint_every,
        )
        recent: list[tuple[int, steps.Metrics]] = []
        since, since_step = clock(), step
        while step < s.train.steps and interrupts.signal is None:
            n = steps_until_due(step, s.train.steps, (*periods, MAX_STEPS_AT_ONCE))
            state, metrics, n = advance(state, step, n)
            step += n
            recent.append((step, metrics))
            if len(recent) > 1:
                # One cycle ahead of the device is enough; more would make it deaf to signals.
                jax.block_until_ready(recent[-2][1])
            last = step == s.train.steps
            if not (last or any(due(step, p) for p in (*periods, MAX_STEPS_AT_ONCE))):
                continue

            numbers = _finite(recent, workdir, manager)
            recent = recent[-1:]
            now = clock()
            speed = (step - since_step) / max(now - since, 1e-9)
            scalars = numbers | {"steps_per_second": speed}
            if waiting is not None:
                scalars["data_wait_fraction"] = waiting.seconds / max(now - since, 1e-9)
                waiting.seconds = 0.0
            if due(step, s.train.print_every) or last:
                progress.report(step, speed, numbers)
            if due(step, s.train.sample_every) or (last and s.train.sample_every):
                scalars |= sample(state, step)
            if due(step, s.train.log_every) or due(step, s.train.sample_every) or last:
                writer.write_scalars(step, _named(scalars, s.domains))
            if due(step, s.train.checkpoint_every) or last:
                writer.flush()
                checkpoint.save(manager, step, state)
            manager.check_for_errors()
            progress.advance(step - since_step)
            since, since_step = clock(), step

        if interrupts.signal is not None and step < s.train.steps:
            _finite(recent, workdir, manager)
            checkpoint.save(manager, step, state)
            manager.wait_until_finished()
            raise InterruptedRunError(
                f"{interrupts.signal.name}: saved step {step} of {s.train.steps} in {workdir}; "
                "the same command goes on from there",
                interrupts.signal,
            )
        manager.wait_until_finished()
        manager.check_for_errors()
        return state


def _finite(recent: list[tuple[int, steps.Metrics]], workdir: Path, manager: Any) -> dict[str, float]:
    """The last step's numbers on the host, after all recent ones were found to be finite."""
    numbers: dict[str, float] = {}
    for step, metrics in jax.device_get(recent):
        numbers = {name: float(value) for name, value in metrics.items()}
        bad = [f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value)]
        if bad:
            last = manager.latest_step()
            kept = "there is no checkpoint yet" if last is None else f"the last good one is {last}"
            raise DivergedError(
                f"step {step}: {', '.join(bad)}. Stopped without a checkpoint of it; in {workdir} "
                f"{kept}. Lower config.optim.learning_rate, or look at the data of that step."
            )
    return numbers


def _write_samples(
    gan: DiscoGAN,
    state: TrainState,
    step: int,
    held_out: samples.HeldOut,
    domains: tuple[str, str],
    workdir: Path,
    writer: writers.Writer,
) -> None:
    """The sample grid, as a file and for TensorBoard, and histograms of all parameters."""
    grid = samples.grid(gan, state, held_out, domains)
    images.save(workdir / runs.SAMPLES / f"{step:08d}.png", grid)
    writer.write_images(step, {"samples": grid[None]})
    players = {"gen": state.gen.params, "dis": state.dis.params}
    leaves, _ = jax.tree.flatten_with_path(jax.device_get(players))
    histograms = {"/".join(k.key for k in path): np.asarray(leaf) for path, leaf in leaves}
    writer.write_histograms(step, histograms)


def _named(scalars: Mapping[str, float], domains: tuple[str, str]) -> dict[str, float]:
    """The names that people read: the domains' in place of a and b."""
    names = dict(zip("ab", domains, strict=True))
    parts = {name: [names.get(part, part) for part in name.split("_")] for name in scalars}
    return {"_".join(parts[name]): value for name, value in scalars.items()}
