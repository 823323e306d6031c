"""The updates of the game: pure functions of a state and a batch.

Each exists twice: plain, to be composed (``pmap``, ``shard_map``, other loops), and compiled with
the state donated (`d_step_jit`, ...). Images are float in [0, 1] or uint8; networks for other data
than images get batches as they are.
"""

from dataclasses import replace
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float, Int, Num, UInt32

from discogan_jax import losses
from discogan_jax.state import (
    DIRECTIONS,
    DOMAINS,
    DiscoGAN,
    Optimizer,
    Player,
    Schedule,
    TrainState,
)

Batch = dict[str, Num[Array, "B ..."]]
"""``{"a": [B, H, W, C], "b": [B, H, W, C]}``; batches of a cycle have a leading axis of updates."""

Metrics = dict[str, Float[Array, ""]]


@runtime_checkable
class Dataset(Protocol):
    """Holds images on the device and draws batches of them, as `data.order.DeviceDataset` does."""

    def batches(self, step: UInt32[Array, "1"]) -> Batch:
        """Draws the batches of a cycle."""


def unit(images: Num[Any, "*shape"]) -> Float[Any, "*shape"]:
    """Converts uint8 images, of NumPy or JAX, to floats in [0, 1]; floats stay as they are."""
    return images.astype("float32") / 255 if images.dtype == "uint8" else images


# Compiled by itself, so that a cycle traces a network once for each shape, not at every call.
@partial(jax.jit, static_argnums=0)
def _apply(module: nn.Module, params: Any, batch_stats: Any, x: Array) -> tuple[Any, Any]:
    """Applies a network in training mode; returns its updated running statistics, too."""
    variables = {"params": params, "batch_stats": batch_stats}
    y, updated = module.apply(variables, x, True, mutable=["batch_stats"])
    return y, updated.get("batch_stats", {})


def _couples(module: nn.Module) -> bool:
    """Whether the images of a batch depend on one another; a network of another kind may do so."""
    return getattr(module, "norm", True) is not None


def _apply_each(
    module: nn.Module, params: Any, batch_stats: Any, *batches: Array
) -> tuple[list[Any], Any]:
    """Applies a network in training mode to several batches, each normalized by itself.

    The running statistics that it returns are updated by the first batch alone.
    """
    if _couples(module) or len({x.shape for x in batches}) > 1:
        results = [_apply(module, params, batch_stats, x) for x in batches]
        return [y for y, _ in results], results[0][1]
    # Nothing couples the images: one larger batch has larger products. The batches' images take
    # turns, so that those which are divided over devices stay where they are.
    n = len(batches)
    mixed = jnp.stack(batches, 1).reshape(-1, *batches[0].shape[1:])
    y, stats = _apply(module, params, batch_stats, mixed)
    turns = jax.tree.map(lambda z: z.reshape(-1, n, *z.shape[1:]), y)
    return [jax.tree.map(lambda z, i=i: z[:, i], turns) for i in range(n)], stats


@partial(jax.jit, static_argnums=0)
def _infer(module: nn.Module, params: Any, batch_stats: Any, x: Array) -> Array:
    """Applies a network with its running statistics; both directions are one program."""
    variables = {"params": params, "batch_stats": batch_stats}
    return cast(Array, module.apply(variables, unit(x), False))


def _update(
    player: Player,
    tx: Optimizer,
    grads: dict[str, Any],
    batch_stats: dict[str, Any],
    schedule: Schedule | None,
    step: Int[Array, ""],
) -> Player:
    """Updates the networks that have gradients and statistics; the others stay as they are."""
    # One optimizer moves both networks: a network without gradients gets zeros.
    grads = {k: grads.get(k, jax.tree.map(jnp.zeros_like, p)) for k, p in player.params.items()}
    updates, opt_state = tx.update(grads, player.opt_state, player.params)
    if schedule is not None:
        factor = schedule(step)
        updates = jax.tree.map(lambda x: factor * x, updates)
    params = optax.apply_updates(player.params, updates)
    # Averages of earlier gradients and L2 would move it nevertheless.
    used = {k: params[k] if k in batch_stats else p for k, p in player.params.items()}
    return Player(params=used, batch_stats=player.batch_stats | batch_stats, opt_state=opt_state)


