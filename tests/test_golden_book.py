"""The book's networks and losses against an independent PyTorch run.

The PyTorch run computed in float32. Values agree to 1e-5; gradients, computed in float64 here, pass
through ten layers and batch norms and agree to 3e-3 of their norm.
"""

import functools

import golden_weights as gw
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from discogan_jax import losses, models, steps
from discogan_jax.state import DiscoGAN, Player, TrainState

SGD = optax.sgd(1.0)


def setup(literal):
    """Domain a is shoes, domain b is bags: `ab` makes a bag from a shoe."""
    gan = DiscoGAN(
        models.book_generator(literal=literal), models.book_discriminator(literal=literal), SGD, SGD
    )
    shapes = (gw.book_generator_shapes(), gw.book_discriminator_shapes())
    tensors = [gw.book_tensors(5000 + i, shapes[i // 2]) for i in range(4)]
    variables = [gw.book_variables(t) for t in tensors]

    def player(names, pair):
        params = {n: v["params"] for n, v in zip(names, pair, strict=True)}
        stats = {n: v["batch_stats"] for n, v in zip(names, pair, strict=True)}
        return Player(params=params, batch_stats=stats, opt_state=SGD.init(params))

    zero = np.zeros((), np.int32)
    state = TrainState(
        step=zero,
        updates=zero,
        gen=player(("ab", "ba"), variables[:2]),
        dis=player(("a", "b"), variables[2:]),
    )
    rng = np.random.RandomState(5100)
    shoes, bags = (rng.random_sample((4, 64, 64, 3)).astype(np.float32) for _ in range(2))
    return gan, *jax.tree.map(jnp.asarray, (state, {"a": shoes, "b": bags})), tensors


@pytest.fixture(scope="module", params=[pytest.param("literal", marks=pytest.mark.long), "fixed"])
def case(request):
    gan, state, batch, tensors = setup(request.param == "literal")
    golden = gw.load("book")
    prefix = request.param + "/"
    golden = {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}
    return gan, state, batch, tensors, golden


def check_close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def test_images_and_judgements(case):
    gan, state, batch, _, golden = case
    translate = functools.partial(steps.translate, gan, state, train=True)
    fake_b, fake_a = translate(batch["a"], "ab"), translate(batch["b"], "ba")
    check_close(fake_b, golden["image/gen_b_fake"], 3e-5)
    check_close(fake_a, golden["image/gen_s_fake"], 3e-5)
    check_close(translate(fake_b, "ba"), golden["image/gen_recon_s"], 1e-4)
    check_close(translate(fake_a, "ab"), golden["image/gen_recon_b"], 1e-4)
    for d, letter, fake in (("a", "s", fake_a), ("b", "b", fake_b)):
        variables = {"params": state.dis.params[d], "batch_stats": state.dis.batch_stats[d]}
        for x, name in ((batch[d], "real"), (fake, "fake")):
            (logits, _), _ = gan.discriminator.apply(variables, x, True, mutable=["batch_stats"])
            check_close(logits, golden[f"disc/disc_{letter}_{name}"][:, 0], 1e-4)
    # What the book's code did instead: the same generator twice.
    for d, direction, letter, fake in (("a", "ab", "s", fake_b), ("b", "ba", "b", fake_a)):
        as_coded = losses.reconstruction(translate(fake, direction), batch[d])
        check_close(as_coded, golden[f"loss/const_loss_{letter}_as_coded"], 1e-4)


def gradient(before, after, name):
    """Returns the gradient: SGD with a learning rate of 1 subtracts it."""
    layer, kind = gw.book_path(name)
    return np.asarray(before[layer][kind]) - np.asarray(after[layer][kind])


def check_gradients(golden, key, tensors, before, after):
    for name in tensors:
        actual = gradient(before, after, name)
        gw.check_gradient(actual, golden[f"{key}/{name}"], f"{key}/{name}", 3e-3)


def test_losses_and_gradients(case):
    gan, state, batch, tensors, golden = case
    with jax.enable_x64(True):
        gan, state, batch = gw.in_float64(gan, state, batch)
        after_g, g = jax.jit(steps.g_step, static_argnums=0)(gan, state, batch)
        after_d, d = jax.jit(steps.d_step, static_argnums=0)(gan, state, batch)
    names = {"gen_a_loss": "gen_s_loss", "gen_b_loss": "gen_b_loss", "gen_loss": "gen_loss"}
    names |= {"const_a_loss": "const_loss_s", "const_b_loss": "const_loss_b"}
    names |= {"disc_a_loss": "disc_s_loss", "disc_b_loss": "disc_b_loss", "disc_loss": "disc_loss"}
    for ours, theirs in names.items():
        check_close((g | d)[ours], golden[f"loss/{theirs}"], 2e-5)
    for i, (ours, theirs) in enumerate((("ab", "generator_sb"), ("ba", "generator_bs"))):
        key = f"grad_gen_loss/{theirs}"
        check_gradients(golden, key, tensors[i], state.gen.params[ours], after_g.gen.params[ours])
    for i, (ours, theirs) in enumerate((("a", "discriminator_s"), ("b", "discriminator_b"))):
        key = f"grad_disc_loss/{theirs}"
        check_gradients(
            golden, key, tensors[2 + i], state.dis.params[ours], after_d.dis.params[ours]
        )
