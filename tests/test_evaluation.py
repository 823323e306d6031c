"""The parts of an evaluation, on images with known attributes."""

import functools
from unittest import mock

import numpy as np
import pytest

from discogan_jax.config import measures
from discogan_jax.data import catalogue
from discogan_jax.data.catalogue import items
from discogan_jax.evaluation import attributes, probe, scores
from discogan_jax.evaluation.metrics import intervals, sliced_wasserstein
from discogan_jax.evaluation.metrics.attribute_correlation import label_agreement
from discogan_jax.evaluation.metrics.inception import Extractor
from discogan_jax.evaluation.table import Row, aligned, as_json, as_text, markdown
from discogan_jax.train.collapse import CollapseDetector

SIDE, TRAIN, VAL = 32, 400, 60
ROUTE = ("bags", "shoes")


@functools.cache
def drawn(kind, first, count):
    described = [items.describe(kind, first + i) for i in range(count)]
    pictures = np.stack([items.draw(item) for item in described])
    blocks = pictures.reshape(count, SIDE, 256 // SIDE, SIDE, 256 // SIDE, 3)
    return blocks.mean((2, 4)).astype(np.uint8), attributes.Attributes.of(described)


def training(kind):
    return drawn(kind, 0, TRAIN)


def held_out(kind):
    return drawn(kind, catalogue.VAL_START, VAL)


@pytest.fixture(scope="module")
def trained():
    return attributes.AttributeProbe.fit(*training("shoes"))


@pytest.fixture(scope="module")
def classifier():
    return scores.DomainClassifier.fit({"a": training("bags")[0], "b": training("shoes")[0]})


def translations(made, source, target):
    return scores.Translations(ROUTE, source, made, target)


def by_name(rows):
    return {row.name.split("/")[1]: row for row in rows}


def test_a_probe_reads_what_it_was_taught(monkeypatch):
    """In the order of its outputs; here by a network that knows its targets by heart."""

    def fit(images, targets):
        return mock.Mock(spec=probe.Probe, predict=lambda images: targets.astype(np.float32))

    monkeypatch.setattr(probe, "fit", fit)
    pictures, facts = drawn("shoes", 0, 64)
    found = attributes.AttributeProbe.fit(pictures, facts).predict(pictures)
    for name, value in vars(facts).items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-4, err_msg=name)
    assert attributes.tilt_error(facts.tilt, facts.tilt - 3) == pytest.approx(0, abs=1e-9)
    assert attributes.tilt_error(facts.tilt, 7 - facts.tilt) == pytest.approx(0, abs=1e-9)
    assert attributes.tilt_error(facts.tilt, 0 * facts.tilt) == pytest.approx(facts.tilt.std())


@pytest.mark.long
def test_probes_read_new_drawings_and_find_everything_in_the_drawings_themselves(trained):
    pictures, facts = held_out("shoes")
    right = by_name(attributes.probe_accuracy(trained, pictures, facts, ROUTE))
    assert right["read_hue_error"].value < 15
    assert right["read_tilt_error"].value < 4
    assert right["read_pattern"].value > 0.55
    held = by_name(attributes.preserved(trained, pictures, facts, ROUTE))
    assert held["true_hue_error"].value == right["read_hue_error"].value
    assert held["true_hue_error"].reference > 75
    assert held["true_hue_map_correlation"].value > 0.8
    assert held["true_tilt_correlation"].value > 0.8
    for row in held.values():
        assert (row.value > row.reference) == (row.better == "higher"), row


@pytest.mark.long
def test_a_mirrored_or_turned_map_is_kept_but_is_not_the_same(trained):
    """Mirrored pictures with another hue: a consistent translation, and not the identity."""
    pictures, facts = held_out("shoes")
    turned = pictures[:, :, ::-1, [1, 2, 0]]  # hues by 120 degrees
    held = by_name(attributes.preserved(trained, turned, facts, ROUTE))
    assert abs(held["true_hue_error"].value - 120) < 15
    assert held["true_hue_map_error"].value < 40
    assert held["true_tilt_correlation"].value > 0.5  # toes never pointed that way
    same = np.repeat(pictures[:1], len(pictures), 0)  # collapsed: nothing is kept
    for name, row in by_name(attributes.preserved(trained, same, facts, ROUTE)).items():
        if "hue_error" not in name:
            assert abs(row.value - row.reference) < 1e-6, name


