"""The order of the images, and that every feed follows it."""

import itertools
import tracemalloc

import jax
import numpy as np
import pytest

from discogan_jax import host
from discogan_jax.data import feed
from discogan_jax.data.order import Order, permute
from discogan_jax.errors import InputError

SEED = np.asarray([5], np.uint32)


def word(n):
    return np.asarray([n], np.uint32)


@pytest.mark.parametrize("size", [1, 2, 3, 100, 4099])
def test_permute_is_a_bijection_and_numpy_and_jax_agree(size):
    index = np.arange(size, dtype=np.uint32)
    one, two = permute(index, size, word(1)), permute(index, size, word(2))
    assert sorted(one) == sorted(two) == list(index)
    assert size < 4 or list(one) != list(two)
    ours = jax.jit(lambda i: permute(i, size, jax.numpy.asarray(word(1))))(index)
    np.testing.assert_array_equal(ours, one)


def test_every_place_is_equally_likely():
    size, draws = 20, 4000
    keys = np.arange(draws, dtype=np.uint32)[:, None]
    places = permute(np.arange(size, dtype=np.uint32)[None], size, keys)
    counts = np.stack([np.bincount(places[:, i], minlength=size) for i in range(size)])
    expected = draws / size
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    freedom = (size - 1) ** 2
    assert abs(chi_squared - freedom) < 5 * np.sqrt(2 * freedom)
    neighbours = np.abs(np.diff(places.astype(int), axis=1)) == 1
    assert abs(neighbours.mean() - 2 / size) < 0.01


def test_no_image_twice_in_an_epoch_or_a_batch():
    order = Order(sizes=(23, 31), batch_size=5, updates=3)
    for domain, size in (("a", 23), ("b", 31)):
        stream = np.concatenate([order.indices(SEED, word(s), domain) for s in range(40)])
        assert all(len(set(batch)) == 5 for batch in stream)
        per_epoch = size // 5
        epochs = [stream[i : i + per_epoch].ravel() for i in range(0, 120, per_epoch)]
        for epoch in epochs:
            assert len(set(epoch)) == len(epoch)
        assert all(list(x) != list(y) for x, y in itertools.pairwise(epochs))
        assert set(np.concatenate(epochs)) == set(range(size))
    assert not np.array_equal(
        *(Order((30, 30), 5, 3).indices(SEED, word(0), domain) for domain in "ab")
    )


def test_the_order_depends_on_seed_and_step_alone():
    order = Order((50, 60), 4, 3, flip=True)
    late = order.indices(SEED, word(17), "a")
    for s in range(17):
        order.indices(SEED, word(s), "a")
    np.testing.assert_array_equal(order.indices(SEED, word(17), "a"), late)
    assert not np.array_equal(order.indices(word(6), word(17), "a"), late)
    one, other_seed, other_domain = (
        np.stack([order.flips(seed, word(s), domain) for s in range(200)])
        for seed, domain in ((SEED, "b"), (word(6), "b"), (SEED, "a"))
    )
    assert abs(one.mean() - 0.5) < 0.05
    for other in (other_seed, other_domain):
        assert abs((one == other).mean() - 0.5) < 0.05


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(InputError, match=r"batch_size is 40.* only 31 training images"):
        Order((31, 50), 40, 3)


@pytest.mark.parametrize("margin", [(0, 0), (3, 4), (0, 2)])
def test_every_place_of_a_cut_is_equally_likely(margin):
    order = Order((40, 40), 16, 5, margin=margin)
    crops = np.stack([order.crops(SEED, word(s), "a") for s in range(250)])
    rows, columns = margin[0] + 1, margin[1] + 1
    assert crops.shape == (250, 5, 16, 2)
    counts = np.zeros((rows, columns))
    np.add.at(counts, (crops[..., 0], crops[..., 1]), 1)
    expected = 250 * 5 * 16 / (rows * columns)
    chi_squared, freedom = ((counts - expected) ** 2 / expected).sum(), rows * columns - 1
    assert chi_squared <= freedom + 5 * np.sqrt(2 * freedom)


