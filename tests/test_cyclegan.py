"""The challenger is the published CycleGAN, and trains for the time that it is given."""

import numpy as np
import pytest
import runs_here

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402 (after the check that it is there)

from benchmarks import cyclegan  # noqa: E402
from discogan_jax.config import schema  # noqa: E402
from discogan_jax.errors import InputError  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)  # other tests run in parallel


def count(net):
    return sum(p.numel() for p in net.parameters())


def image(seed, size=8):
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (1, 3, size, size))).float()


def test_networks_have_the_published_sizes():
    assert count(cyclegan.generator()) == 7_837_699
    assert count(cyclegan.discriminator()) == 2_764_737
    judge = cyclegan.discriminator(width=4)
    for side, logits in ((256, 30), (70, 6), (32, 2), (cyclegan.LEAST_SIDE, 1)):
        assert judge(torch.zeros(1, 3, side, side)).shape == (1, 1, logits, logits)
    assert cyclegan.generator(1, 4)(torch.zeros(2, 1, 24, 32)).shape == (2, 1, 24, 32)


def test_a_logit_judges_a_patch_of_70_pixels():
    judge = cyclegan.discriminator(width=2)
    x = torch.zeros(1, 3, 256, 256, requires_grad=True)
    # The norm, which looks at whole images, is left out.
    convolutions = nn.Sequential(*(m for m in judge if not isinstance(m, nn.InstanceNorm2d)))
    convolutions(x)[0, 0, 15, 15].backward()
    (seen,) = x.grad.abs().sum((0, 1, 3)).nonzero(as_tuple=True)
    assert int(seen[-1] - seen[0]) + 1 == 70


def test_initial_weights():
    torch.manual_seed(0)
    for name, p in cyclegan.generator(width=16).named_parameters():
        values = p.detach().numpy()
        assert not values.any() if name.endswith("bias") else abs(values.std() - 0.02) < 0.002


class Scale(nn.Module):
    """A network of one parameter, for losses that can be computed by hand."""

    def __init__(self, factor, offset=0.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.offset = offset

    def forward(self, x):
        return self.factor * x + self.offset


def model_of_scales():
    model = cyclegan.CycleGAN(3, 1, 0)
    scales = {"ab": Scale(0.5), "ba": Scale(3.0), "a": Scale(0.25, 0.5), "b": Scale(-2.0)}
    model.nets = nn.ModuleDict(scales)
    return model


def test_losses_are_those_of_the_paper():
    real = {d: image(i) for i, d in enumerate("ab")}
    a, b = (real[d].numpy().astype(np.float64) for d in "ab")
    terms, fake = model_of_scales().generator_terms(real)
    np.testing.assert_allclose(fake["b"].detach(), 0.5 * a, rtol=1e-6)
    expected = {
        "gen_b": np.mean((-2 * (0.5 * a) - 1) ** 2),
        "gen_a": np.mean((0.25 * (3 * b) + 0.5 - 1) ** 2),
        "cycle_a": 10 * np.mean(np.abs(1.5 * a - a)),
        "cycle_b": 10 * np.mean(np.abs(1.5 * b - b)),
        "identity_b": 5 * np.mean(np.abs(0.5 * b - b)),
        "identity_a": 5 * np.mean(np.abs(3 * a - a)),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name].item(), value, rtol=1e-5, err_msg=name)
    found = model_of_scales().discriminator_terms(real, {"a": real["b"], "b": real["a"]})
    expected = {
        "dis_a": (np.mean((0.25 * a - 0.5) ** 2) + np.mean((0.25 * b + 0.5) ** 2)) / 2,
        "dis_b": (np.mean((-2 * b - 1) ** 2) + np.mean((2 * a) ** 2)) / 2,
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name].item(), value, rtol=1e-5, err_msg=name)


