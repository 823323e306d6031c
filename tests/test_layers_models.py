"""The layers against plain ones, and the networks' sizes, depths, ranges and types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from discogan_jax import layers, models

KEY = jax.random.key(0)


def train(module, variables, x):
    return module.apply(variables, x, True, mutable=["batch_stats"])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(("stride", "padding", "size"), [(2, "SAME", 5), (1, "VALID", 1)])
def test_conv_transpose_and_its_gradients_equal_the_plain_form(dtype, stride, padding, size):
    plain = nn.ConvTranspose(
        6, (4, 4), (stride, stride), padding, transpose_kernel=True, dtype=dtype
    )
    fast = layers.ConvTranspose(6, (4, 4), stride, padding, dtype=dtype)
    x = jax.random.normal(KEY, (3, size, size, 5))
    variables = plain.init(KEY, x)
    assert jax.tree.map(jnp.shape, fast.init(KEY, x)) == jax.tree.map(jnp.shape, variables)

    def loss(module, variables, x):
        y = module.apply(variables, x)
        return jnp.sum(jnp.sin(y.astype(jnp.float32))), y

    results = [
        jax.value_and_grad(lambda v, x, m=m: loss(m, v, x), (0, 1), has_aux=True)(variables, x)
        for m in (plain, fast)
    ]
    # Rounding differs with the order of sums: 24 significant bits in float32, 8 in bfloat16.
    tolerance = 1e-5 if dtype == jnp.float32 else 3e-2
    jax.tree.map(
        lambda p, f: np.testing.assert_allclose(
            np.asarray(f, np.float32),
            np.asarray(p, np.float32),
            atol=tolerance * float(jnp.abs(p).max() + 1),
        ),
        *results,
    )


def test_conv_transpose_has_second_derivatives():
    def penalty(conv_transpose, kernel):
        x = jnp.linspace(-1, 1, 2 * 3 * 3 * 4).reshape(2, 3, 3, 4)
        g = jax.grad(lambda x: jnp.sum(jnp.sin(conv_transpose(x, kernel))))(x)
        return jnp.sum(g**2)

    def plain(x, kernel):
        return jax.lax.conv_transpose(x, kernel, (2, 2), "SAME", transpose_kernel=True)

    kernel = jax.random.normal(KEY, (4, 4, 2, 4))
    ours = jax.grad(lambda k: penalty(lambda x, k: layers.conv_transpose(x, k, 2, "SAME"), k))
    np.testing.assert_allclose(
        ours(kernel), jax.grad(lambda k: penalty(plain, k))(kernel), rtol=1e-4, atol=1e-3
    )


def test_depth_to_space_places_channels():
    x = np.arange(2 * 2 * 3 * 8).reshape(2, 2, 3, 8).astype(np.float32)
    y = np.asarray(layers.depth_to_space(jnp.asarray(x)))
    assert y.shape == (2, 4, 6, 2)
    for dy, dx, c in np.ndindex(2, 2, 2):
        np.testing.assert_array_equal(y[:, dy::2, dx::2, c], x[..., (2 * dy + dx) * 2 + c])


def shapes(module, size):
    return jax.eval_shape(lambda k: module.init(k, jnp.zeros((1, size, size, 3)), True), KEY)


@pytest.mark.parametrize(
    ("module", "count"),
    [
        (models.official_generator(), 5_513_856),
        (models.official_generator(100), 7_153_480),
        (models.official_discriminator(), 2_765_568),
    ],
)
def test_parameter_counts_are_the_published_ones(module, count):
    assert models.count_parameters(shapes(module, 64)["params"]) == count


def test_depth_follows_the_image_size():
    for size, n in ((32, 3), (64, 4), (128, 5), (256, 6)):
        for make in (models.book_generator, lambda **k: models.official_generator(None, **k)):
            generator = make(image_size=size)
            assert len(generator.features) == n
            x = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
            y, _ = jax.eval_shape(
                lambda v, x, g=generator: g.apply(v, x, True, mutable=["batch_stats"]),
                shapes(generator, size),
                x,
            )
            assert y.shape == x.shape
        for judge in (models.book_discriminator(size), models.official_discriminator(size)):
            assert "out" in shapes(judge, size)["params"]
    with pytest.raises(ValueError, match="image_size must be 16, 32, 64"):
        models.book_generator(48)


def test_a_size_that_does_not_halve_is_refused_and_other_shapes_work():
    generator = models.official_generator(image_size=32, width=4)
    variables = jax.jit(generator.init, static_argnums=2)(KEY, jnp.zeros((1, 32, 32, 3)), True)
    assert generator.apply(variables, jnp.ones((1, 32, 64, 3)), False).shape == (1, 32, 64, 3)
    with pytest.raises(ValueError, match=r"multiples of 8, not 32×60"):
        generator.apply(variables, jnp.ones((1, 32, 60, 3)), False)


@pytest.mark.parametrize("recipe", ["book", "official"])
def test_bfloat16_stays_inside(recipe):
    make = {
        "book": (models.book_generator, models.book_discriminator),
        "official": (
            lambda **k: models.official_generator(None, **k),
            models.official_discriminator,
        ),
    }[recipe]
    x = jax.random.uniform(KEY, (8, 16, 16, 3))
    for build in make:
        results = {}
        for dtype in (jnp.float32, jnp.bfloat16):
            module = build(image_size=16, width=8, dtype=dtype)
            variables = jax.jit(module.init, static_argnums=2)(KEY, x, True)
            y, updated = jax.jit(train, static_argnums=0)(module, variables, x)
            assert {leaf.dtype for leaf in jax.tree.leaves((variables, y, updated))} == {
                jnp.dtype(jnp.float32)
            }
            results[dtype] = jax.tree.leaves(y)[0]
        difference = jnp.abs(results[jnp.float32] - results[jnp.bfloat16])
        assert 0 < difference.max() < 0.1


def test_the_literal_generator_is_not_bounded_and_makes_stripes():
    x = jax.random.uniform(KEY, (4, 16, 16, 3)) * 20
    literal = models.book_generator(16, literal=True, kernel_init=nn.initializers.normal(1.0))
    variables = jax.jit(literal.init, static_argnums=2)(KEY, x, True)
    y, _ = jax.jit(train, static_argnums=0)(literal, variables, x)
    assert y.min() >= 0
    assert y.max() > 1
    pixel = jnp.arange(4.0).reshape(1, 1, 1, 4)
    assert layers.stripes(jnp.tile(pixel, (1, 1, 2, 1)))[0, :, :, 0].tolist() == [
        [0, 1, 2, 3],
        [0, 1, 2, 3],
    ]


@pytest.mark.parametrize("recipe", ["book", "official"])
def test_after_thirty_batches_inference_is_what_training_saw(recipe):
    """Averages over more lag behind weights that move: translations come out bleached or black."""
    make = models.book_generator if recipe == "book" else models.official_generator
    net = make(image_size=16, width=4, kernel_init=nn.initializers.normal(0.3))
    x = jax.random.uniform(KEY, (8, 16, 16, 3))
    variables = net.init(KEY, x, True)
    step = jax.jit(lambda v: train(net, v, x))
    for _ in range(30):
        seen, updated = step(variables)
        variables = {**variables, **updated}
    told = net.apply(variables, x, False)
    assert float(seen.std()) > 0.1
    np.testing.assert_allclose(told, seen, atol=0.05)
