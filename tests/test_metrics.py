import colorsys
import functools

import numpy as np
import pytest
from scipy import linalg, stats
from skimage.metrics import (
    mean_squared_error,
    peak_signal_noise_ratio,
    structural_similarity,
)

from discogan_jax.evaluation.metrics import (
    baselines,
    checkerboard,
    colour,
    diversity,
    features,
    intervals,
    pairwise,
    reconstruction,
    sliced_wasserstein,
)
from discogan_jax.evaluation.metrics.attribute_correlation import (
    _wrapped,
    against_random,
    circular_correlation,
    correlation,
    hue_error,
    map_correlation,
    map_error,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(count=4, side=32, seed=0):
    return rng(seed).random((count, side, side, 3), np.float32)


def smooth(count=8, side=32, seed=0):
    """Images with a texture and an overall colour, all different."""
    random = rng(seed)
    waves = random.normal(size=(count, 2, 3)) * 4
    y, x = np.mgrid[:side, :side] / side
    waves = np.sin(
        waves[:, 0, None, None] * x[..., None]
        + waves[:, 1, None, None] * y[..., None]
        + random.random((count, 1, 1, 3)) * 6
    )
    return (0.5 + 0.4 * waves).astype(np.float32)


fast_swd = functools.partial(sliced_wasserstein.distances, patches=32, directions=64)


class TestReconstruction:
    def test_equal_images(self):
        x = smooth()
        values = reconstruction.paired(x, x)
        np.testing.assert_array_equal(values["l1"], 0)
        np.testing.assert_array_equal(values["mse"], 0)
        np.testing.assert_array_equal(values["psnr"], np.inf)
        np.testing.assert_allclose(values["ssim"], 1, rtol=1e-12)

    def test_constant_difference(self):
        x = np.full((2, 16, 16, 3), 0.25, np.float32)
        values = reconstruction.paired(x, x + np.float32(0.5))
        np.testing.assert_allclose(values["l1"], 0.5)
        np.testing.assert_allclose(values["mse"], 0.25)
        np.testing.assert_allclose(values["psnr"], 10 * np.log10(4))
        # Only the luminance term is left: (2·0.25·0.75 + C1) / (0.25² + 0.75² + C1).
        np.testing.assert_allclose(values["ssim"], (0.375 + 1e-4) / (0.625 + 1e-4))

    @pytest.mark.parametrize("shape", [(3, 32, 32, 3), (2, 24, 17, 3), (1, 11, 11, 1)])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_agrees_with_scikit_image(self, shape, dtype):
        random = rng(1)
        x = random.random(shape).astype(dtype)
        y = np.clip(0.7 * x + 0.3 * random.random(shape), 0, 1).astype(dtype)
        values = reconstruction.paired(x, y)
        for i, (a, b) in enumerate(zip(x.astype(float), y.astype(float), strict=True)):
            ssim = structural_similarity(
                a,
                b,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                data_range=1,
                channel_axis=-1,
            )
            assert values["ssim"][i] == pytest.approx(ssim, abs=1e-9)
            assert values["mse"][i] == pytest.approx(mean_squared_error(a, b), rel=1e-6)
            psnr = peak_signal_noise_ratio(a, b, data_range=1)
            assert values["psnr"][i] == pytest.approx(psnr, rel=1e-6)

    def test_symmetric_in_range_and_alone_as_in_a_batch(self):
        x, y = noise(70, 12), smooth(70, 12)  # more than one chunk
        values, swapped = reconstruction.paired(x, y), reconstruction.paired(y, x)
        last = reconstruction.paired(x[-1:], y[-1:])
        for name, value in values.items():
            assert value.shape == (70,)
            np.testing.assert_allclose(value, swapped[name], rtol=1e-12)
            np.testing.assert_allclose(value[-1:], last[name], rtol=1e-12)
        assert (np.abs(values["ssim"]) <= 1).all()

    def test_inverted_image_has_negative_ssim(self):
        x = noise(2, 16)
        assert (reconstruction.ssim(x, 1 - x) < -0.8).all()

    def test_small_images_have_no_ssim(self):
        with pytest.raises(ValueError, match="11×11"):
            reconstruction.ssim(noise(1, 10), noise(1, 10))

    def test_shuffled_pairs_are_worse_than_true_ones(self):
        x = smooth(8)
        y = np.clip(x + 0.05 * (noise(8) - 0.5), 0, 1)
        true = reconstruction.paired(x, y)
        chance = reconstruction.paired(x, y[baselines.derangement(len(y))])
        assert true["ssim"].mean() > chance["ssim"].mean() + 0.2
        assert true["l1"].max() < chance["l1"].min()
        again = reconstruction.paired(x, y[baselines.derangement(len(y))])
        np.testing.assert_array_equal(chance["l1"], again["l1"])

    @pytest.mark.parametrize("count", [2, 3, 10, 101])
    def test_derangement(self, count):
        for seed in range(20):
            order = baselines.derangement(count, seed)
            assert sorted(order) == list(range(count))
            assert (order != np.arange(count)).all()
        np.testing.assert_array_equal(order, baselines.derangement(count, seed))

    def test_no_derangement_of_one(self):
        with pytest.raises(ValueError, match="at least two"):
            baselines.derangement(1)


class TestSlicedWasserstein:
    def test_equal_sets_are_zero_apart_at_every_level(self):
        x = noise(4, 64)
        values = fast_swd(x, x)
        assert list(values) == ["64", "32", "16", "mean"]
        assert set(values.values()) == {0.0}

    @pytest.mark.parametrize(
        ("height", "width", "levels"),
        [(8, 8, ["8"]), (31, 64, ["31"]), (32, 64, ["32", "16"]), (48, 48, ["48", "24"])],
    )
    def test_levels(self, height, width, levels):
        x = rng().random((2, height, width, 3))
        assert list(fast_swd(x, x)) == [*levels, "mean"]

    def test_symmetric_and_seeded(self):
        x, y = noise(4), smooth(4)
        assert fast_swd(x, y) == fast_swd(y, x)
        assert fast_swd(x, y) != fast_swd(x, y, seed=1)

    def test_same_in_chunks(self, monkeypatch):
        x, y = noise(5), smooth(5)
        whole = fast_swd(x, y)
        monkeypatch.setattr(sliced_wasserstein, "_IMAGES", 2)
        monkeypatch.setattr(sliced_wasserstein, "_DIRECTIONS", 5)
        assert fast_swd(x, y) == pytest.approx(whole, rel=1e-5)

    def test_order_matters_no_more_than_the_seed(self):
        x, y = noise(40), smooth(40)
        values = fast_swd(x, y)["mean"], fast_swd(x[::-1].copy(), y)["mean"]
        assert values[0] == pytest.approx(values[1], rel=0.02)

    def test_near_halves_and_far_textures(self):
        real = smooth(60)
        reference = baselines.between_halves(fast_swd, real)
        first, second = baselines.halves(len(real))
        blocks = real[first, ::4, ::4].repeat(4, 1).repeat(4, 2)
        assert fast_swd(blocks, real[second])["32"] > 1.5 * reference["32"]
        assert fast_swd(noise(30), real[second])["mean"] > 1.5 * reference["mean"]

    def test_tint_shows_in_coarse_levels(self):
        x = 0.5 * smooth(6)
        tinted = x + np.array([0.3, 0, 0], np.float32)
        values = fast_swd(x, tinted)
        assert values["16"] > 0.1
        assert values["32"] == pytest.approx(0, abs=1e-4)  # details have no tint

    def test_both_sets_are_normalised_together(self):
        x, y = (rng(seed).normal(seed, 1 + seed, (20, 3, 4)).astype(np.float32) for seed in (0, 1))
        sliced_wasserstein._normalise(x, y)
        both = np.concatenate([x, y])
        np.testing.assert_allclose(both.mean((0, 2)), 0, atol=1e-6)
        np.testing.assert_allclose(both.std((0, 2)), 1, rtol=1e-5)
        # So that contrast and brightness of all images together do not count.
        x, y = noise(4), smooth(4)
        assert fast_swd(0.5 * x + 0.2, 0.5 * y + 0.2) == pytest.approx(fast_swd(x, y), rel=1e-3)

    def test_constant_images(self):
        flat = np.full((4, 32, 32, 3), 0.3, np.float32)
        assert fast_swd(flat, flat)["mean"] == 0
        # From normal projections of variance 2 (1 over both sets) to their mean: √2·√(2/π).
        assert fast_swd(flat, noise(4))["32"] == pytest.approx(2 / np.sqrt(np.pi), rel=0.1)

    def test_pyramid_adds_up_to_the_image(self):
        x = noise(2, 32)
        coarse = sliced_wasserstein._detail(x, 1, last=True)
        up = [2 * sliced_wasserstein._blur(32)[:, ::2]] * 2
        rebuilt = sliced_wasserstein._detail(x, 0, last=False) + sliced_wasserstein._resample(
            coarse, *up
        )
        np.testing.assert_allclose(rebuilt, x, atol=1e-6)
        flat = np.full((1, 32, 32, 3), 0.7, np.float32)
        np.testing.assert_allclose(sliced_wasserstein._detail(flat, 0, last=False), 0, atol=1e-6)

    def test_distance_of_projections(self):
        x, y = (rng(seed).normal(size=(20, 3, 4)).astype(np.float32) for seed in (0, 1))
        value = sliced_wasserstein._sliced(x, y, 3, rng(2))
        along = rng(2).standard_normal((3, 12))
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        pairs = ((d @ x.reshape(20, -1).T, d @ y.reshape(20, -1).T) for d in along)
        expected = np.mean([stats.wasserstein_distance(*pair) for pair in pairs])
        assert value == pytest.approx(expected, rel=1e-5)

    def test_images_smaller_than_a_patch(self):
        with pytest.raises(ValueError, match="7×7"):
            fast_swd(noise(2, 6), noise(2, 6))
        with pytest.raises(ValueError, match="2 and 3 images"):
            fast_swd(noise(2), noise(3))

    @pytest.mark.parametrize("count", [2, 9, 10])
    def test_halves(self, count):
        first, second = baselines.halves(count)
        assert len(first) == len(second) == count // 2
        assert len(set(first) | set(second)) == count // 2 * 2

    def test_one_image_has_no_halves(self):
        with pytest.raises(ValueError, match="halved"):
            baselines.halves(1)


class TestCheckerboard:
    def test_is_the_power_at_quarters_of_the_sampling_frequency(self):
        x, y = noise(5, 24)[:, :, :16], smooth(7, 24)[:, :, :16]
        grid = np.zeros((24, 16), bool)
        grid[::6, ::4] = True
        grid[0, 0] = False
        ours, theirs = ((np.abs(np.fft.fft2(z, axes=(1, 2))) ** 2).mean((0, 3)) for z in (x, y))
        expected = (ours / theirs)[grid].mean()
        assert checkerboard.grid_energy(x, y) == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize(("period", "seen"), [(2, True), (4, True), (8, False)])
    def test_sees_what_repeats_every_two_or_four_pixels(self, period, seen):
        real, x = smooth(200), smooth(200, seed=1)
        board = np.cos(2 * np.pi * np.indices((32, 32)).sum(0) / period)
        printed = x + 0.01 * board[:, :, None]
        usual, found = (checkerboard.grid_energy(images, real) for images in (x, printed))
        assert usual == pytest.approx(1, abs=0.3)
        assert (found > 3) == seen

    def test_sizes_that_do_not_divide_are_refused(self):
        with pytest.raises(ValueError, match="multiples of 4, not 8×10"):
            checkerboard.grid_energy(np.zeros((1, 8, 10, 3)), np.zeros((1, 8, 10, 3)))


class TestDensityCoverage:
    def test_equal_sets(self):
        x = rng().normal(size=(40, 5))
        density, coverage = features.density_coverage(x, x)
        assert coverage == 1
        assert density == pytest.approx((5 + 1) / 5)  # k neighbours and the sample itself

    def test_sets_apart(self):
        x = rng().normal(size=(40, 5))
        assert features.density_coverage(x, x + 100) == (0, 0)

    def test_fakes_of_one_of_two_modes(self):
        random = rng()
        first, second, fake = random.normal(size=(3, 100, 2))
        real = np.concatenate([first, second + 50])
        density, coverage = features.density_coverage(real, fake)
        assert density > 0.8
        assert 0.35 < coverage <= 0.5

    def test_by_hand(self):
        real = np.array([[0.0], [1.0], [3.0], [7.0]])  # reach 1, 1, 2, 4 with k = 1
        fake = np.array([[1.5], [4.5], [20.0]])
        # 1.5 is in the balls of 1 and 3; 4.5 in those of 3 and 7; 20 in none.
        assert features.density_coverage(real, fake, k=1) == (4 / 3, 3 / 4)

    def test_repeats_are_near_themselves_far_from_the_origin(self):
        x = np.repeat(rng().normal(size=(5, 64)) + 1000, 4, axis=0)  # radii are 0
        assert features.density_coverage(x, x[::-1].copy(), k=3).coverage == 1

    def test_independent_of_order_and_blocks(self, monkeypatch):
        x, y = rng(0).normal(size=(50, 3)), rng(1).normal(size=(70, 3)) * 1.5
        whole = features.density_coverage(x, y)
        monkeypatch.setattr(pairwise, "_ROWS", 7)
        shuffled = x[rng().permutation(50)], y[rng().permutation(70)]
        assert features.density_coverage(*shuffled) == whole

    def test_too_few_samples(self):
        x = rng().normal(size=(3, 2))
        with pytest.raises(ValueError, match="neighbour number 3"):
            features.density_coverage(x, x, k=3)


class TestDistances:
    def test_frechet_of_equal_and_shifted_sets(self):
        x = rng().normal(size=(60, 8))
        assert features.frechet_distance(x, x).value == pytest.approx(0, abs=1e-9)
        shifted = features.frechet_distance(x, x + 0.5).value
        assert shifted == pytest.approx(8 * 0.25)

    @pytest.mark.parametrize(("count", "size"), [(300, 4), (20, 50), (20, 20)])
    def test_frechet_closed_form_of_diagonal_gaussians(self, count, size):
        # Whitened and scaled: the sample covariances are exactly diagonal, of full rank or not.
        random = rng()
        x = random.normal(size=(count, size))
        u = np.linalg.svd(x - x.mean(0), full_matrices=False)[0]
        rank = min(count - 1, size)
        u = u[:, :rank] * np.sqrt(count - 1)
        a, b = random.random((2, rank)) + 0.5
        means = random.normal(size=(2, rank))
        value = features.frechet_distance(u * a + means[0], u * b + means[1]).value
        assert value == pytest.approx(np.square(means[0] - means[1]).sum() + ((a - b) ** 2).sum())

    def test_frechet_agrees_with_the_matrix_root(self):
        x = rng(0).normal(size=(80, 6)) @ rng(1).normal(size=(6, 6))
        y = rng(2).normal(size=(50, 6)) + 0.3
        cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        root = linalg.sqrtm(cov_x @ cov_y).real
        expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(cov_x + cov_y - 2 * root)
        value = features.frechet_distance(x, y).value
        assert value == pytest.approx(expected)
        assert features.frechet_distance(y, x).value == pytest.approx(value)
        assert features.frechet_distance(x[::-1].copy(), y).value == pytest.approx(value)

    def test_frechet_of_constant_outputs(self):
        x, flat = rng().normal(size=(50, 10)), np.zeros((50, 10))
        value = features.frechet_distance(x, flat).value
        expected = np.square(x.mean(0)).sum() + x.var(0, ddof=1).sum()
        assert value == pytest.approx(expected)

    def test_kernel_distance_is_the_sum_over_pairs(self):
        x, y = rng(0).normal(size=(6, 3)), rng(1).normal(size=(8, 3))

        def kernel(a, b):
            return (a @ b / 3 + 1) ** 3

        def pairs(s):
            return np.mean(
                [kernel(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]
            )

        expected = pairs(x) + pairs(y) - 2 * np.mean([[kernel(a, b) for b in y] for a in x])
        assert features.kernel_distance(x, y).value == pytest.approx(expected)

    @pytest.mark.parametrize(("n", "m"), [(20, 120), (60, 15)])
    @pytest.mark.parametrize(("apart", "least", "most"), [(0, 1, 1.3), (0.5, 0.85, 1.15)])
    def test_error_of_the_kernel_distance_is_what_it_varies_by(self, n, m, apart, least, most):
        random = rng(n)
        found = [
            features.kernel_distance(
                random.normal(size=(n, 16)) + apart, random.normal(size=(m, 16))
            )
            for _ in range(300)
        ]
        values, _, highs = np.array(found).T
        errors = (highs - values) / intervals.student(min(n, m))
        assert least < np.sqrt(np.square(errors).mean()) / values.std() < most
        assert min(e.high for e in found) > 0
        assert min(e.low for e in found) == 0

    def test_kernel_distance_is_unbiased(self):
        values = [
            features.kernel_distance(*rng(seed).normal(size=(2, 20, 3))).value
            for seed in range(200)
        ]
        error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values)) < 3 * error
        assert min(values) < 0 < max(values)

    @pytest.mark.parametrize("measure", [features.kernel_distance, features.frechet_distance])
    def test_interval_holds_the_value_and_tells_sets_apart(self, measure):
        x, y = rng(0).normal(size=(100, 4)), rng(1).normal(size=(100, 4))
        near, far = measure(x, y), measure(x, y + 1)
        for estimate in (near, far):
            assert max(estimate.low, 0) <= max(estimate.value, 0) < estimate.high
        assert near.high < far.low
        assert measure(x, y) == near

    def test_too_few_samples(self):
        x = rng().normal(size=(3, 2))
        with pytest.raises(ValueError, match="give at least 4"):
            features.kernel_distance(x, x)
        with pytest.raises(ValueError, match="covariance"):
            features.frechet_distance(x[:1], x)