def d_step(gan: DiscoGAN, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    """Updates the discriminators once; the generators stay as they are.

    Args:
      gan: what is trained.
      state: the state before.
      batch: real images of both domains.

    Returns:
      The state after, and ``disc_loss``, ``disc_a_loss``, ``disc_b_loss`` (before the update).
    """
    # Translate, without gradients for the generators.
    real = {d: unit(batch[d]) for d in DOMAINS}
    fake = {}
    for source, target in gan.directions:
        params, stats = (x[source + target] for x in (state.gen.params, state.gen.batch_stats))
        fake[target], _ = _apply(gan.generator, params, stats, real[source])
    vivid = partial(losses.vivid, factor=gan.weights.colour)

    def loss(params: dict[str, Any]) -> tuple[Array, tuple[Metrics, dict[str, Any]]]:
        metrics, batch_stats = {}, {}
        for d, own in params.items():
            # Tell real images from translations. Running statistics are those of real images,
            # which are what inference sees.
            judge = partial(_apply_each, gan.discriminator, own, state.dis.batch_stats[d])
            judged, batch_stats[d] = judge(vivid(real[d]), vivid(fake[d]))
            (on_real, _), (on_fake, _) = judged
            metrics[f"disc_{d}_loss"] = gan.weights.discriminator * (
                losses.adversarial(on_real, True, gan.axis_name)
                + losses.adversarial(on_fake, False, gan.axis_name)
            )
        total = sum(metrics.values(), jnp.zeros(()))
        return total, (metrics | {"disc_loss": total}, batch_stats)

    trained = {d: state.dis.params[d] for d in fake}
    grads, (metrics, batch_stats) = jax.grad(loss, has_aux=True)(trained)
    grads = losses.device_mean(grads, gan.axis_name)
    dis = _update(state.dis, gan.dis_tx, grads, batch_stats, gan.schedule, state.step)
    return replace(state, dis=dis, updates=state.updates + 1), metrics


def generator_loss(
    gan: DiscoGAN, state: TrainState, params: dict[str, Any], batch: Batch
) -> tuple[Float[Array, ""], tuple[Metrics, dict[str, Any]]]:
    """Computes the generators' loss as a function of their parameters.

    Args:
      gan: what is trained.
      state: everything else that the loss depends on.
      params: parameters of ``ab`` and ``ba``.
      batch: real images of both domains.

    Returns:
      The total; its terms (see `losses.LossWeights`), unweighted, and the running statistics.
    """
    weights, axis = gan.weights, gan.axis_name
    real = {d: unit(batch[d]) for d in DOMAINS}
    cycle_weight, adversarial_weight = gan.balance(state.updates)
    total = jnp.zeros(())
    metrics: Metrics = {}
    batch_stats: dict[str, Any] = {}
    vivid = partial(losses.vivid, factor=weights.colour)

    def generate(direction: str, *batches: Array) -> tuple[list[Array], Any]:
        stats = state.gen.batch_stats[direction]
        return _apply_each(gan.generator, params[direction], stats, *batches)

    def judge(domain: str, x: Array) -> tuple[Array, Any]:
        params, stats = state.dis.params[domain], state.dis.batch_stats[domain]
        return _apply(gan.discriminator, params, stats, vivid(x))[0]

    def error(x: Array, wanted: Array) -> Array:
        return losses.reconstruction(vivid(x), vivid(wanted), axis)

    for source, target in gan.directions:
        # Translate, together with images of the target domain.
        inputs = (real[source], real[target]) if weights.identity else (real[source],)
        (fake, *same), batch_stats[source + target] = generate(source + target, *inputs)

        # Fool the discriminator of the target domain.
        logits, fake_features = judge(target, fake)
        adversarial = losses.adversarial(logits, True, axis)
        metrics[f"gen_{target}_loss"] = adversarial
        total += adversarial_weight * weights.adversarial * adversarial

        # Match the mean features of real images.
        if weights.feature:
            _, real_features = judge(target, real[target])
            skip = weights.feature_skip
            feature_matching = losses.feature_matching(
                real_features[skip:], fake_features[skip:], axis
            )
            metrics[f"fm_{target}_loss"] = feature_matching
            total += adversarial_weight * weights.feature * feature_matching

        # Reconstruct the input.
        if source + target + source in gan.cycles:
            (again,), stats = generate(target + source, fake)
            # In ReconGAN the way back never sees a real image: its statistics are those of
            # translations.
            batch_stats.setdefault(target + source, stats)
            reconstruction = error(again, real[source])
            metrics[f"const_{source}_loss"] = reconstruction
            total += cycle_weight * weights.reconstruction * reconstruction

        # Leave images of the target domain as they are.
        if weights.identity:
            identity = error(same[0], real[target])
            metrics[f"identity_{target}_loss"] = identity
            total += weights.identity * identity
    return total, (metrics | {"gen_loss": total}, batch_stats)


def g_step(gan: DiscoGAN, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    """Updates the generators once; the discriminators stay as they are.

    Args:
      gan: what is trained.
      state: the state before.
      batch: real images of both domains.

    Returns:
      The state after, and the terms of the loss before the update: ``gen_loss`` (the total), per
      target domain ``gen_b_loss``, ``fm_b_loss``, ``identity_b_loss``, per source ``const_a_loss``.
    """
    loss = partial(generator_loss, gan, state, batch=batch)
    grads, (metrics, batch_stats) = jax.grad(loss, has_aux=True)(state.gen.params)
    grads = losses.device_mean(grads, gan.axis_name)
    gen = _update(state.gen, gan.gen_tx, grads, batch_stats, gan.schedule, state.step)
    state = replace(state, gen=gen, updates=state.updates + 1)
    if gan.ema_decay is not None:
        # A warm-up lets the initial parameters be forgotten soon.
        n = state.updates.astype(jnp.float32)
        d = jnp.minimum(gan.ema_decay, (1 + n) / (10 + n))
        # Averaged parameters need statistics of the same time, not those of the last updates.
        ema, ema_stats = jax.tree.map(
            lambda average, x: d * average + (1 - d) * x,
            (state.ema, state.ema_stats),
            (gen.params, gen.batch_stats),
        )
        state = replace(state, ema=ema, ema_stats=ema_stats)
    return state, metrics


def train_step(gan: DiscoGAN, state: TrainState, batches: Batch) -> tuple[TrainState, Metrics]:
    """Runs one cycle: `d_updates` updates of the discriminators, `g_updates` of the generators.

    Args:
      gan: what is trained.
      state: the state before.
      batches: a batch for every update, on a leading axis of ``d_updates + g_updates``.

    Returns:
      The state after, and the metrics of the last update of each player.
    """
    # Unrolled: there are few updates, of two kinds.
    metrics: Metrics = {}
    for i in range(gan.updates):
        update = d_step if i < gan.d_updates else g_step
        state, new = update(gan, state, jax.tree.map(lambda x, i=i: x[i], batches))
        metrics |= new
    return replace(state, step=state.step + 1), metrics


def train_steps(
    gan: DiscoGAN, state: TrainState, data: Dataset, n: Int[Array, ""]
) -> tuple[TrainState, Metrics]:
    """Runs several cycles in one dispatch, on batches drawn on the device.

    Args:
      gan: what is trained.
      state: the state before.
      data: a tree of arrays; its method gives each cycle its batches.
      n: cycles, at least 1; traced, so that any number runs the same program.

    Returns:
      The state after, and the metrics of the last cycle.
    """

    def cycle(state: TrainState) -> tuple[TrainState, Metrics]:
        return train_step(gan, state, data.batches(state.step.astype(jnp.uint32).reshape(1)))

    # The loop carries the metrics of the last cycle; before the first one they are zeros.
    metrics = jax.tree.map(jnp.zeros_like, jax.eval_shape(cycle, state)[1])
    return lax.fori_loop(0, n, lambda _, carry: cycle(carry[0]), (state, metrics))


def translate(
    gan: DiscoGAN,
    state: TrainState,
    x: Num[Any, "B *shape"],
    direction: str = "ab",
    train: bool = False,
) -> Float[Array, "B *shape"]:
    """Translates images, with averaged parameters and statistics where the state has them.

    It is compiled by itself, once for each shape.

    Args:
      gan: what was trained.
      state: the trained state.
      x: images in [0, 1], or uint8.
      direction: ``"ab"`` makes B from A, ``"ba"`` A from B.
      train: use the batch's statistics, as in training; otherwise the running ones, and the
        translation of an image does not depend on the batch it came in.

    Returns:
      Images in [0, 1].
    """
    params = (state.gen.params if state.ema is None else state.ema)[direction]
    batch_stats = (state.gen.batch_stats if state.ema_stats is None else state.ema_stats)[direction]
    if train:
        return cast(Array, _apply(gan.generator, params, batch_stats, unit(x))[0])
    return _infer(gan.generator, params, batch_stats, x)


def eval_step(gan: DiscoGAN, state: TrainState, batch: Batch) -> Metrics:
    """Reconstructs held-out images, and returns sums and counts, so that batches add up.

    Args:
      gan: what was trained.
      state: the trained state; averages and running statistics are used, as in `translate`.
      batch: images of both domains; their numbers may differ.

    Returns:
      Per domain, ``const_a_sum`` (of the images' mean squared errors, as the loss sees them) and
      ``const_a_count``; nothing where no cycle is trained.
    """
    sums: Metrics = {}
    vivid = partial(losses.vivid, factor=gan.weights.colour)
    for source, target in DIRECTIONS if gan.cycles else ():
        x = unit(batch[source])
        again = translate(gan, state, translate(gan, state, x, source + target), target + source)
        error = jnp.square(vivid(again) - vivid(x))
        sums[f"const_{source}_sum"] = error.reshape(len(x), -1).mean(1).sum()
        sums[f"const_{source}_count"] = jnp.full((), len(x), jnp.float32)
    return sums


d_step_jit = jax.jit(d_step, static_argnums=0, donate_argnums=1)
g_step_jit = jax.jit(g_step, static_argnums=0, donate_argnums=1)
train_step_jit = jax.jit(train_step, static_argnums=0, donate_argnums=1)
train_steps_jit = jax.jit(train_steps, static_argnums=0, donate_argnums=1)
eval_step_jit = jax.jit(eval_step, static_argnums=0)