def test_labels_are_kept_under_any_renaming():
    x = np.array([0.0, 0, 1, 1, 2, 3])
    assert label_agreement(x, (x + 1) % 4) == 1
    assert label_agreement(x, np.zeros(6)) == pytest.approx(2 / 6)
    assert label_agreement(x, np.array([0.0, 1, 1, 1, 2, 3])) == pytest.approx(5 / 6)


@pytest.mark.long
def test_the_classifier_knows_the_domains_and_what_lies_outside_of_them(classifier):
    real_bags, real_shoes = (np.float32(held_out(x)[0]) / 255 for x in ROUTE)
    rows = by_name(
        scores.measure_domain(translations(real_shoes, real_shoes, real_shoes), classifier, "b")
    )
    assert rows["domain_test"].value == rows["domain_test"].reference > 0.9
    assert rows["kernel_distance"].value == rows["kernel_distance"].reference
    low, high = rows["kernel_distance"].interval
    assert 0 <= low <= max(rows["kernel_distance"].value, 0) <= high  # an estimate may be below 0
    wrong = by_name(
        scores.measure_domain(translations(real_bags, real_bags, real_shoes), classifier, "b")
    )
    assert wrong["domain_test"].value < 0.1
    assert wrong["kernel_distance"].value > 5 * abs(wrong["kernel_distance"].reference)
    assert wrong["coverage"].value < 0.5 * wrong["coverage"].reference
    noise = np.random.default_rng(0).random(real_shoes.shape, np.float32)
    lost = by_name(scores.measure_domain(translations(noise, noise, real_shoes), classifier, "b"))
    assert lost["coverage"].value < 0.05


class OfBrightness(probe.Probe):
    """Takes bright images for b; the feature is the brightness."""

    def __init__(self):
        pass

    def predict(self, images):
        return self.features(images) - 0.5

    def features(self, images):
        return images.mean((1, 2, 3))[:, None].astype(np.float64)


def plain(values):
    """Returns an image of each brightness."""
    return np.float32(values)[:, None, None, None] * np.ones((1, 16, 16, 3), np.float32)


def test_the_judges_answer_and_whose_overlap_is_measured():
    trained = {"a": np.zeros((6, 1)), "b": np.arange(0, 40.0)[:, None]}
    judge = probe.DomainClassifier(OfBrightness(), trained)
    assert [judge.share(plain([0, 0.2, 0.9]), d) for d in "ab"] == pytest.approx([2 / 3, 1 / 3])
    # Ten translations at 0 are in the balls of 0, 1, 2 and 3, of forty.
    t = translations(plain([0] * 10), plain([0] * 10), plain(np.arange(1, 40, 4)))
    rows = by_name(scores.measure_domain(t, judge, "b"))
    assert (rows["density"].value, rows["coverage"].value) == pytest.approx((4 / 5, 4 / 40))
    assert (rows["domain_test"].value, rows["domain_test"].reference) == (0, 1)
    assert rows["domain_test"].interval == pytest.approx((0, 0.2775), abs=1e-4)
    assert "kernel_distance" not in rows  # ten are too few


def everything_about_sets(t, judge):
    mean_colour = Extractor("Inception 2015", True, lambda x: x.mean((1, 2)))
    rows = scores.measure_realism(t) + scores.measure_domain(t, judge, "b")
    return by_name(rows + scores.measure_diversity(t) + scores.measure_features(t, mean_colour))


def test_sets_are_compared_with_others_at_equal_numbers(monkeypatch):
    quick = functools.partial(sliced_wasserstein.distances, patches=16, directions=32)
    monkeypatch.setattr(sliced_wasserstein, "distances", quick)

    def real(count, seed):
        random = np.random.default_rng(seed)
        texture = random.random((count, 16, 16, 3), np.float32)
        return 0.8 * texture + 0.2 * random.random((count, 1, 1, 3), np.float32)

    judge = probe.DomainClassifier(OfBrightness(), {"b": OfBrightness().features(real(200, 0))})
    # Real images as translations are as far from real ones as these are from each other.
    same = real(60, 2)
    t = translations(same, real(60, 1), same)
    for name, row in everything_about_sets(t, judge).items():
        assert row.value == row.reference != 0, name

    # Other real ones are, too, however many there are of each, and in whatever order.
    def sorted_by_brightness(count, seed):
        return np.concatenate([0.5 * real(count, seed), 0.5 * real(count, seed + 1) + 0.5])

    many, few = sorted_by_brightness(100, 3), sorted_by_brightness(30, 5)
    trained = OfBrightness().features(sorted_by_brightness(100, 7))
    judge = probe.DomainClassifier(OfBrightness(), {"b": trained})
    for made, target in ((many, few), (few, many)):
        rows = everything_about_sets(translations(made, made, target), judge)
        for name in ("sliced_wasserstein", "coverage", "distinct_neighbours", "domain_test"):
            assert rows[name].value == pytest.approx(rows[name].reference, rel=0.25), name
        for name in ("kernel_distance", "KID"):
            assert rows[name].value < rows[name].interval[1] > rows[name].reference, name


