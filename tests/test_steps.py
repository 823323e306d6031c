"""Properties of the losses and the updates that hold for any weights."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from flax import linen as nn

from discogan_jax import losses, models, steps
from discogan_jax.data.order import DeviceDataset, Order
from discogan_jax.state import OBJECTIVES, Adam, DiscoGAN, Schedule, TrainState, create_state

pytestmark = pytest.mark.usefixtures("no_nan")


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_close(a, b, tolerance=1e-5):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b
    )


def differs(a, b):
    return not all(np.array_equal(x, y) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def swapped(tree):
    """Returns the same with the roles of the domains exchanged."""
    names = {"a": "b", "b": "a", "ab": "ba", "ba": "ab"}
    if isinstance(tree, TrainState):
        gen, dis = (
            p.replace(params=swapped(p.params), batch_stats=swapped(p.batch_stats))
            for p in (tree.gen, tree.dis)
        )
        return tree.replace(gen=gen, dis=dis)
    return {names[k]: v for k, v in tree.items()}


@pytest.mark.parametrize("recipe", ["book", "official", "best"])
def test_swapping_the_domains_swaps_everything(recipe):
    gan = tiny.gan(recipe)
    state, batch = tiny.state(gan), tiny.batch()
    for step in (tiny.d_step, tiny.g_step):
        after, metrics = step(gan, state, batch)
        mirrored, mirrored_metrics = step(gan, swapped(state), swapped(batch))
        assert_close(swapped(mirrored).gen.params, after.gen.params)
        assert_close(swapped(mirrored).dis.params, after.dis.params)
        exchange = {"a": "b", "b": "a"}
        for name, value in metrics.items():
            other = "_".join(exchange.get(p, p) for p in name.split("_"))
            np.testing.assert_allclose(mirrored_metrics[other], value, rtol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_step_leaves_the_other_side_untouched(objective):
    gan = tiny.gan(objective=objective)
    assert gan.translations == (("ab",) if objective == "gan" else ("ab", "ba"))
    state, batch = tiny.state(gan), tiny.batch()
    after_d, _ = tiny.d_step(gan, state, batch)
    assert_equal(after_d.gen, state.gen)
    assert differs(after_d.dis.params["b"], state.dis.params["b"])
    assert differs(after_d.dis.params["a"], state.dis.params["a"]) == (objective == "discogan")
    after_g, _ = tiny.g_step(gan, state, batch)
    assert_equal(after_g.dis, state.dis)
    assert differs(after_g.gen.params["ab"], state.gen.params["ab"])
    assert differs(after_g.gen.params["ba"], state.gen.params["ba"]) == (objective != "gan")
    assert int(after_d.updates) == int(after_g.updates) == 1


def test_networks_out_of_use_do_not_decay_either():
    gan = tiny.gan(objective="gan", tx=Adam(1e-2, 0.5, 0.999, l2=0.1))
    state = tiny.state(gan)
    after, _ = tiny.train_step(gan, state, tiny.batch(updates=gan.updates))
    assert_equal(after.gen.params["ba"], state.gen.params["ba"])
    assert_equal(after.dis.params["a"], state.dis.params["a"])


def test_feature_matching_is_zero_on_equal_batches_alone():
    x = tiny.batch()["a"]
    y = x[::-1].at[0].add(1.0)
    assert losses.feature_matching([x, 2 * x], [x[::-1], 2 * x]) < 1e-12
    np.testing.assert_allclose(losses.feature_matching([x], [y]), 1 / 16, rtol=1e-5)


def test_without_batch_norm_not_even_training_depends_on_the_batch():
    gan = tiny.gan("best")
    state, x = tiny.state(gan), tiny.batch(8)["a"]
    together = tiny.translate(gan, state, x, "ab", train=True)
    assert together.std(0).max() > 0.01
    alone = jnp.concatenate(
        [tiny.translate(gan, state, x[i : i + 1], "ab", train=True) for i in range(8)]
    )
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together, tiny.translate(gan, state, x, "ab"), atol=1e-6)


def test_vivid_images_have_their_colours_and_their_grey():
    pixel = jnp.array([0.2, 0.5, 0.5])  # 0.4 and (-0.2, 0.1, 0.1)
    np.testing.assert_allclose(losses.vivid(pixel, 3.0), [-0.2, 0.7, 0.7], atol=1e-6)
    grey = tiny.batch()["a"][..., :1]
    assert_equal(losses.vivid(grey, 3.0), grey)
    np.testing.assert_allclose(losses.vivid(jnp.tile(grey, 3), 3.0), jnp.tile(grey, 3), atol=1e-6)


def test_the_losses_see_vivid_images_and_the_generators_do_not():
    gan = tiny.gan("best")
    vivid = replace(gan, weights=replace(gan.weights, colour=3.0))
    state, batch = tiny.state(gan), tiny.batch()

    def seen(x):
        grey = x.mean(-1, keepdims=True)
        return grey + 3 * (x - grey)

    def translate(x, direction):
        return gan.generator.apply({"params": state.gen.params[direction]}, x, True)

    def logits(x, d):
        return gan.discriminator.apply({"params": state.dis.params[d]}, seen(x), True)[0]

    fake = {d: translate(batch[s], s + d) for s, d in ("ab", "ba")}
    same = {d: translate(batch[d], s + d) for s, d in ("ab", "ba")}
    again = {s: translate(fake[d], d + s) for s, d in ("ab", "ba")}
    # By hand: the cross entropy is softplus(-x) against "real" and softplus(x) against "fake".
    _, found = tiny.g_step(vivid, state, batch)
    _, judged = tiny.d_step(vivid, state, batch)
    for d in "ab":
        wanted = {
            f"identity_{d}_loss": jnp.square(seen(same[d]) - seen(batch[d])).mean(),
            f"const_{d}_loss": jnp.square(seen(again[d]) - seen(batch[d])).mean(),
            f"gen_{d}_loss": jax.nn.softplus(-logits(fake[d], d)).mean(),
        }
        real, made = logits(batch[d], d), logits(fake[d], d)
        halves = jax.nn.softplus(-real).mean() + jax.nn.softplus(made).mean()
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)
        np.testing.assert_allclose(judged[f"disc_{d}_loss"], 0.5 * halves, rtol=1e-4)
        # Held-out images are measured as the loss does.
        sums = tiny.eval_step(vivid, state, batch)
        mean = sums[f"const_{d}_sum"] / sums[f"const_{d}_count"]
        np.testing.assert_allclose(mean, wanted[f"const_{d}_loss"], rtol=1e-4)


def test_translation_does_not_depend_on_the_batch():
    gan = tiny.gan()
    state, _ = tiny.train_step(gan, tiny.state(gan), tiny.batch(updates=gan.updates))
    x = tiny.batch(8)["a"]
    for direction in ("ab", "ba"):
        together = tiny.translate(gan, state, x, direction)
        alone = jnp.concatenate(
            [tiny.translate(gan, state, x[i : i + 1], direction) for i in range(8)]
        )
        np.testing.assert_allclose(together, alone, atol=1e-6)
        in_training = tiny.translate(gan, state, x, direction, train=True)
        assert (
            jnp.abs(in_training[:4] - tiny.translate(gan, state, x[:4], direction, True)).max()
            > 1e-3
        )


def test_running_statistics_are_those_of_real_images():
    gan = tiny.gan()
    state, batch = tiny.state(gan), tiny.batch()
    after, _ = tiny.g_step(gan, state, batch)
    variables = {"params": state.gen.params["ab"], "batch_stats": state.gen.batch_stats["ab"]}
    _, expected = gan.generator.apply(variables, batch["a"], True, mutable=["batch_stats"])
    assert_close(after.gen.batch_stats["ab"], expected["batch_stats"], 1e-6)
    after, _ = tiny.d_step(gan, state, batch)
    variables = {"params": state.dis.params["a"], "batch_stats": state.dis.batch_stats["a"]}
    _, expected = gan.discriminator.apply(variables, batch["a"], True, mutable=["batch_stats"])
    assert_close(after.dis.batch_stats["a"], expected["batch_stats"], 1e-6)


def test_the_total_is_the_weighted_sum_and_the_rate_counts_updates():
    gan = tiny.gan()
    w = gan.weights
    state, batch = tiny.state(gan), tiny.batch()
    for update, rate in ((0, 0.1), (3, 0.1), (4, 0.4), (100, 0.4)):
        now = state.replace(updates=jnp.asarray(update, jnp.int32))
        m = tiny.g_step(gan, now, batch)[1]
        expected = sum(
            (1 - rate) * (w.adversarial * m[f"gen_{t}_loss"] + w.feature * m[f"fm_{t}_loss"])
            + rate * w.reconstruction * m[f"const_{s}_loss"]
            + w.identity * m[f"identity_{t}_loss"]
            for s, t in ("ab", "ba")
        )
        np.testing.assert_allclose(m["gen_loss"], expected, rtol=1e-5)
    # Without a cycle there is nothing to weigh the other terms against.
    assert replace(gan, objective="gan").balance(state.updates) == (1, 1)
    plain = replace(gan, weights=replace(w, rate=None, rate_start=None, feature=0.0, identity=0.0))
    m = tiny.g_step(plain, state, batch)[1]
    terms = sum(0.5 * m[f"gen_{d}_loss"] + m[f"const_{d}_loss"] for d in "ab")
    np.testing.assert_allclose(m["gen_loss"], terms, rtol=1e-5)
    assert set(m) == {"gen_loss", *(f"{k}_{d}_loss" for k in ("gen", "const") for d in "ab")}


class Twice(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return 2 * x * self.param("scale", nn.initializers.ones, ())


class ThreeMaps(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = x * self.param("scale", nn.initializers.ones, ())
        return x.mean((1, 2, 3)), (x, 2 * x, 3 * x)


def test_skipped_feature_maps_are_the_first_ones_and_identity_is_of_the_target():
    batch = tiny.batch()
    distance = losses.feature_matching([batch["b"]], [2 * batch["a"]])
    for skip, times in ((0, 1 + 4 + 9), (1, 4 + 9)):
        weights = losses.LossWeights(feature=1.0, identity=1.0, feature_skip=skip)
        gan = DiscoGAN(Twice(), ThreeMaps(), tiny.SGD, tiny.SGD, weights, "gan")
        state = create_state(jax.random.key(0), gan, (tiny.SIZE, tiny.SIZE, 3))
        _, (m, _) = steps.generator_loss(gan, state, state.gen.params, batch)
        np.testing.assert_allclose(m["fm_b_loss"], times * distance, rtol=1e-5)
        # Twice an image differs from it by the image.
        np.testing.assert_allclose(m["identity_b_loss"], jnp.square(batch["b"]).mean(), rtol=1e-5)


def test_batches_that_nothing_couples_are_one_and_come_apart_again(monkeypatch):
    networks = [make(tiny.SIZE, width=8) for make in models.RECIPES["best"]]
    weights = losses.LossWeights(feature=0.5, identity=2.0, colour=3.0)
    gan = DiscoGAN(*networks, tiny.SGD, tiny.SGD, weights)
    state, batch = create_state(jax.random.key(0), gan, (tiny.SIZE, tiny.SIZE, 3)), tiny.batch()

    sizes = []
    apply = steps._apply

    def noted(module, params, stats, x):
        sizes.append(len(x))
        return apply(module, params, stats, x)

    def both():
        sizes.clear()
        return [update(gan, state, batch) for update in (steps.d_step, steps.g_step)], [*sizes]

    monkeypatch.setattr(steps, "_apply", noted)
    mixed, of_mixed = both()
    n = len(batch["a"])
    # Translations, judgements of both; then, in each direction, translation and identity,
    # judgements of translations and of real images, and reconstruction.
    assert of_mixed == [n, n, 2 * n, 2 * n] + 2 * [2 * n, n, n, n]
    assert steps._couples(nn.Dense(1))  # of another kind, which may
    monkeypatch.setattr(steps, "_couples", lambda _: True)
    apart, of_apart = both()
    assert {*of_apart} == {n}
    assert_close(mixed, apart)


def test_l2_is_added_to_the_gradient_before_adam():
    params, grads = {"w": jnp.asarray([2.0, -1.0])}, {"w": jnp.asarray([0.5, 0.25])}
    tx = Adam(0.1, 0.5, 0.999, l2=0.3)
    updates, _ = tx.update(grads, tx.init(params), params)
    bare = optax.adam(0.1, 0.5, 0.999)
    total = {"w": grads["w"] + 0.3 * params["w"]}
    expected, _ = bare.update(total, bare.init(params), params)
    assert_equal(updates, expected)


def system(schedule, rate=1e-3):
    """Everything anew, as each command and each run of a sweep makes it from its settings."""
    return replace(
        tiny.gan.__wrapped__(),
        gen_tx=Adam(rate, 0.5, 0.999),
        dis_tx=Adam(2e-4, 0.5, 0.999, 1e-5),
        schedule=schedule(),
    )


@pytest.mark.parametrize(
    "schedule",
    [lambda: None, lambda: Schedule(optax.cosine_decay_schedule, (1.0, 10))],
    ids=["constant", "schedule"],
)
def test_equal_settings_are_compiled_once(schedule, monkeypatch):
    traced = []
    generator_loss = steps.generator_loss
    monkeypatch.setattr(
        steps, "generator_loss", lambda *a, **kw: (traced.append(1), generator_loss(*a, **kw))[1]
    )

    @partial(jax.jit, static_argnums=0)
    def train_step(gan, state, batches):
        return steps.train_step(gan, state, batches)

    for _ in range(2):
        gan = system(schedule)
        fresh = create_state(jax.random.key(0), gan, (tiny.SIZE, tiny.SIZE, 3))
        train_step(gan, fresh, tiny.batch(updates=gan.updates))
    assert len(traced) == gan.g_updates
    assert system(schedule) == gan != system(schedule, 2e-3)


def test_a_schedule_scales_the_updates_of_a_cycle_alone():
    """With half the rate, half the way; the state keeps its layout, and Adam's part its values."""
    adam = Adam(1e-3, 0.5, 0.999)
    plain = tiny.gan(tx=adam)
    falling = replace(plain, schedule=Schedule(optax.linear_schedule, (1.0, 0.0, 4)))
    before, batch = tiny.state(plain), tiny.batch()
    assert_equal(before, tiny.state(falling))
    before = before.replace(step=jnp.int32(2))
    for step, player in ((tiny.d_step, "dis"), (tiny.g_step, "gen")):
        (whole, _), (half, _) = (step(gan, before, batch) for gan in (plain, falling))
        start, whole, half = (getattr(state, player) for state in (before, whole, half))
        assert_equal(half.opt_state, whole.opt_state)
        assert_close(
            half.params, jax.tree.map(lambda a, b: (a + b) / 2, start.params, whole.params)
        )


