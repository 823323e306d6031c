"""The layers compared with plain ones; the networks' sizes, depths, ranges and types."""

import itertools
import re
from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import linen as nn

from discogan_jax import models
from discogan_jax.ops import convolution, layers, winograd
from discogan_jax.state import create_state

pytestmark = pytest.mark.usefixtures("no_nan")

KEY = jax.random.key(0)


def train(module, variables, x):
    return module.apply(variables, x, True, mutable=["batch_stats"])


PLAIN = {
    "conv": lambda x, k, stride, padding: jax.lax.conv_general_dilated(
        x, k, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    ),
    "conv_transpose": lambda x, k, stride, padding: jax.lax.conv_transpose(
        x, k, (stride, stride), padding, transpose_kernel=True
    ),
}
OURS = {"conv": tiny.conv, "conv_transpose": layers.conv_transpose}
# Odd batches; strides and channels on both sides of each selection threshold; indivisible sizes;
# a kernel whose width is not a multiple of the stride; layers of 48, 80, 96×64 and grey images.
SHAPES = [  # size, channels, kernel, stride, padding
    (6, (3, 20), 4, 2, "SAME"),
    (5, (20, 3), 4, 2, "SAME"),
    (9, (18, 33), 4, 2, "VALID"),
    (10, (18, 33), 4, 2, "VALID"),
    (20, (33, 18), 4, 2, "SAME"),
    (4, (17, 17), 4, 1, "SAME"),
    (9, (40, 18), 4, 1, "SAME"),
    (8, (18, 33), 4, 1, "SAME"),
    (9, (18, 2), 4, 1, "SAME"),
    (4, (5, 1), 4, 1, "VALID"),
    (7, (5, 6), 3, 2, "SAME"),
    ((10, 6), (33, 18), 4, 2, "SAME"),
    ((8, 20), (18, 17), 4, 1, "SAME"),
    ((24, 16), (1, 20), 4, 2, "SAME"),
    ((5, 4), (20, 1), 4, 1, "VALID"),
]


@pytest.fixture
def any_size(monkeypatch):
    """Makes small layers take the forms of large ones, too."""
    monkeypatch.setattr(convolution, "WORTHWHILE", 0)
    monkeypatch.setattr(convolution, "MANY_TILES", 0)


def kernel_shape(name, channels, k):
    return (k, k, *(channels if name == "conv" else channels[::-1]))


def close(actual, expected, tolerance):
    """Asserts closeness, as rounding depends on the order of summation."""
    scale = float(jnp.abs(expected).max()) + 1e-3
    np.testing.assert_allclose(
        np.asarray(actual, np.float64), np.asarray(expected, np.float64), atol=tolerance * scale
    )