def test_cuts_depend_on_seed_and_step_alone_and_leave_indices_and_flips_as_they_are():
    order = Order((50, 60), 8, 3, flip=True, margin=(5, 5))
    crops = np.stack([order.crops(SEED, word(s), "b") for s in range(300)]).astype(int)
    np.testing.assert_array_equal(order.crops(SEED, word(7), "b"), crops[7])
    assert not np.array_equal(order.crops(word(6), word(7), "b"), crops[7])
    assert not np.array_equal(order.crops(SEED, word(7), "a"), crops[7])
    # Mirrored images, and those in the same place of other batches, are cut like all others.
    flips = np.stack([order.flips(SEED, word(s), "b") for s in range(300)])
    draws = np.stack([flips, crops[..., 0], crops[..., 1]]).reshape(3, -1)
    correlations = [*np.corrcoef(draws)[np.triu_indices(3, 1)]]
    correlations += [np.corrcoef(x[:-24], x[24:])[0, 1] for x in draws]
    assert np.abs(correlations).max() < 5 / np.sqrt(draws.shape[1])
    without = Order((50, 60), 8, 3, flip=True)
    for method in ("indices", "flips"):
        one, other = (getattr(x, method)(SEED, word(7), "b") for x in (order, without))
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {d: rng.integers(0, 256, (n, 8, 8, 3), np.uint8) for d, n in (("a", 20), ("b", 26))}


@pytest.mark.parametrize("flip", [False, True])
def test_both_feeds_give_the_same_batches_from_any_start(arrays, flip):
    order = Order((20, 26), 4, 3, flip)
    on_device = feed.device_feed(feed.device_dataset(arrays, order, 5), 2)
    on_host = feed.tf_feed(arrays, order, 5, start=2, stop=9)
    for step in range(2, 9):
        expected = feed.host_batches(arrays, order, 5, step)
        assert expected["a"].shape == (3, 4, 8, 8, 3)
        chosen = arrays["a"][order.indices(SEED, word(step), "a")]
        mirrored = order.flips(SEED, word(step), "a")[:, :, None, None, None] & flip
        np.testing.assert_array_equal(
            expected["a"], np.where(mirrored, chosen[:, :, :, ::-1], chosen)
        )
        for batches in (next(on_device), next(on_host)):
            jax.tree.map(np.testing.assert_array_equal, batches, expected)
    assert next(on_host, None) is None


def test_both_feeds_cut_the_same_parts_of_larger_mapped_images(tmp_path):
    rng, larger = np.random.default_rng(0), {}
    for d, n in (("a", 20), ("b", 26)):
        pictures = rng.integers(0, 256, (n, 11, 7, 5), np.uint8)
        np.save(tmp_path / f"{d}.npy", pictures)
        larger[d] = np.load(tmp_path / f"{d}.npy", mmap_mode="r")
    order = Order((20, 26), 4, 3, flip=True, margin=(3, 2))
    on_device = feed.device_feed(feed.device_dataset(larger, order, 5), 2)
    on_host = feed.tf_feed(larger, order, 5, start=2, stop=5)
    for step in range(2, 5):
        expected = feed.host_batches(larger, order, 5, step)
        assert expected["b"].shape == (3, 4, 8, 5, 5)
        which, crops, flips = (
            f(SEED, word(step), "b") for f in (order.indices, order.crops, order.flips)
        )
        for place in np.ndindex(3, 4):
            top, left = crops[place]
            part = larger["b"][which[place], top : top + 8, left : left + 5]
            part = part[:, ::-1] if flips[place] else part
            np.testing.assert_array_equal(expected["b"][place], part)
        for batches in (next(on_device), next(on_host)):
            jax.tree.map(np.testing.assert_array_equal, batches, expected)


@pytest.mark.parametrize("margin", [(0, 0), (3, 2)])
def test_rows_of_a_process_are_those_of_the_global_batch(arrays, margin):
    order = Order((20, 26), 4, 3, flip=True, margin=margin)
    whole = order.gather(arrays["b"], SEED, word(3), "b")
    halves = [
        order.gather(arrays["b"], SEED, word(3), "b", rows) for rows in (slice(2), slice(2, 4))
    ]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1), whole)
    [fed] = feed.tf_feed(arrays, order, 5, start=3, stop=4, rows=slice(2, 4))
    np.testing.assert_array_equal(fed["b"], halves[1])


def test_an_epoch_costs_a_step_nothing_that_grows_with_it():
    order = Order((10**7, 10**7), 16, 3, flip=True)
    one = np.zeros((1, 2, 2, 3), np.uint8)
    images = {d: np.broadcast_to(one, (10**7, 2, 2, 3)) for d in "ab"}
    tracemalloc.start()
    batches = feed.host_batches(images, order, 5, 10**6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert batches["a"].shape == (3, 16, 2, 2, 3)
    assert peak < 2**17  # a byte for each picture would be 80 times as much


def test_the_feed_is_chosen_by_size(arrays, monkeypatch):
    assert feed.choose("auto", arrays)[0] == "device"
    assert feed.choose("tf", arrays)[0] == "tf"
    small = host.Memory(10_000, 0, "a limit")
    monkeypatch.setattr(feed.host, "device_memory", lambda device: small)
    assert feed.choose("auto", arrays)[0] == "tf"