@pytest.mark.parametrize("l2", [0.0, 1e-5])
def test_the_optimizers_state_is_that_of_earlier_checkpoints(l2):
    params = {"ab": {"kernel": jnp.ones((2, 2))}}
    names = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree.leaves_with_path(Adam(2e-4, 0.5, 0.999, l2).init(params))
    ]
    adam = "1/0" if l2 else "0"
    assert names == [f"{adam}/count", f"{adam}/mu/ab/kernel", f"{adam}/nu/ab/kernel"]


def test_a_cycle_is_its_updates_in_turn():
    gan = tiny.gan(d_updates=2, g_updates=3)
    state, batches = tiny.state(gan), tiny.batch(updates=5)
    after, metrics = tiny.train_step(gan, state, batches)
    for i in range(5):
        update = tiny.d_step if i < 2 else tiny.g_step
        state, m = update(gan, state, {d: x[i] for d, x in batches.items()})
        if i in (1, 4):
            assert_equal(m, {k: metrics[k] for k in m})
    assert_equal(after.gen.params, state.gen.params)
    assert (int(after.step), int(after.updates)) == (1, 5)


def test_uint8_images_are_floats_in_zero_to_one():
    gan = tiny.gan()
    state = tiny.state(gan)
    bytes_ = {d: (x * 255).round().astype(jnp.uint8) for d, x in tiny.batch().items()}
    floats = {d: x.astype(jnp.float32) / 255 for d, x in bytes_.items()}
    assert_close(tiny.g_step(gan, state, bytes_), tiny.g_step(gan, state, floats), 1e-6)


