"""`discogan translate`: translates users' pictures with a trained run."""

import io
import sys

import numpy as np
import pages
import pytest
import runs_here
from PIL import Image

from discogan_jax import cli, images, runs, train
from discogan_jax.commands import translate
from discogan_jax.errors import InputError

SIZE = runs_here.SIZE


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = runs_here.write_arrays(tmp_path_factory.mktemp("data"))
    workdir = tmp_path_factory.mktemp("runs") / "run"
    train.train_and_evaluate(runs_here.config(data, train__steps=2), workdir)
    return runs.open(workdir)


def picture(path, size=(40, 20), mode="RGB", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Writes pictures of all sizes, modes and depths, and one file that is not a picture."""
    root = tmp_path / "my pictures"
    picture(root / "a.jpg", seed=1)
    picture(root / "a.png", (20, 60), seed=2)
    picture(root / "deep" / "é ü.png", mode="LA", seed=3)
    picture(root / "deep" / "grey.tif", mode="L", seed=4)
    (root / "broken.jpg").write_bytes(b"no picture")
    return root


def test_a_folder_becomes_a_folder(run, folder, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["translate", str(run.path), str(folder), "--to", "shoes", "--out", str(out)]
    assert cli.main([*arguments, "--grid"]) == 1  # for the broken file
    captured = capsys.readouterr()
    assert f"skipped: {folder / 'broken.jpg'} cannot be read as a picture" in captured.err
    assert f"4 translated into {out}" in captured.out
    assert f"{SIZE}×{SIZE} px" in captured.out
    names = {p.relative_to(out).as_posix() for p in out.rglob("*.*")}
    assert names == {"a.png", "a-png.png", "deep/é ü.png", "deep/grey.png", "sheet-001.png"}
    # The result equals the run's translation of the same picture, fitted as in training.
    fitted = images.fit(images.read(folder / "a.jpg"), SIZE)
    expected = images.to_uint8(run.translate(fitted[None], "shoes"))[0]
    np.testing.assert_array_equal(images.read(out / "a.png"), expected)


def test_aspect_and_halves(run, folder, tmp_path):
    inputs = translate.find([str(folder / "a.png")])
    made = translate.translate(run, inputs, "bags", tmp_path / "out", keep_aspect=True)
    assert images.read(made.written[0]).shape == (SIZE, round(SIZE / 3), 3)
    pair = np.concatenate([np.zeros((30, 30, 3), np.uint8), np.full((30, 30, 3), 255, np.uint8)], 1)
    Image.fromarray(pair).save(tmp_path / "pair.png")
    for half, value in (("left", 0), ("right", 255)):
        fitted = translate.read(tmp_path / "pair.png", SIZE, half, False)
        np.testing.assert_array_equal(fitted.square, np.full((SIZE, SIZE, 3), value))


def test_more_pictures_than_a_batch_and_than_a_sheet(run, tmp_path):
    for i in range(19):
        picture(tmp_path / "in" / f"{i:02d}.png", seed=i)
    inputs = translate.find([str(tmp_path / "in")])
    few = translate.translate(run, inputs, "shoes", tmp_path / "few", batch_size=4, sheet=True)
    all_ = translate.translate(run, inputs, "shoes", tmp_path / "all")
    assert [p.name for p in few.sheets] == ["sheet-001.png", "sheet-002.png"]
    for one, other in zip(few.written, all_.written, strict=True):
        assert one.name == other.name
        assert np.abs(images.read(one).astype(int) - images.read(other)).max() <= 1


def test_globs_and_standard_input(run, folder, tmp_path, monkeypatch):
    assert [i.name.name for i in translate.find([str(folder / "*.png")])] == ["a.png"]
    assert len(translate.find([str(folder / "**" / "*.png"), str(folder)])) == 5  # once each
    given = io.TextIOWrapper(io.BytesIO((folder / "a.jpg").read_bytes()))
    monkeypatch.setattr(sys, "stdin", given)
    made = translate.translate(run, translate.find(["-"]), "shoes", tmp_path / "out")
    assert [p.name for p in made.written] == ["stdin.png"]


@pytest.mark.parametrize(
    ("inputs", "to", "said"),
    [
        (["nowhere.png"], "shoes", "nowhere.png: there is no such file"),
        (["nowhere/*.png"], "shoes", "no pictures"),
        (["."], "hats", "translates to bags and shoes, not 'hats'"),
    ],
)
def test_mistakes(run, folder, tmp_path, monkeypatch, capsys, inputs, to, said):
    monkeypatch.chdir(folder)
    out = tmp_path / "out"
    code = cli.main(["translate", str(run.path), *inputs, "--to", to, "--out", str(out)])
    assert code == (1 if "nowhere.png" in said else 2)
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert not out.exists()


def test_nothing_is_written_over_an_input(run, folder):
    with pytest.raises(InputError, match=r"a\.png is an input: name another folder"):
        translate.translate(run, translate.find([str(folder)]), "shoes", folder)


def test_the_example_of_the_page(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "sample").symlink_to(run.path)
    picture(tmp_path / "my_bag.jpg")
    pages.run("docs/translate.md")
    assert images.read("my_shoe.png").shape == (SIZE, SIZE, 3)