class TestIntervals:
    @pytest.mark.parametrize("count", [2, 4, 8, 20, 100])
    def test_means(self, count):
        draws = rng(count).normal(3, 2, size=(1500, count))
        low, high = np.array([intervals.of_mean(values) for values in draws]).T
        assert ((low < 3) & (high > 3)).mean() == pytest.approx(0.95, abs=0.02)
        expected = stats.ttest_1samp(draws[0], 0).confidence_interval()
        assert (low[0], high[0]) == pytest.approx(tuple(expected))

    def test_means_without_an_interval(self):
        assert intervals.of_mean(np.array([1.0])) is None
        assert intervals.of_mean(np.array([1.0, np.inf])) is None

    @pytest.mark.parametrize(("hits", "count"), [(0, 8), (3, 8), (8, 8), (99, 100)])
    def test_shares(self, hits, count):
        expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
        assert intervals.of_share(hits / count, count) == pytest.approx(tuple(expected))


class TestDiversity:
    def test_constant_outputs(self):
        x = noise(10)
        flat = np.full((10, 32, 32, 3), 0.3, np.float32)
        assert diversity.diversity_ratio(flat, x) == pytest.approx(0, abs=1e-6)
        assert diversity.distinct_neighbours(flat, x) == 0.1

    def test_equal_outputs_but_for_rounding(self):
        one = noise(1).repeat(10, 0)
        assert diversity.diversity_ratio(one, noise(10)) == 0

    def test_two_kinds_of_output(self):
        x = smooth(10)
        y = x[[0, 1] * 5]
        assert diversity.distinct_neighbours(y, x) == 0.2
        assert diversity.diversity_ratio(y, x) > 0

    def test_healthy_outputs(self):
        x = smooth(10)
        assert diversity.diversity_ratio(x, x) == 1
        assert diversity.diversity_ratio(x[::-1].copy(), x) == pytest.approx(1)
        assert diversity.diversity_ratio(0.5 * x + 0.1, x) == pytest.approx(0.5)
        assert diversity.distinct_neighbours(x, x) == 1

    def test_diversity_by_hand_and_across_sizes(self):
        x = np.array([[0.0], [3.0], [4.0]])
        y = np.array([[0.0, 0.0], [1.0, 1.0]])
        assert diversity.diversity_ratio(y, x) == pytest.approx(1 / ((3 + 4 + 1) / 3))

    def test_fewer_outputs_than_images(self):
        x = smooth(10)
        assert diversity.distinct_neighbours(x[:3], x) == 1
        assert diversity.distinct_neighbours(x, x[:3]) == 1

    def test_nothing_to_compare(self):
        x = noise(3)
        assert np.isnan(diversity.diversity_ratio(x, np.zeros_like(x)))
        with pytest.raises(ValueError, match="at least two"):
            diversity.diversity_ratio(x[:1], x)
        with pytest.raises(ValueError, match="no neighbours"):
            diversity.distinct_neighbours(x[:0], x)