def exactly(side, a, b, stride):
    """Computes a side of the convolution in float64 by NumPy, from padded inputs."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    if side == "x":  # from y and the kernel
        B, h, w, _ = a.shape
        x = np.zeros((B, (h - 1) * stride + 4, (w - 1) * stride + 4, b.shape[2]))
        for i, j in itertools.product(range(4), repeat=2):
            rows = slice(i, i + stride * h, stride), slice(j, j + stride * w, stride)
            x[:, rows[0], rows[1]] += a @ b[i, j].T
        return x
    patches = np.lib.stride_tricks.sliding_window_view(a, (4, 4), (1, 2))[:, ::stride, ::stride]
    if side == "y":  # from x and the kernel
        return np.einsum("bhwcij,ijco->bhwo", patches, b, optimize=True)
    return np.einsum("bhwcij,bhwo->ijco", patches, b, optimize=True)


def test_sums_of_winograd_are_never_rounded_to_bfloat16():
    window = convolution.window_of_conv((32, 32), (4, 4), 2, "SAME")
    assert window.winograd_tile(16, jnp.float32, (64, 128))
    assert not window.winograd_tile(16, jnp.bfloat16, (64, 128))


@pytest.mark.parametrize(("tile", "bound"), [(2, 1e-5), (4, 6e-5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_winograds_rounding_is_bounded(tile, bound, stride):
    """Of a large layer: 256 products a sum, 128 positions of each tile."""
    rng = np.random.default_rng(0)
    window = convolution.window_of_conv((32, 32), (4, 4), stride, "SAME")
    x, kernel, y = (
        rng.normal(size=shape).astype(np.float32)
        for shape in ((8, 32, 32, 64), (4, 4, 64, 32), (8, *window.output, 32))
    )
    padded = np.pad(x, [(0, 0), *window.padding, (0, 0)])
    sides = {"x": padded, "kernel": kernel, "y": y}
    for name, function in {
        "y": winograd.conv,
        "x": winograd.conv_transpose,
        "kernel": winograd.conv_kernel_grad,
    }.items():
        given = [side for key, side in sides.items() if key != name]
        if name == "x":
            given.reverse()
        found = np.asarray(jax.jit(partial(function, stride=stride, tile=tile))(*given))
        exact = exactly(name, *given, stride)
        error = np.abs(found - exact).max() / np.sqrt(np.mean(exact**2))
        assert error < bound, (name, error)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(("size", "channels", "k", "stride", "padding"), SHAPES)
def test_convolutions_and_their_gradients_equal_the_plain_forms(
    any_size, name, dtype, size, channels, k, stride, padding
):
    keys = jax.random.split(KEY, 3)
    height, width = (size, size) if isinstance(size, int) else size
    x = jax.random.normal(keys[0], (3, height, width, channels[0]), dtype)
    kernel = jax.random.normal(keys[1], kernel_shape(name, channels, k), dtype)

    def with_gradients(f, x, kernel, cotangent):
        y, pull = jax.vjp(lambda x, kernel: f(x, kernel, stride, padding), x, kernel)
        return y, *pull(cotangent)

    y = jax.eval_shape(lambda x, k: PLAIN[name](x, k, stride, padding), x, kernel)
    cotangent = jax.random.normal(keys[2], y.shape, dtype)
    ours = jax.jit(with_gradients, static_argnums=0)(OURS[name], x, kernel, cotangent)
    # The plain form computes in float32, from the rounded inputs.
    wide = [a.astype(jnp.float32) for a in (x, kernel, cotangent)]
    expected = jax.jit(with_gradients, static_argnums=0)(PLAIN[name], *wide)
    for a, e in zip(ours, expected, strict=True):
        assert a.dtype == dtype
        # 24 significant bits in float32, 8 in bfloat16.
        close(a, e, 1e-5 if dtype == jnp.float32 else 2e-2)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(("size", "stride"), [(4, 2), (12, 1)])
def test_convolutions_have_second_derivatives(any_size, name, size, stride):
    """A gradient penalty, differentiated with respect to the kernel, as in R1."""
    x = jax.random.normal(KEY, (2, size, size, 17))
    kernel = jax.random.normal(KEY, (4, 4, 17, 17))

    def penalty(f, kernel):
        g = jax.grad(lambda x: jnp.sum(jnp.sin(f(x, kernel, stride, "SAME"))))(x)
        return jnp.mean(g**2)

    gradient = jax.jit(jax.grad(penalty, 1), static_argnums=0)
    close(gradient(OURS[name], kernel), gradient(PLAIN[name], kernel), 1e-4)


@pytest.mark.parametrize("name", PLAIN)
def test_convolutions_work_under_transformations(any_size, name):
    f = OURS[name]
    kernel = jax.random.normal(KEY, (4, 4, 16, 16))
    xs = jax.random.normal(KEY, (3, 2, 8, 8, 16))

    def loss(kernel, x):
        return jnp.sum(jnp.sin(f(x, kernel, 2, "SAME")))

    gradient = jax.grad(loss)
    expected = jnp.stack([gradient(kernel, x) for x in xs])
    vmapped = jax.jit(jax.vmap(gradient, (None, 0)))(kernel, xs)
    rematerialized = jax.jit(jax.vmap(jax.grad(jax.checkpoint(loss)), (None, 0)))(kernel, xs)

    @jax.jit
    def scanned(kernel, xs):
        return jax.lax.scan(lambda _, x: (None, gradient(kernel, x)), None, xs)[1]

    exported = jax.export.export(jax.jit(gradient), platforms=("cpu", "cuda"))(kernel, xs[0])
    restored = jax.export.deserialize(exported.serialize())
    for found in (vmapped, rematerialized, scanned(kernel, xs)):
        close(found, expected, 1e-5)
    close(restored.call(kernel, xs[0]), expected[0], 1e-5)
    free = jax.ShapeDtypeStruct((*jax.export.symbolic_shape("batch"), *xs.shape[2:]), xs.dtype)
    exported = jax.export.export(jax.jit(gradient))(kernel, free)
    close(exported.call(kernel, xs[0]), expected[0], 1e-5)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda k: loss(k, xs[0]), (kernel,), (kernel,))


def test_layers_have_the_parameters_of_flax():
    x = jnp.zeros((2, 8, 8, 5))
    ours = layers.ConvTranspose(6, (4, 4)), layers.Conv(6, (4, 4), 2)
    flax = nn.ConvTranspose(6, (4, 4), (2, 2), transpose_kernel=True), nn.Conv(6, (4, 4), 2)
    for a, b in zip(ours, flax, strict=True):
        variables = b.init(KEY, x)
        assert jax.tree.map(jnp.shape, a.init(KEY, x)) == jax.tree.map(jnp.shape, variables)
        close(a.apply(variables, x + 1), b.apply(variables, x + 1), 1e-5)


def configurations(count=60):
    """Settings of ``nn.Conv`` at random: a few that `tiny.conv` has a fast form of, most not."""
    rng = np.random.default_rng(0)
    made = [{"padding": "CIRCULAR"}, {"padding": "same", "strides": 2}, {"kernel_size": (4,)}]
    made += [{"padding": "valid", "kernel_size": (6, 6)}, {"input_dilation": 2, "padding": 3}]

    def pick(*values):
        return values[rng.integers(len(values))]

    while len(made) < count:
        k = pick(1, 2, 3, 4)
        pads = [tuple(map(int, rng.integers(-1, 4, 2))) for _ in range(2)]
        made.append(
            {
                "kernel_size": pick((k, k), (k, k), (k, pick(1, 2, 3, 4))),
                "strides": pick(1, 2, 2, (1, 2), (3, 2)),
                "padding": pick(
                    "SAME", "VALID", "same", "SAME_LOWER", "CIRCULAR", pads, pads, 2, (1, 0)
                ),
                "kernel_dilation": pick(1, 1, 1, 2, (2, 1)),
                "feature_group_count": pick(1, 1, 3),
            }
        )
        if not isinstance(made[-1]["padding"], str):  # Flax has no others with input dilation
            made[-1]["input_dilation"] = pick(1, 1, 2)
    return made


@pytest.mark.parametrize("fields", configurations(), ids=str)
def test_conv_computes_whatever_flax_does(any_size, fields):
    fields = {"kernel_size": (4, 4)} | fields
    size = (5, 8)[-len(fields["kernel_size"]) :]
    x = jax.random.normal(KEY, (2, *size, 18))
    ours, flax = layers.Conv(18, **fields), nn.Conv(18, **fields)
    variables = flax.init(KEY, x)

    def with_gradients(layer, variables, x):
        y, pull = jax.vjp(layer.apply, variables, x)
        return y, *pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    expected = with_gradients(flax, variables, x)
    found = with_gradients(ours, variables, x)
    for a, e in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        assert a.shape == e.shape
        assert a.size == 0 or close(a, e, 1e-5) is None


def test_what_no_convolution_means_is_refused():
    x, kernel = jnp.zeros((1, 8, 8, 3)), jnp.zeros((4, 4, 3, 3))
    for f in OURS.values():
        with pytest.raises(ValueError, match="'SAME', 'SAME_LOWER' or 'VALID', not 'FULL'"):
            f(x, kernel, 2, "FULL")
        with pytest.raises(ValueError, match="must be square, not 4×3"):
            f(x, kernel[:, :3], 2, "SAME")
    with pytest.raises(ValueError, match="not 'FULL'"):
        layers.Conv(3, (4, 4), padding="FULL").init(KEY, x)


def test_resize_conv_is_a_resize_and_a_convolution():
    x = jax.random.normal(KEY, (2, 5, 7, 3))
    layer = layers.ResizeConv(4)
    variables = layer.init(KEY, x)
    large = jax.image.resize(x, (2, 10, 14, 3), "nearest")
    expected = nn.Conv(4, (3, 3)).apply(variables, large)
    close(layer.apply(variables, x), expected, 1e-6)


@pytest.mark.parametrize(("size", "smooth"), [(16, ["out"]), (32, ["out"]), (64, ["out", "up_2"])])
def test_best_generator_is_smooth_where_a_grid_would_be_seen(size, smooth):
    params = shapes(models.best_generator(size, width=4), size)["params"]
    layers_up = [name for name in params if name == "out" or re.fullmatch(r"up_\d", name)]
    assert sorted(n for n in layers_up if params[n]["kernel"].shape[:2] == (3, 3)) == smooth
    # Nothing is normalized, so that every layer of the generator has biases.
    assert all(layer.keys() == {"kernel", "bias"} for layer in params.values())
    for make in models.RECIPES["best"]:
        assert "batch_stats" not in shapes(make(size, width=4), size)


def test_best_generator_of_earlier_runs_normalizes_its_hidden_layers():
    variables = shapes(models.best_generator(32, width=4, batch_norm=True), 32)
    assert sorted(variables["batch_stats"]) == [
        "down_1_norm", "down_2_norm", "up_0_norm", "up_1_norm"
    ]  # fmt: skip
    convolutions = {n: x for n, x in variables["params"].items() if not n.endswith("_norm")}
    assert sorted(n for n, x in convolutions.items() if "bias" in x) == ["down_0", "out"]


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
        (models.official_generator(bottleneck=100), 7_153_480),
        (models.official_discriminator(), 2_765_568),
    ],
)
def test_parameter_counts_are_the_published_ones(module, count):
    assert models.count_parameters(shapes(module, 64)["params"]) == count


def test_depth_follows_the_image_size():
    for size, n in ((32, 3), (64, 4), (128, 5), (256, 6)):
        for make in (models.book_generator, models.official_generator):
            generator = make(size)
            assert len(generator.features) == n
            width = generator.features[0]
            assert generator.features == tuple(min(width << i, 512) for i in range(n))
            x = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
            y, _ = jax.eval_shape(
                lambda v, x, g=generator: g.apply(v, x, True, mutable=["batch_stats"]),
                shapes(generator, size),
                x,
            )
            assert y.shape == x.shape
        for judge in (models.book_discriminator(size), models.official_discriminator(size)):
            assert "out" in shapes(judge, size)["params"]
    for make in itertools.chain(*models.RECIPES.values()):
        with pytest.raises(ValueError, match=r"is 100x60; nearest: 96x56, 112x64$"):
            make((100, 60))
        with pytest.raises(ValueError, match=r"is 8; nearest: 16$"):
            make(8)


def test_the_nearest_sizes_that_can_be_halved():
    for size, n in (((48, 48), 3), ((80, 80), 4), ((96, 64), 4), ((160, 160), 5), ((256, 512), 6)):
        assert models.levels(size) == n
        assert models.nearest_sizes(size) == (size,)
    assert models.nearest_sizes((60, 60)) == ((56, 56), (64, 64))
    # Rounded up to a smaller side of 64, the larger one must halve four times, not three.
    assert models.nearest_sizes((60, 1000)) == ((56, 1000), (64, 1008))
    assert models.nearest_sizes((66, 5000), 4096) == ((64, 4096), (80, 4096))
    assert models.nearest_sizes((9, 100)) == ((16, 100),)


@pytest.mark.parametrize(
    ("recipe", "size", "channels"),
    [("book", (20, 16), 1), ("official", (16, 28), 5)],
)
def test_networks_learn_on_any_size_and_channels(recipe, size, channels):
    generator, discriminator = models.RECIPES[recipe]
    fields = {"bottleneck": 3} if recipe == "official" else {}
    gan = replace(
        tiny.gan(recipe),
        generator=generator(size, width=4, **fields),
        discriminator=discriminator(image_size=size, width=4),
    )
    state = create_state(KEY, gan, (*size, channels))
    batch = {d: jax.random.uniform(KEY, (2, *size, channels)) for d in "ab"}
    trained, metrics = tiny.g_step(gan, state, batch)
    assert tiny.translate(gan, trained, batch["a"]).shape == batch["a"].shape
    assert all(jnp.isfinite(x) for x in metrics.values())
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), state.gen.params, trained.gen.params)
    assert all(jax.tree.leaves(moved))


def test_a_size_that_does_not_halve_is_refused_and_other_shapes_work():
    generator = models.official_generator(image_size=32, width=4)
    variables = jax.jit(generator.init, static_argnums=2)(KEY, jnp.zeros((1, 32, 32, 3)), True)
    assert generator.apply(variables, jnp.ones((1, 32, 64, 3)), False).shape == (1, 32, 64, 3)
    with pytest.raises(ValueError, match=r"multiples of 8, not 32×60"):
        generator.apply(variables, jnp.ones((1, 32, 60, 3)), False)
    # A logit is the mean of those of all places.
    judge = models.official_discriminator(16, width=4, norm=None)
    x = jax.random.uniform(KEY, (2, 16, 32, 3))
    (logits, _), inner = judge.apply(judge.init(KEY, x, True), x, True, capture_intermediates=True)
    [places] = inner["intermediates"]["out"]["__call__"]
    assert places.shape == (2, 1, 5, 1)
    close(logits, places.mean((1, 2, 3)), 1e-6)


@pytest.mark.parametrize("make", [models.book_discriminator, models.official_discriminator])
def test_without_normalization_every_image_is_judged_by_itself(make):
    judge = make(image_size=32, width=4, norm=None)
    x = jax.random.uniform(KEY, (3, 32, 32, 3))
    variables = judge.init(KEY, x, True)
    assert set(variables) == {"params"}
    logits, activations = judge.apply(variables, x, True)
    alone, activations_alone = judge.apply(variables, x[1:2], True)
    close(alone, logits[1:2], 1e-5)
    for few, many in zip(activations_alone, activations, strict=True):
        close(few, many[1:2], 1e-5)


@cache
def drawn(make, dtype=jnp.float32):
    module = make(image_size=16, width=8, dtype=dtype)
    return module, jax.jit(module.init, static_argnums=2)(KEY, jnp.zeros((8, 16, 16, 3)), True)


@pytest.mark.parametrize("recipe", ["book", "official", "best"])
def test_initial_weights_are_those_of_the_recipe(recipe):
    """Kernels: book's are normal and cut off at two deviations of 0.02, the others are uniform.

    Those of a generator without normalization are normal and cut off, with He's deviation.
    """
    for make in models.RECIPES[recipe]:
        he = make is models.best_generator
        for path, x in jax.tree.leaves_with_path(drawn(make)[1]["params"]):
            name, size = jax.tree_util.keystr(path), np.abs(x).max()
            if x.ndim == 1:
                np.testing.assert_array_equal(x, float(path[-1].key == "scale"), err_msg=name)
            else:
                fan_in = np.prod(x.shape[:-1])
                limit, spread = (0.04, 0.44) if recipe == "book" else (fan_in**-0.5, 3**-0.5)
                if he:
                    # Cut off at two deviations of a normal distribution that is wider by as much.
                    limit, spread = 2 * (2 / fan_in) ** 0.5 / 0.87962566, 0.44
                assert 0.9 * limit < size <= limit, name
                np.testing.assert_allclose(np.std(x), spread * limit, rtol=0.15, err_msg=name)


@pytest.mark.parametrize("recipe", ["book", "official", "best"])
def test_bfloat16_stays_inside(recipe):
    x = jax.random.uniform(KEY, (8, 16, 16, 3))
    for make in models.RECIPES[recipe]:
        results = {}
        for dtype in (jnp.float32, jnp.bfloat16):
            module, variables = drawn(make, dtype)
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
    """Longer averages lag behind changing weights: translations become bleached or black."""
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