def test_many_cycles_in_one_dispatch_are_the_same_cycles():
    gan = tiny.gan(ema_decay=0.9, schedule=Schedule(optax.linear_schedule, (1.0, 0.0, 4)))
    state = tiny.state(gan)
    pictures = {d: (x * 255).astype(jnp.uint8) for d, x in tiny.batch(12).items()}
    order = Order((12, 12), 4, gan.updates, flip=True)
    data = DeviceDataset(images=pictures, seed=jnp.asarray([7], jnp.uint32), order=order)
    several, metrics = jax.jit(steps.train_steps, static_argnums=0)(gan, state, data, 3)
    for i in range(3):
        words = jnp.asarray([7], jnp.uint32), jnp.asarray([i], jnp.uint32)
        state, last = tiny.train_step(gan, state, order.batches(pictures, *words))
    assert int(several.step) == 3
    assert_close(several, state, 1e-4)
    assert_close(metrics, last, 1e-4)


def test_averages_follow_the_generators_and_are_what_translates():
    gan = tiny.gan(ema_decay=0.5)
    state, batch = tiny.state(gan), tiny.batch()
    # The warm-up: at update 1 the decay is 2 / 11; its end: at update 9 it would be 10 / 19.
    for updates, decay in ((8, 0.5), (0, 2 / 11)):
        after, _ = tiny.g_step(gan, state.replace(updates=jnp.int32(updates)), batch)
        expected = jax.tree.map(
            lambda old, new, d=decay: d * old + (1 - d) * new,
            (state.gen.params, state.gen.batch_stats),
            (after.gen.params, after.gen.batch_stats),
        )
        assert_close((after.ema, after.ema_stats), expected, 1e-6)
    with_average = tiny.translate(gan, after, batch["a"])
    # Both the parameters and the statistics.
    for name in ("ema", "ema_stats"):
        without = tiny.translate(gan, after.replace(**{name: None}), batch["a"])
        assert jnp.abs(with_average - without).max() > 1e-4
    gen = after.gen.replace(params=after.ema, batch_stats=after.ema_stats)
    bare = after.replace(gen=gen, ema=None, ema_stats=None)
    np.testing.assert_array_equal(tiny.translate(gan, bare, batch["a"]), with_average)