def squares(hues, lightness=0.5, saturation=1.0, side=32):
    images = np.ones((len(hues), side, side, 3), np.float32)
    for image, hue in zip(images, hues, strict=True):
        image[8:24, 4:20] = colorsys.hls_to_rgb(hue / 360, lightness, saturation)
    return images


class TestColour:
    HUES = np.array([0.0, 17, 60, 95, 120, 179, 180, 240, 300, 359])

    @pytest.mark.parametrize("lightness", [0.2, 0.5, 0.8])
    def test_squares(self, lightness):
        found = colour.foreground_colour(squares(self.HUES, lightness, 0.7))
        np.testing.assert_allclose(_wrapped(found.hue - self.HUES), 0, atol=1e-4)
        assert ((found.hue >= 0) & (found.hue < 360)).all()
        np.testing.assert_allclose(found.lightness, lightness, atol=1e-6)
        expected = 0.7 * (1 - abs(2 * lightness - 1))
        np.testing.assert_allclose(found.chroma, expected, atol=1e-6)

    def test_hue_error_of_squares(self):
        hues = [colour.foreground_colour(squares(self.HUES + turn)).hue for turn in (0, 25)]
        assert hue_error(*hues) == pytest.approx(25, abs=1e-3)

    def test_mask(self):
        image = squares([200.0])
        image[0, 0, 0] = 0.95  # noise
        image[0, 0, 1] = 0.5  # grey
        mask = colour.foreground(image)
        assert mask[0, 8:24, 4:20].all()
        assert mask.sum() == 16 * 16 + 1

    def test_hue_is_undefined_without_colour(self):
        white = np.ones((1, 8, 8, 3), np.float32)
        found = colour.foreground_colour(np.concatenate([white, 0.4 * white]))
        assert np.isnan(found.hue).all()
        assert np.isnan(found.lightness[0])
        assert found.lightness[1] == pytest.approx(0.4)

    def test_opposite_hues_cancel_and_greys_do_not_count(self):
        image = squares([90.0])
        image[:, 8:24, 20:28] = 0.3
        assert colour.foreground_colour(image).hue == pytest.approx(90, abs=1e-3)
        image = squares([90.0])
        image[:, 8:24, 4:12] = colorsys.hls_to_rgb(270 / 360, 0.5, 1)
        assert np.isnan(colour.foreground_colour(image).hue)

    def test_mean_goes_the_short_way_round(self):
        image = squares([350.0])
        image[:, 8:24, 4:12] = colorsys.hls_to_rgb(20 / 360, 0.5, 1)
        assert colour.foreground_colour(image).hue == pytest.approx(5, abs=1e-3)

    def test_warmth_and_mean_chroma_by_hand(self):
        image = np.ones((1, 4, 4, 3))
        image[0, 0, 0] = 0.5, 0.4, 0.1  # warm
        image[0, 3, 2] = 0.2, 0.2, 0.4  # cool
        image[0, 1] = 0.6  # grey, four pixels
        image[0, 2, 0] = 1, 1, 0.95  # background
        found = colour.foreground_colour(np.concatenate([image, np.ones_like(image)]))
        assert found.warmth[0] == pytest.approx((0.4 - 0.2) / 6)
        assert found.mean_chroma[0] == pytest.approx((0.4 + 0.2) / 6)
        assert np.isnan([found.warmth[1], found.mean_chroma[1]]).all()
        np.testing.assert_array_equal(colour.is_neutral(found), [False, False])
        # Opposite hues cancel out in the chroma of the whole, not in the mean chroma.
        found = colour.foreground_colour(np.ones((1, 2, 2, 3)) * [[[0.8, 0, 0]], [[0, 0.8, 0.8]]])
        assert (found.chroma[0], found.mean_chroma[0]) == pytest.approx((0, 0.8))

    def test_border_by_hand(self):
        grey = np.zeros((1, 6, 5, 1))
        grey[0, 2:4, 2] = 1  # inside
        grey[0, 1, 3] = 0.7
        found = colour.border(grey)
        assert (found.lightness[0], found.chroma[0]) == (pytest.approx(0.7 / 28), 0)
        image = np.ones((1, 6, 5, 3))
        image[0, 5, 4] = 0.3, 0.1, 0.9
        found = colour.border(image)
        assert found.lightness[0] == pytest.approx(27.5 / 28)
        assert found.chroma[0] == pytest.approx(0.8 / 28)
        # All of an image may be border.
        assert colour.border(image[:, :3, :4]).lightness == pytest.approx(1)

    def test_independent_of_batch(self, monkeypatch):
        images = np.concatenate([squares(self.HUES), smooth(6)])
        whole = colour.foreground_colour(images)
        monkeypatch.setattr(colour, "_CHUNK", 3)
        for value, again in zip(whole, colour.foreground_colour(images), strict=True):
            np.testing.assert_array_equal(value, again)


