"""The parts of an evaluation, on images whose truth is known."""

import numpy as np
import pytest

from discogan_jax.data import catalogue
from discogan_jax.data.catalogue import items
from discogan_jax.evaluation import attributes, probe, scores
from discogan_jax.evaluation.metrics import attributes as metrics_attributes
from discogan_jax.evaluation.table import Path, Row, aligned, as_json, markdown, table
from discogan_jax.train.recorder import CollapseDetector

SIDE, TRAIN, VAL = 32, 400, 60
PATH = Path(("bags", "shoes"))


def drawn(kind, first, count):
    described = [items.describe(kind, first + i) for i in range(count)]
    pictures = np.stack([items.draw(item) for item in described])
    blocks = pictures.reshape(count, SIDE, 256 // SIDE, SIDE, 256 // SIDE, 3)
    return blocks.mean((2, 4)).astype(np.uint8), attributes.Facts.of(described)


@pytest.fixture(scope="module")
def shoes():
    return drawn("shoes", 0, TRAIN), drawn("shoes", catalogue.VAL_START, VAL)


@pytest.fixture(scope="module")
def bags():
    return drawn("bags", 0, TRAIN), drawn("bags", catalogue.VAL_START, VAL)


@pytest.fixture(scope="module")
def eyes(shoes):
    return attributes.Eyes.taught(*shoes[0])


@pytest.fixture(scope="module")
def judge(bags, shoes):
    return scores.Judge.taught({"a": bags[0][0], "b": shoes[0][0]})


def by_name(rows):
    return {row.name.split("/")[1]: row for row in rows}


@pytest.mark.long
def test_eyes_read_new_drawings_and_find_everything_kept_in_the_drawings_themselves(shoes, eyes):
    pictures, facts = shoes[1]
    right = by_name(attributes.read_right(eyes, pictures, facts, PATH))
    assert right["read_hue_error"].value < 15
    assert right["read_tilt_error"].value < 4
    assert right["read_pattern"].value > 0.55
    held = by_name(attributes.held(eyes, pictures, facts, PATH))
    assert held["true_hue_error"].value == right["read_hue_error"].value
    assert held["true_hue_error"].reference > 75
    assert held["true_hue_map_correlation"].value > 0.8
    assert held["true_tilt_correlation"].value > 0.8
    for row in held.values():
        assert (row.value > row.reference) == (row.better == "higher"), row


@pytest.mark.long
def test_a_mirrored_or_turned_map_is_kept_but_is_not_the_same(shoes, eyes):
    """Mirrored pictures with another hue: a consistent translation, and not the identity."""
    pictures, facts = shoes[1]
    turned = pictures[:, :, ::-1, [1, 2, 0]]  # hues by 120 degrees
    held = by_name(attributes.held(eyes, turned, facts, PATH))
    assert abs(held["true_hue_error"].value - 120) < 15
    assert held["true_hue_map_error"].value < 40
    assert held["true_tilt_correlation"].value > 0.5  # toes never pointed that way
    same = np.repeat(pictures[:1], len(pictures), 0)  # collapsed: nothing is kept
    for name, row in by_name(attributes.held(eyes, same, facts, PATH)).items():
        if "hue_error" not in name:
            assert abs(row.value - row.reference) < 1e-6, name


def test_labels_are_kept_under_any_renaming():
    x = np.array([0.0, 0, 1, 1, 2, 3])
    assert metrics_attributes.labels_kept(x, (x + 1) % 4) == 1
    assert metrics_attributes.labels_kept(x, np.zeros(6)) == pytest.approx(2 / 6)
    assert metrics_attributes.labels_kept(x, np.array([0.0, 1, 1, 1, 2, 3])) == pytest.approx(5 / 6)


@pytest.mark.long
def test_the_judge_knows_the_domains_and_what_lies_outside_of_them(bags, shoes, judge):
    real_bags, real_shoes = (np.float32(x[1][0]) / 255 for x in (bags, shoes))
    rows = by_name(scores.judged(real_shoes, real_shoes, judge, "b", PATH))
    assert rows["domain_test"].value == rows["domain_test"].reference > 0.9
    assert rows["kernel_distance"].value == rows["kernel_distance"].reference
    low, high = rows["kernel_distance"].interval
    assert low <= rows["kernel_distance"].value <= high
    wrong = by_name(scores.judged(real_bags, real_shoes, judge, "b", PATH))
    assert wrong["domain_test"].value < 0.1
    assert wrong["kernel_distance"].value > 5 * abs(wrong["kernel_distance"].reference)
    assert wrong["coverage"].value < 0.5 * wrong["coverage"].reference
    noise = np.random.default_rng(0).random(real_shoes.shape, np.float32)
    assert by_name(scores.judged(noise, real_shoes, judge, "b", PATH))["coverage"].value < 0.05


def test_colour_is_measured_where_both_domains_have_any(bags, shoes):
    real_bags, real_shoes = (np.float32(x[1][0]) / 255 for x in (bags, shoes))
    grey = real_bags.mean(-1, keepdims=True).repeat(3, -1)
    kept_ = by_name(scores.coloured(real_bags, real_bags, real_shoes, PATH))
    assert kept_["hue_error"].value == 0
    assert kept_["hue_correlation"].value == pytest.approx(1)
    lost = by_name(scores.coloured(grey, real_bags, real_shoes, PATH))
    assert np.isnan(lost["hue_error"].value)  # a generator that makes grey things has lost it
    assert scores.coloured(real_bags, grey, real_shoes, PATH) == []
    assert scores.coloured(real_bags, real_bags, grey, PATH) == []


def test_the_same_seed_gives_the_same_reader(shoes):
    pictures, facts = shoes[0]
    targets = (facts.tilt / 10)[:, None]
    one, same, other = (probe.fit(pictures[:64], targets[:64], seed, 20) for seed in (0, 0, 1))
    new = shoes[1][0]
    np.testing.assert_array_equal(one.read(new), same.read(new))
    assert np.abs(one.read(new) - other.read(new)).max() > 1e-3
    # uint8 and floats of the same images, in any number.
    np.testing.assert_allclose(
        one.read(new[:7].astype(np.float32) / 255), one.read(new)[:7], atol=1e-5
    )
    features = one.features(pictures[:64])
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-4)


def test_drawn_archives_are_described_and_others_are_not(tmp_path):
    paths = catalogue.write_archives(tmp_path, train=12, val=3)
    shoes = paths["edges2shoes"]
    described = catalogue.described(shoes)
    assert [len(described[split]) for split in ("train", "val")] == [12, 3]
    assert described["train"][10] == items.describe("shoes", 10)  # by number, not by name
    assert described["val"][0] == items.describe("shoes", catalogue.VAL_START)
    shoes.write_bytes(shoes.read_bytes() + b" ")  # another archive now
    assert catalogue.described(shoes) is None
    assert catalogue.described(tmp_path / "nothing.tar.gz") is None


def test_table_shows_intervals_and_json_knows_no_infinity():
    rows = [
        PATH.mean("psnr", "PSNR in dB", np.array([20.0, 30.0]), "higher"),
        Row("x/y", "x: y", float("inf"), float("nan"), "nothing", "lower"),
    ]
    text = table(rows)
    assert "bags → shoes: PSNR in dB" in text
    assert "25 (18.07 to 31.93)" in text
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
