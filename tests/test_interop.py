"""The official PyTorch weights: colours, running statistics, and errors for other networks."""

import golden_weights as gw
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from discogan_jax import interop, models
from discogan_jax.errors import InputError

X = jnp.zeros((1, 64, 64, 3))


def shapes(module):
    return jax.tree.map(
        jnp.shape, jax.eval_shape(lambda k: module.init(k, X, True), jax.random.key(0))
    )


@pytest.mark.parametrize("bottleneck", [None, 100])
def test_shapes_are_those_of_the_networks(bottleneck):
    generator = gw.official_tensors(0, gw.official_generator_shapes(bool(bottleneck)))
    found = jax.tree.map(jnp.shape, interop.generator_from_torch(generator))
    assert found == shapes(models.official_generator(bottleneck=bottleneck))
    discriminator = gw.official_tensors(1, gw.official_discriminator_shapes())
    found = jax.tree.map(jnp.shape, interop.discriminator_from_torch(discriminator))
    assert found == shapes(models.official_discriminator())


@pytest.mark.parametrize(
    ("size", "channels", "bottleneck"), [((48, 48), 1, None), ((24, 16), 3, 3), ((20, 20), 16, 3)]
)
def test_any_size_and_channels_compute_what_pytorch_does(size, channels, bottleneck):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_networks

    nets = torch_networks.networks("official", size, 4, channels, bottleneck=bottleneck).eval()
    rng = np.random.default_rng(0)
    x = rng.random((2, *size, channels), np.float32)
    tensors = {}
    for name, net in nets.items():
        drawn = {n: rng.normal(0, 0.3, t.shape) for n, t in net.state_dict().items() if t.ndim}
        drawn = {n: np.exp(t) if "var" in n else t for n, t in drawn.items()}
        net.load_state_dict({n: torch.from_numpy(t) for n, t in drawn.items()}, strict=False)
        tensors[name] = drawn
    ours = {
        "ab": models.official_generator(size, width=4, bottleneck=bottleneck),
        "b": models.official_discriminator(size, width=4),
    }
    apply = {n: jax.jit(lambda v, x, net=net: net.apply(v, x, False)) for n, net in ours.items()}
    for bgr in (True, False):
        # The authors' networks take and make BGR; grey has no order, nor have other channels.
        turn = -1 if bgr and channels == 3 else 1
        with torch.no_grad():
            given = torch.from_numpy(x[..., ::turn].copy()).permute(0, 3, 1, 2)
            image, (logits, _) = nets["ab"](given).permute(0, 2, 3, 1).numpy(), nets["b"](given)
        assert image.std() > 0.02
        chosen = {} if bgr else {"bgr": False}  # the networks of the authors are the default
        found = apply["ab"](interop.generator_from_torch(tensors["ab"], **chosen), x)
        np.testing.assert_allclose(found, image[..., ::turn], atol=1e-5)
        found, _ = apply["b"](interop.discriminator_from_torch(tensors["b"], **chosen), x)
        np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)


def test_running_statistics_come_along():
    tensors = gw.official_tensors(1, gw.official_discriminator_shapes())
    mean, var = np.arange(128.0), np.arange(128.0) + 1
    extra = {"bn2.running_mean": mean, "bn2.running_var": var, "bn2.num_batches_tracked": 7}
    stats = interop.discriminator_from_torch(tensors | extra)["batch_stats"]
    np.testing.assert_array_equal(stats["down_1_norm"]["mean"], mean)
    np.testing.assert_array_equal(stats["down_1_norm"]["var"], var)
    assert not stats["down_2_norm"]["mean"].any()


def test_other_networks_are_refused_by_name():
    with pytest.raises(InputError, match=r"main.N.weight, found \['fc.weight'\]"):
        interop.generator_from_torch({"fc.weight": np.ones((3, 3))})
    tensors = gw.official_tensors(1, gw.official_discriminator_shapes())
    del tensors["conv2.weight"]
    with pytest.raises(InputError, match="not an official discriminator"):
        interop.discriminator_from_torch(tensors)
    odd = gw.official_tensors(0, gw.official_generator_shapes(False))
    del odd["main.20.weight"]
    with pytest.raises(InputError, match="7 kernels do not pair up"):
        interop.generator_from_torch(odd)