class TestAttributeCorrelation:
    HUES = rng(3).random(200) * 360

    def test_hue_error(self):
        assert hue_error(np.array([350.0, 10]), np.array([10.0, 350])) == 20
        assert hue_error(np.array([0.0]), np.array([180.0])) == 180
        assert hue_error(self.HUES, self.HUES + 720) == pytest.approx(0, abs=1e-9)

    def test_hue_error_of_random_pairs(self):
        result = against_random(hue_error, self.HUES, self.HUES)
        assert result.value == 0
        assert result.random == pytest.approx(90, abs=2)

    @pytest.mark.parametrize("x", [HUES, 40 + HUES / 10], ids=["all around", "narrow"])
    def test_circular_correlation_of_rotations_and_reflections(self, x):
        for y, expected in ((x, 1), ((x + 123) % 360, 1), ((77 - x) % 360, -1)):
            assert circular_correlation(x, y) == pytest.approx(expected)
            assert circular_correlation(y, x) == pytest.approx(expected)

    def test_circular_correlation_of_nothing(self):
        result = against_random(circular_correlation, self.HUES, self.HUES)
        assert abs(result.random) < 0.02
        constant = np.full(200, 33.3)
        assert circular_correlation(self.HUES, constant) == 0
        assert circular_correlation(constant, self.HUES) == 0

    def test_circular_correlation_of_narrow_angles_is_pearsons(self):
        x, y = rng().multivariate_normal([50, 350], [[4, 3], [3, 9]], 500).T
        expected = correlation(x, y)
        found = circular_correlation(x, y % 360)
        assert found == pytest.approx(expected, abs=0.01)

    def test_circular_correlation_holds_for_even_angles(self):
        # Mean directions of even angles are drawn by chance: with them a good map looks random.
        x = np.arange(0, 360, 3.0)
        y = x + rng().normal(size=len(x)) * 20
        assert circular_correlation(x, y) > 0.85

    def test_pearson(self):
        x, y = rng(0).normal(size=(2, 50))
        assert correlation(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
        assert correlation(x, 3 - 2 * x) == pytest.approx(-1)
        assert correlation(x * 1e-6, y * 1e-6) == pytest.approx(correlation(x, y))
        assert correlation(x, np.full(50, 0.1)) == 0
        assert correlation(x, np.zeros(50)) == 0

    def test_undefined_values_are_left_out(self):
        x, y = self.HUES.copy(), self.HUES.copy()
        x[:10] = np.nan
        y[5:20] = np.nan
        result = against_random(hue_error, x, y)
        assert result.value == 0
        nothing = against_random(hue_error, x[:10], y[:10])
        assert np.isnan(nothing.value)

    def test_seeded(self):
        run = functools.partial(
            against_random,
            hue_error,
            self.HUES,
            self.HUES,
        )
        assert run() == run()
        assert run().random != run(seed=1).random

    @pytest.mark.parametrize("mirrored", [False, True])
    @pytest.mark.parametrize("spread", [1.0, 0.1])
    def test_exact_angle_maps(self, mirrored, spread):
        x = self.HUES * spread
        y = (100 + (-x if mirrored else x)) % 360
        assert map_correlation(x, y) == pytest.approx(1)
        assert map_error(x, y) == pytest.approx(0, abs=1e-6)

    def test_angle_map_with_noise(self):
        y = 30 - self.HUES + rng().normal(size=200) * 10
        measures = (map_correlation, map_error)
        kept, rmse = (against_random(measure, self.HUES, y % 360) for measure in measures)
        assert rmse.value == pytest.approx(10, rel=0.15)
        assert kept.value > 0.9
        # Unrelated angles: 360/√12 degrees, a little less for the better of two directions.
        assert 95 < rmse.random < 104
        assert abs(kept.random) < 0.15

    def test_angle_map_of_constant_outputs(self):
        constant = np.full(200, 70.0)
        measures = (map_correlation, map_error)
        kept, rmse = (against_random(measure, self.HUES, constant) for measure in measures)
        assert kept == (0, 0)
        assert rmse.value == pytest.approx(rmse.random)
