"""The model that the package carries: it is whole, small, good enough, and opens by its name."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import runs_here
from PIL import Image

from discogan_jax import cli, files, images, runs
from discogan_jax.config import build, schema
from discogan_jax.configs import sample
from discogan_jax.data import catalogue
from discogan_jax.data.catalogue import items
from discogan_jax.errors import InputError
from discogan_jax.evaluation.metrics import attribute_correlation, colour
from discogan_jax.runs import demo, weights

MAX_BYTES = 4_000_000


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def drawings(kind, number=12):
    """Drawings that are not among those of training."""
    numbers = range(catalogue.VAL_START + 5000, catalogue.VAL_START + 5000 + number)
    return [items.draw(items.describe(kind, i)) for i in numbers]


def test_its_files_are_whole_and_name_no_machine():
    files.check_folder(demo.FOLDER, "card.json")
    there = [path for path in demo.FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in there) < MAX_BYTES
    data = json.loads((demo.FOLDER / "config.json").read_text())["data"]
    assert (data["archives"], data["data_dir"]) == (None, "data")
    assert data["source_a"] == "catalogue:bags"


def test_it_keeps_the_colours_of_new_drawings():
    run = runs.open("demo")
    for kind, other in (("bags", "shoes"), ("shoes", "bags")):
        pictures = drawings(kind)
        made = run.translate(pictures, to=other, batch_size=len(pictures))
        taken = np.stack([images.to_unit(run.preparations["a"].apply(x)) for x in pictures])
        hues = [colour.foreground_colour(x).hue for x in (taken, made)]
        assert attribute_correlation.hue_error(*hues) < 15  # 90 by chance
        assert np.abs(made - taken).mean() > 0.05  # another object


def test_what_commands_do_with_it(capsys):
    Image.fromarray(drawings("bags", 1)[0]).save("bag.png")
    translate = ["translate", "demo", "bag.png", "--to", "shoes", "--out", "shoe.png"]
    assert cli.main(translate) == 0
    expected = runs.open("demo").translate("bag.png", to="shoes")[0]
    np.testing.assert_array_equal(images.read("shoe.png"), images.to_uint8(expected))
    # Nothing is written into the package.
    before = sorted(demo.FOLDER.rglob("*"))
    for command in ("export", "card", "report"):
        assert cli.main([command, "demo"]) == 2
        assert "demo is a part of the package" in capsys.readouterr().err
    assert cli.main(["translate", "demo", "--step", "3", *translate[2:], "--overwrite"]) == 2
    assert "alone: leave out 3" in capsys.readouterr().err
    assert sorted(demo.FOLDER.rglob("*")) == before
    # A copy has a card as any run; a folder of that name comes first.
    shutil.copytree(demo.FOLDER, "copy")
    assert cli.main(["card", "copy", "--out", "demo"]) == 0
    assert runs.open("demo").path.parent != demo.FOLDER.parent
    shutil.rmtree("demo")
    Path("demo").mkdir()
    assert cli.main(translate) == 2
    assert "demo is no run directory" in capsys.readouterr().err


def test_a_run_starts_from_it():
    s = schema.from_config(sample.get_config())
    trained = weights.read("demo")
    assert trained.domains == s.domains
    found = weights.fit(trained, build.state_shapes(s, build.gan(s)), build.image_shape(s))
    assert {layer.split()[0] for layer in found.drawn} == {"discriminator"}
    assert sum("gen/params" in name for name in found.arrays) == len(
        jax.tree.leaves(trained.state.gen.params)
    )
    with pytest.raises(InputError, match=f"step {trained.step} alone: leave out best"):
        weights.read("demo:best")
    assert weights.read(f"demo:{trained.step}").step == trained.step


def test_generators_in_half_precision(data, tmp_path):
    run = runs_here.untrained(runs_here.config(data), tmp_path / "run")
    shutil.rmtree(run.path / "checkpoints")
    demo.write(run.state, run.path)
    half = runs.open(run.path)
    weights_of = [jax.tree.leaves((r.state.ema, r.state.ema_stats)) for r in (run, half)]
    for whole, rounded in zip(*weights_of, strict=True):
        assert rounded.dtype == np.float32
        np.testing.assert_array_equal(rounded, np.float16(whole))
    whole = (run.path / "weights.npz").read_bytes()
    (run.path / "weights.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"weights\.npz is damaged"):
        runs.open(run.path)
    # Of other networks.
    (run.path / "weights.npz").write_bytes((demo.FOLDER / "weights.npz").read_bytes())
    with pytest.raises(InputError, match="other networks than the config"):
        runs.open(run.path)