def test_an_update_is_a_step_of_adam_for_all_four_networks():
    model = cyclegan.CycleGAN(3, 2, 0)
    before = {name: p.detach().clone() for name, p in model.nets.named_parameters()}
    model.update({d: image(i, 24) for i, d in enumerate("ab")}, 0.5)
    for name, p in model.nets.named_parameters():
        # Adam's first step is as long as the learning rate where there is a gradient; biases before
        # a norm have none.
        if name.endswith("weight"):
            moved = (p.detach() - before[name]).abs().max().item()
            np.testing.assert_allclose(moved, 0.5 * 2e-4, rtol=0.01, err_msg=name)


def test_passes_that_are_joined_change_nothing():
    net = cyclegan.generator(width=2)
    one, two = image(0), image(1)
    torch.testing.assert_close(net(torch.cat([one, two])), torch.cat([net(one), net(two)]))


def test_the_pool_keeps_fifty_and_returns_half_of_them_later():
    pool = cyclegan.Pool(np.random.default_rng(0))
    returned = [pool.exchange(i) for i in range(2000)]
    assert returned[:50] == [*range(50)]  # while it fills
    later = returned[50:]
    old = [i for i, x in enumerate(later, 50) if x != i]
    assert 0.45 < len(old) / len(later) < 0.55
    assert all(returned[i] < i for i in old)
    # What was taken is gone: the fifty that filled it are returned once more at most.
    assert len(set(later)) == len(later)


class Clock:
    """A clock that iterations advance."""

    now = 0.0

    def __call__(self):
        return self.now


class Slow:
    """A model whose iterations take what is given, and that notes the learning rates."""

    def __init__(self, clock, durations):
        self.clock, self.durations, self.factors, self.seen = clock, iter(durations), [], []

    def update(self, real, factor):
        self.factors.append(factor)
        self.seen.append(real["a"][0, 0, 0, 0].item())
        self.clock.now += next(self.durations)


def train(durations, seconds, points=5, images=7):
    clock, recorded = Clock(), []
    model = Slow(clock, durations)

    def record(step):
        recorded.append(step)
        clock.now += 1000.0  # is not counted

    data = {d: np.arange(images, dtype=np.uint8)[:, None, None, None] for d in "ab"}
    cyclegan.train(model, data, seconds, points, record, 0, clock)
    return model, recorded


def test_the_rate_is_constant_and_then_falls_to_zero():
    model, recorded = train([0.5] * 100, 50.0)
    assert recorded == [20, 40, 60, 80, 100]
    assert model.factors[:51] == [1.0] * 51
    np.testing.assert_allclose(model.factors[50:], np.arange(1, 0, -0.02), atol=1e-9)


def test_pauses_of_the_machine_change_little():
    rng = np.random.default_rng(0)
    # Noise, and one iteration in twenty that waits for long; the first is slow, too.
    noisy = 0.5 * rng.uniform(0.9, 1.1, 300) + 20 * (rng.random(300) < 0.05)
    noisy[0] = 3.0
    model, recorded = train(noisy, 50.0)
    np.testing.assert_allclose(recorded, [20, 40, 60, 80, 100], atol=4)
    assert model.factors[-1] < 0.05


def test_images_are_shuffled_and_all_shown():
    model, _ = train([1.0] * 21, 21.0)
    epochs = np.reshape(model.seen, (3, 7))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    for epoch in epochs:
        np.testing.assert_allclose(np.sort(epoch), 2 * np.arange(7) / 255 - 1, atol=1e-6)


def test_bytes_and_numbers_are_translated_alike():
    model = cyclegan.CycleGAN(3, 2, 0)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3), dtype=np.uint8)
    made = model.translate(pixels, "ab")
    assert made.shape == pixels.shape
    assert 0 <= made.min() < made.max() <= 1
    np.testing.assert_array_equal(model.translate(np.float32(pixels) / 255, "ab"), made)
    assert not np.array_equal(model.translate(pixels, "ba"), made)


def test_images_that_are_too_small_are_refused(tmp_path):
    data = runs_here.write_arrays(tmp_path / "data")
    settings = schema.from_config(runs_here.config(data))  # 16 pixels
    with pytest.raises(InputError, match="at least 24 pixels, in multiples of 4, not 16"):
        cyclegan.run(settings, 2, 1.0, 1, tmp_path / "run")