def test_a_distance_estimated_below_0_is_written_as_less():
    rows = [
        scores.row(ROUTE, "kernel_distance", -0.61, -0.95, "real ones", (0.0, 0.38)),
        scores.row(ROUTE, "kernel_distance", 0.02, 0.01, "real ones", (0.0, 0.05)),
        scores.row(ROUTE, "hue_correlation", -0.25, -0.5, "random pairs"),
    ]
    below, above, correlation = as_text(rows).splitlines()[1:]
    assert " < 0.38 (0 to 0.38)     about 0  real ones" in below
    assert "   0.02 (0 to 0.05)        0.01  real ones" in above
    assert "  -0.25                    -0.5  random pairs" in correlation
    assert as_json(rows)[0]["value"] == -0.61


def test_colour_is_measured_where_both_domains_have_any():
    real_bags, real_shoes = (np.float32(held_out(x)[0]) / 255 for x in ROUTE)
    grey = real_bags.mean(-1, keepdims=True).repeat(3, -1)
    kept = by_name(scores.measure_colour(translations(real_bags, real_bags, real_shoes)))
    assert kept["hue_error"].value == 0
    assert kept["hue_correlation"].value == pytest.approx(1)
    assert kept["warmth_correlation"].value == pytest.approx(1)
    assert abs(kept["warmth_correlation"].reference) < 0.1
    # Colder by as much: what was warm still is the warmer one. All drawings have a colour.
    colder = np.clip(real_bags - np.float32([0.1, 0, -0.1]), 0, 1)
    turned = by_name(scores.measure_colour(translations(real_bags, colder, real_shoes)))
    assert 0.9 < turned["warmth_correlation"].value < 1
    assert kept["neutral_chroma"].reason == (
        "there are 0 translations of grey inputs and 0 grey real ones, and 10 of each are needed"
    )
    lost = by_name(scores.measure_colour(translations(grey, real_bags, real_shoes)))
    assert np.isnan(lost["hue_error"].value)  # a generator that makes grey things has lost it
    assert scores.measure_colour(translations(real_bags, grey, real_shoes)) == []
    assert scores.measure_colour(translations(real_bags, real_bags, grey)) == []


def on_white(colours, side=16):
    """Returns an image per colour: a square of it on white."""
    made = np.ones((len(colours), side, side, 3), np.float32)
    made[:, 4:12, 4:12] = np.float32(colours)[:, None, None]
    return made


RED, BLUE = (0.8, 0.1, 0.2), (0.2, 0.1, 0.8)
GREYS = [(x, x, x + 0.02) for x in np.linspace(0.1, 0.7, 12)]


def test_translations_of_grey_images_are_as_grey_as_real_ones_or_not(recwarn):
    sources, real = on_white(GREYS + 12 * [RED]), on_white(12 * [BLUE] + GREYS)
    same = by_name(scores.measure_colour(translations(sources, sources, real)))["neutral_chroma"]
    assert same.value == same.reference == pytest.approx(0.02)
    assert (same.beside, same.better) == ("grey real ones", "nearer")
    # What becomes of coloured inputs does not count; of grey ones half become colourful.
    made = on_white(6 * [RED] + 18 * [(0.5, 0.5, 0.5)])
    row = by_name(scores.measure_colour(translations(made, sources, real)))["neutral_chroma"]
    assert row.value == pytest.approx(0.7 / 2)
    assert row.interval == pytest.approx(intervals.of_mean(np.repeat([0.7, 0], 6)))
    # White has no foreground: too few translations are left, or none.
    for left in (9, 0):
        made = np.concatenate([sources[:left], np.ones_like(sources[left:])])
        row = by_name(scores.measure_colour(translations(made, sources, real)))["neutral_chroma"]
        assert row.reason == (
            f"there are {left} translations of grey inputs and 12 grey real ones, and 10 of each "
            "are needed"
        )
    assert not recwarn.list


