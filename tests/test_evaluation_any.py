"""Runs of any shape and of grey pictures are measured; what is undefined is null, with a reason."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import runs_here
from PIL import Image

from discogan_jax import cli, runs, train
from discogan_jax.config.schema import from_config
from discogan_jax.configs import folders
from discogan_jax.data import sources
from discogan_jax.data.sources import Splits
from discogan_jax.errors import InputError
from discogan_jax.evaluation import attributes, evaluate, held_out, probe, scores, table
from discogan_jax.evaluation.metrics.inception import Extractor
from discogan_jax.state import Domains
from discogan_jax.train import sweep, variants, writers

ROUTE = ("edges", "photos")
HEIGHT, WIDTH = 24, 16


def strictly(text):
    """Reads JSON; fails at NaN and infinity, which it does not have."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def pictures(number, channels=3, seed=0):
    return np.random.default_rng(seed).random((number, HEIGHT, WIDTH, channels), np.float32)


def translations(source, made, target):
    return scores.Translations(ROUTE, source, made, target)


def json_lines(folder, start):
    """Opens the one writer that needs no TensorFlow."""
    return writers.JsonLines(folder / "metrics.jsonl", start)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(probe, "fit", partial(probe.fit, steps=2))


@pytest.fixture
def config(tmp_path):
    """Grey rings, and blank pages; three pages are held out and equal those that are trained on."""
    rng = np.random.default_rng(0)
    for split, number in (("train", 9), ("val", 3)):
        for domain in ("rings", "pages"):
            (tmp_path / domain / split).mkdir(parents=True)
        for i in range(number):
            ring = rng.integers(256, size=(HEIGHT, WIDTH), dtype=np.uint8)
            Image.fromarray(ring).save(tmp_path / "rings" / split / f"{i}.png")
            page = Image.new("L", (WIDTH, HEIGHT), 255)
            page.save(tmp_path / "pages" / split / f"{i}.png")
    made = folders.get_config()
    changes = {
        "data.source_a": f"folder:{tmp_path / 'rings'}",
        "data.source_b": f"folder:{tmp_path / 'pages'}",
        "data.data_dir": str(tmp_path / "cache"),
        "data.image_size": f"{HEIGHT}x{WIDTH}",
        "data.channels": 1,
        "data.batch_size": 2,
        "domains": ("rings", "pages"),
        "model.width": 4,
        "train.g_updates": 1,
        "train.steps": 2,
        "train.sample_every": 2,
        "train.evaluate_every": 0,
    }
    made.update_from_flattened_dict(changes)
    return made