def test_evaluation_adds_up():
    gan = tiny.gan()
    state, batch = tiny.state(gan), tiny.batch(6)
    whole = tiny.eval_step(gan, state, batch)
    parts = [
        tiny.eval_step(gan, state, {d: x[i] for d, x in batch.items()})
        for i in (slice(0, 4), slice(4, 6))
    ]
    assert_close(whole, jax.tree.map(lambda a, b: a + b, *parts))
    assert whole["const_a_count"] == 6
    back = tiny.translate(gan, state, tiny.translate(gan, state, batch["a"]), "ba")
    np.testing.assert_allclose(
        whole["const_a_sum"] / 6, losses.reconstruction(back, batch["a"]), rtol=1e-5
    )


def test_bfloat16_trains_towards_the_same():
    gan = tiny.gan()
    low = replace(
        gan,
        generator=gan.generator.clone(dtype=jnp.bfloat16),
        discriminator=gan.discriminator.clone(dtype=jnp.bfloat16),
    )
    state, batch = tiny.state(gan), tiny.batch(16)
    for step in (tiny.d_step, tiny.g_step):
        (full, m), (half, n) = step(gan, state, batch), step(low, state, batch)
        assert {x.dtype for x in jax.tree.leaves((half.gen, half.dis, n))} == {jnp.dtype("float32")}
        assert_close(m, n, 0.05)
        sides = ("gen" if step is tiny.g_step else "dis",)
        for side in sides:
            change = [
                jnp.concatenate(
                    [
                        (x - y).ravel()
                        for x, y in zip(
                            *(jax.tree.leaves(getattr(s, side).params) for s in (after, state)),
                            strict=True,
                        )
                    ]
                )
                for after in (full, half)
            ]
            cosine = change[0] @ change[1] / jnp.linalg.norm(change[0]) / jnp.linalg.norm(change[1])
            assert cosine > 0.98


def test_the_same_key_makes_the_same_state_and_no_buffer_twice():
    gan = tiny.gan(ema_decay=0.9)
    one, two = (create_state(jax.random.key(3), gan, (16, 16, 3)) for _ in range(2))
    assert_equal(one, two)
    assert differs(one.gen.params["ab"], one.gen.params["ba"])
    assert differs(one.gen.params["ab"]["down_0"], one.dis.params["a"]["down_0"])
    after, _ = steps.g_step_jit(gan, one, tiny.batch())  # donates: a shared buffer would raise
    assert differs(after.gen.params, two.gen.params)