def test_the_border_is_compared_with_that_of_real_images():
    real = on_white([RED, BLUE])
    rows = by_name(scores.measure_border(translations(real, real, real)))
    assert (rows["border_lightness"].value, rows["border_chroma"].value) == (1, 0)
    framed = np.full((3, 16, 16, 3), np.float32([0.75, 0.5, 0.25]))
    framed[1:, 2:14, 2:14] = 0  # two pixels wide
    rows = by_name(scores.measure_border(translations(framed, framed, real)))
    for name, value, usual in (("border_lightness", 0.5, 1), ("border_chroma", 0.5, 0)):
        row = rows[name]
        assert (row.value, row.reference, row.interval) == (value, usual, (value, value))
        assert row.better == "nearer"


def test_measures_have_labels_of_their_own():
    labels = [label for label, _ in measures.MEASURES.values()]
    assert len({*labels}) == len(labels)


def test_the_same_seed_gives_the_same_probe():
    pictures, facts = drawn("shoes", 0, 64)
    targets = (facts.tilt / 10)[:, None]
    one, same, other = (probe.fit(pictures, targets, seed, 20) for seed in (0, 0, 1))
    new = held_out("shoes")[0]
    np.testing.assert_array_equal(one.predict(new), same.predict(new))
    assert np.abs(one.predict(new) - other.predict(new)).max() > 1e-3
    # uint8 and floats of the same images, in any number.
    np.testing.assert_allclose(
        one.predict(new[:7].astype(np.float32) / 255), one.predict(new)[:7], atol=1e-5
    )
    features = one.features(pictures)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-4)


def test_drawn_archives_are_described_and_others_are_not(tmp_path):
    paths = catalogue.write_archives(tmp_path, train=12, val=3)
    shoes = paths["edges2shoes"]
    described = catalogue.recorded_items(shoes)
    assert [len(described[split]) for split in ("train", "val")] == [12, 3]
    assert described["train"][10] == items.describe("shoes", 10)  # by number, not by name
    assert described["val"][0] == items.describe("shoes", catalogue.VAL_START)
    shoes.write_bytes(shoes.read_bytes() + b" ")  # another archive now
    assert catalogue.recorded_items(shoes) is None
    assert catalogue.recorded_items(tmp_path / "nothing.tar.gz") is None


def test_table_shows_intervals_and_json_knows_no_infinity():
    rows = [
        scores.mean_row(ROUTE, "psnr", np.array([20.0, 30.0])),
        Row("x/y", "x: y", float("inf"), float("nan"), "nothing", "lower"),
    ]
    text = as_text(rows)
    assert "bags → shoes: PSNR in dB" in text
    assert "25 (-38.53 to 88.53)" in text  # Student's, of two values
    made = as_json(rows)
    assert made[0]["name"] == "bags_to_shoes/psnr"
    assert made[1]["value"] is made[1]["reference"] is made[1]["interval"] is None


def test_tables_are_aligned_and_escaped():
    cells = [("", "ms"), ("a heading over all of it",), ("  one", "2.50"), ("  eleven|", "12.25")]
    assert aligned(cells, right={1}).splitlines() == [
        "              ms",
        "a heading over all of it",
        "  one       2.50",
        "  eleven|  12.25",
    ]
    assert aligned([("a", "b"), ("cc", "")]) == "a   b\ncc"
    assert markdown([("x", "y"), ("a|b", "")]) == "| x | y |\n|---|---|\n| a\\|b |  |"


def test_the_collapse_detector_is_patient_and_forgets():
    detector = CollapseDetector(min_diversity=0.3, patience=3)
    found = [detector.update({"b": value}) for value in (0.1, 0.1, 0.5, 0.1, 0.1, 0.1, 0.1, 0.9)]
    assert found == [[], [], [], [], [], ["b"], ["b"], []]
    assert CollapseDetector(patience=1).update({"a": 0.0, "b": 1.0}) == ["a"]