def test_a_grey_run_that_is_no_square_with_blank_pictures(quick, config, tmp_path, capsys, caplog):
    run = tmp_path / "run"
    train.train_and_evaluate(config, run, open_writer=json_lines)
    assert caplog.text.count("diversity is null: held-out images of pages are all equal") == 1
    with Image.open(run / "samples" / "00000002.png") as sheet:
        assert sheet.height > sheet.width / 6 * 3 * HEIGHT / WIDTH

    # Files have neither NaN nor infinity.
    lines = [strictly(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["diversity_pages"] is None
    assert lines[-1]["diversity_rings"] == 0  # made of equal pages
    assert cli.main(["evaluate", str(run)]) == 0
    written = strictly((run / "evaluation.json").read_text())
    out = capsys.readouterr().out
    rows = {row["name"]: row for row in written["rows"]}
    diversity = rows["pages_to_rings/diversity"]
    assert (diversity["value"], diversity["reason"]) == (None, "all inputs are equal")
    assert rows["rings_to_pages/diversity"]["value"] is not None
    assert rows["rings_to_pages_to_rings/ssim"]["value"] <= 1
    assert rows["rings_to_pages/border_lightness"]["reference"] == 1
    grid = rows["rings_to_pages/grid_energy"]
    assert (grid["value"], grid["reference"]) == (None, None)
    assert written["left_out"] == dict.fromkeys(
        (*scores.COLOURS, "border_chroma"), "colour needs 3 channels, not 1"
    ) | {
        "kernel_distance": "its error is too large below 20 images; there are 3",
        "distinct_neighbours": "it needs 4 held-out images, not 3",
    }
    assert written["held_out"] == {"rings": 3, "pages": 3}
    few = "few held-out pictures (3 of rings, 3 of pages): below 50, most differences between steps"
    assert sum(text.startswith(few) for text in written["remarks"]) == 1
    assert not written["left_out"].keys() & {name.rpartition("/")[2] for name in rows}
    assert "pages: 3 of 3 held-out pictures are equal to training pictures" in written["remarks"]
    for remark in written["remarks"]:
        assert out.count(remark) == 1
    assert " –  " in out
    assert "undefined (–): pages_to_rings/diversity (all inputs are equal)" in out
    assert "nan" not in out

    # The report, the card and the table of a sweep say so, too.
    change = {"step": 1, "pictures": {"rings": {"came": 2, "went": 0}}}
    (run / "changes.jsonl").write_text(json.dumps(change) + "\n")
    assert cli.main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "24x16 px" in page
    assert "rings: 9 to train on, 3 held out" in page
    assert "from step 1 on: other pictures (rings: 2 came, 0 went)" in page
    assert cli.main(["card", str(run), "--out", str(tmp_path / "card")]) == 0
    card = (tmp_path / "card" / "README.md").read_text()
    assert "24×16 px, grey" in card
    change = "from step 1 on: other pictures (rings: 2 came, 0 went); samples show these"
    assert f"has every setting.\n* {change}\n" in card
    assert "* undefined (–): pages_to_rings/diversity (all inputs are equal)" in card
    assert runs.open(tmp_path / "card").preparations == runs.open(run).preparations
    for path in (tmp_path / "card").rglob("*.json"):
        assert str(tmp_path) not in path.read_text()
    settings = from_config(config)
    job = variants.Job("run", variants.Variant("run", {}), None, run, settings)
    found = sweep._so_far(job, {})
    assert np.isnan(found.measures["pages_to_rings/diversity"])
    assert found.reasons["pages_to_rings/diversity"] == "all inputs are equal"


def test_undefined_measures_have_a_reason():
    x, blank = pictures(8), np.ones((8, HEIGHT, WIDTH, 3), np.float32)
    t = translations(x, blank, blank)
    again = x.copy()
    again[1:] = 0
    found = {row.name.rpartition("/")[2]: row for row in scores.measure_reconstruction(t, again)}
    assert "infinite" in found["psnr"].reason
    assert found["psnr"].interval is found["mse"].reason is None
    same = scores.measure_diversity(translations(blank, x, x))[0]
    assert same.reason == "all inputs are equal"
    # Inputs that are alike correlate with nothing; their error is one all the same.
    hue, equal = np.linspace(0, 350, 8), np.full(8, 120.0)
    row = partial(scores.chance_row, ROUTE)
    correlation, error = scores.attribute_correlation.map_correlation, abs_difference
    assert row("hue_correlation", correlation, equal, hue).reason == "all inputs are alike in it"
    lost = row("hue_correlation", correlation, hue, equal)
    assert lost.value == 0  # outputs that are: nothing kept
    assert row("hue_error", error, equal, hue).reason is None
    nothing = row("hue_error", error, np.full(8, np.nan), hue)
    assert nothing.reason == "0 pairs of input and output have it, and 5 are needed"
    few = row("hue_correlation", correlation, hue[:4], hue[:4])  # pairs agree by chance
    assert np.isnan(few.value)
    assert few.reason.startswith("4 pairs")
    (made,) = table.as_json([nothing])
    assert made["value"] is made["reference"] is None
    assert "nan" not in table.as_text([nothing])


def abs_difference(x, y):
    return float(np.abs(x - y).mean())


def test_the_evaluation_looks_at_500_rows_and_at_true_pairs():
    s = from_config(folders.get_config())
    data = replace(
        s.data,
        source_a="archive:edges2shoes/edges/first",
        source_b="archive:edges2shoes/photo/second",
    )
    unpaired = replace(s, data=replace(data, source_a="folder:a", source_b="folder:b"))

    def loaded(*counts):
        splits = (np.zeros((1, 1, 1, 3), np.uint8), np.zeros((1, 1, 1, 3), np.uint8))
        return {
            d: Splits(splits[0], splits[1].repeat(count, 0), {"leaked": count // 600})
            for d, count in zip("ab", counts, strict=True)
        }

    for paired in (replace(s, data=data), unpaired):
        small = held_out.choose(paired, loaded(500, 70))
        np.testing.assert_array_equal(small["a"], np.arange(500))
        np.testing.assert_array_equal(small["b"], np.arange(70))
    rows = held_out.choose(unpaired, loaded(1312, 700))
    assert [len(np.unique(x)) for x in rows.values()] == [500, 500]
    assert [(x[0], x[-1]) for x in rows.values()] == [(0, 1311), (0, 699)]
    pairs = held_out.choose(replace(s, data=data), loaded(1312, 1300))
    np.testing.assert_array_equal(pairs["a"], pairs["b"])
    assert held_out.remarks(Domains("edges", "photos"), loaded(1312, 500), rows | small) == [
        "edges: 500 of 1,312 held-out pictures, evenly spaced",
        "edges: 2 of 1,312 held-out pictures are equal to training pictures",
        "photos: 70 of 500 held-out pictures, evenly spaced",
    ]


def test_any_number_of_channels(quick):
    domains = Domains(*ROUTE)
    real = {d: pictures(12, 4, seed) for seed, d in enumerate("ab")}
    t = translations(real["a"], real["b"], real["b"])
    judge = scores.DomainClassifier.fit({d: np.uint8(255 * x) for d, x in real.items()})
    rows = scores.measure_reconstruction(t, real["b"]) + scores.measure_realism(t)
    rows += scores.measure_domain(t, judge, "b") + scores.measure_diversity(t)
    rows += scores.measure_pairs(translations(real["a"], real["a"], real["b"]))
    rows += scores.measure_border(t)
    assert all(row.reason is None for row in rows)
    assert scores.measure_colour(t) == []
    left_out = held_out.left_out(domains, real, drawn=True, trained=5)
    unmeasured = {"density", "coverage", "kernel_distance"}
    assert left_out.keys() == {*scores.COLOURS, "border_chroma", *attributes.HUES, *unmeasured}
    assert left_out["hue_error"] == "colour needs 3 channels, not 4"
    grey = {d: pictures(20, 1).repeat(3, -1) for d in "ab"}
    grey = held_out.left_out(domains, grey, drawn=True, trained=99)
    assert grey == dict.fromkeys(scores.COLOURS, "most edges and photos have no colour")


def test_grey_images_are_measured_where_there_are_enough_of_both_domains():
    def squares(red, grey):
        made = np.ones((red + grey, HEIGHT, WIDTH, 3), np.float32)
        made[:red, 4:12, 4:12] = 0.8, 0.1, 0.2
        made[red:, 4:12, 4:12] = 0.4
        return made

    def left_out(b):
        real = {"a": squares(10, 10), "b": b}
        return held_out.left_out(Domains(*ROUTE), real, drawn=False, trained=99)

    assert left_out(squares(10, 10)) == {}
    reason = "10 of edges and 9 of photos are grey, and 10 of each are needed"
    assert left_out(squares(11, 9)) == {"neutral_chroma": reason}


def test_networks_that_take_rgb_see_grey_repeated():
    extractor = Extractor("Inception 2015", True, lambda x: x.mean((1, 2)))
    x, y = pictures(12, 1), pictures(12, 1, 1)
    grey = scores.measure_features(translations(x, x, y), extractor)
    assert [row.name for row in grey] == [
        "edges_to_photos/FID_(grey_as_RGB)",
        "edges_to_photos/KID_(grey_as_RGB)",
    ]
    rgb = [z.repeat(3, -1) for z in (x, x, y)]
    for row, same in zip(grey, scores.measure_features(translations(*rgb), extractor), strict=True):
        assert row.value == same.value


def test_other_channels_have_no_inception(tmp_path):
    s = from_config(folders.get_config())
    run = runs.Run(tmp_path, replace(s, data=replace(s.data, channels=4)), None, 1, None)
    extractor = Extractor("x.pt", False, lambda x: x.mean((1, 2)))
    with pytest.raises(InputError, match="of 1 or 3 channels, and these have 4"):
        evaluate.measure(run, extractor=extractor)


def test_held_out_pictures_that_are_trained_on_are_counted(tmp_path):
    data = runs_here.write_arrays(tmp_path)
    folder = data / "bags"
    val = np.load(folder / "val.npy")
    val[[1, 4]] = np.load(folder / "train.npy")[0]
    np.save(folder / "val.npy", val)
    found = sources.load(f"arrays:{folder}", data_dir=tmp_path / "cache", image_size=16)
    assert (found.about["leaked"], found.about["distinct"]) == (2, 24 + 6)
