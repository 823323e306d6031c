"""`discogan translate`: translates users' pictures with a trained run."""

import io
import os
import sys
import tarfile

import numpy as np
import pages
import pytest
import runs_here
from PIL import Image

from discogan_jax import cli, images, runs, train
from discogan_jax.commands.translate_pictures import destinations, find, translate
from discogan_jax.data.catalogue.archive import write_archives
from discogan_jax.data.decode import Item
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
    (root / "broken.jpg").write_bytes((root / "a.jpg").read_bytes()[:300])
    (root / "notes.txt").write_text("no picture")
    return root


def test_a_folder_becomes_a_folder(run, folder, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["translate", str(run.path), str(folder), "--to", "shoes", "--out", str(out)]
    assert cli.main([*arguments, "--grid"]) == 1  # for the broken file
    captured = capsys.readouterr()
    assert f"skipped: {folder / 'broken.jpg'} cannot be read as a picture" in captured.err
    assert f"4 translated into {out}: {run.preparations['a']}; results of that size" in captured.out
    assert "1 left out, not a picture (notes.txt)" in captured.out
    # What has the suffix of the results keeps its name.
    names = {p.relative_to(out).as_posix() for p in out.rglob("*.*")}
    assert names == {"a.png", "a-jpg.png", "deep/é ü.png", "deep/grey.png", "sheet-001.png"}
    # The result equals the run's translation of the same picture, fitted as in training.
    fitted = images.fit(images.read(folder / "a.jpg"), SIZE)
    expected = images.to_uint8(run.translate(fitted[None], "shoes"))[0]
    np.testing.assert_array_equal(images.read(out / "a-jpg.png"), expected)


def test_sizes_and_shapes(run, tmp_path, capsys):
    wide = picture(tmp_path / "wide.png", (90, 60))
    for flags, shape in {
        (): (SIZE, SIZE),
        ("--size=input",): (60, 60),
        ("--size=input", "--fit=pad"): (60, 90),
        ("--size=24", "--fit=stretch"): (16, 24),
        ("--size=20x50",): (20, 50),
        ("--keep-aspect",): (round(SIZE * 2 / 3), SIZE),
    }.items():
        arguments = ["translate", str(run.path), str(wide), "--to=bags", *flags]
        assert cli.main([*arguments, f"--out={tmp_path / 'out'}"]) == 0
        assert images.read(tmp_path / "out" / "wide.png").shape == (*shape, 3), flags
    said = capsys.readouterr().out
    longer = "in the input's shape, the longer side as long as the model's"
    assert f"stretched to {SIZE}x{SIZE}; results {longer}" in said
    assert "; results scaled to the size of the part that was cut out" in said
    # A larger result is the same translation, scaled.
    small, large = (tmp_path / name for name in ("small.png", "large.png"))
    for out, size in ((small, "model"), (large, str(8 * SIZE))):
        assert cli.main([*arguments[:4], f"--size={size}", f"--out={out}"]) == 0
    shrunk = Image.fromarray(images.read(large)).resize((SIZE, SIZE), Image.Resampling.BOX)
    assert np.abs(np.asarray(shrunk).astype(int) - images.read(small)).mean() < 4
    assert cli.main([*arguments[:4], "--size=huge", f"--out={out}"]) == 2
    assert "--size is model, input, or a size" in capsys.readouterr().err


def test_a_file_for_one_picture(run, folder, tmp_path, capsys):
    arguments = ["translate", str(run.path), str(folder / "a.jpg"), "--to=shoes"]
    for name, kind in {"a.png": "PNG", "b.JPG": "JPEG", "c.tif": "TIFF"}.items():
        assert cli.main([*arguments, f"--out={tmp_path / name}", "--grid"]) == 0
        with Image.open(tmp_path / name) as result:
            assert result.format == kind
    assert (tmp_path / "a-sheet-001.png").is_file()
    two = [*arguments[:2], str(folder), "--to=shoes", f"--out={tmp_path / 'd.png'}"]
    assert cli.main(two) == 2
    assert "d.png is one file, and there are 5 pictures" in capsys.readouterr().err
    assert cli.main([*arguments, f"--out={tmp_path / 'e.webp'}"]) == 2
    assert "pictures are saved as .png, .jpg, .jpeg, .tif or .tiff" in capsys.readouterr().err
    assert not {*tmp_path.glob("[de].*")}


def test_names_are_kept(tmp_path):
    names = ["frame_0002.png", "frame.0001", "frame.0003.jpg", "x.jpg", "x.jpeg", "x.tar.png", "n1"]
    inputs = [Item(b"", name) for name in names]
    places = destinations(inputs, tmp_path, ".png")
    assert [p.name for p in places] == [
        *("frame_0002.png", "frame.0001.png", "frame.0003.png", "x.png", "x-jpeg.png"),
        *("x.tar.png", "n1.png"),
    ]
    with pytest.raises(InputError, match=r"ct\.png: the results are floating.*: name a \.tif"):
        destinations(inputs[:1], tmp_path / "ct.png", ".tif")


def test_halves(run, tmp_path, capsys):
    pair = np.concatenate([np.zeros((30, 30, 3), np.uint8), np.full((30, 30, 3), 255, np.uint8)], 1)
    Image.fromarray(pair).save(tmp_path / "pair.png")
    for half, value in (("left", 0), ("right", 255)):
        picture = Item(tmp_path / "pair.png", "pair", side=half).load(run.preparations["a"])
        prepared = run.preparations["a"].apply(picture)
        np.testing.assert_array_equal(prepared, np.full((SIZE, SIZE, 3), value))
        assert picture.size == (30, 30)
    # What looks like pairs is asked about, unless that is answered or nothing is cut off.
    arguments = ["translate", str(run.path), str(tmp_path / "pair.png"), "--to=shoes"]
    for flags, asked in {(): True, ("--pairs=left",): False, ("--fit=pad",): False}.items():
        assert cli.main([*arguments, f"--out={tmp_path / 'out'}", *flags]) == 0
        assert ("use --pairs left or --pairs right" in capsys.readouterr().out) is asked


def test_edges_are_translated_as_those_of_training(tmp_path):
    """The pictures of an archive, taken out of it, translate to the same bytes as its arrays."""
    archive = tmp_path / "archives"
    write_archives(archive, train=2, val=3)
    made = runs_here.config(
        tmp_path,
        data__archives=str(archive),
        data__source_a="archive:edges2shoes/edges/first",
        data__source_b="archive:edges2shoes/photo/second",
        data__batch_size=1,
    )
    run = runs_here.untrained(made, tmp_path / "run")
    assert run.preparations["a"].thicken
    with tarfile.open(archive / "edges2shoes.tar.gz") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    pairs = sorted((tmp_path / "unpacked").rglob("val/*.jpg"))
    # An edge map of one's own is half of such a file.
    edges = tmp_path / "edges"
    edges.mkdir()
    for pair in pairs:
        images.save(edges / f"{pair.stem}.png", images.read(pair)[:, :256])
    expected = images.to_uint8(run.apply(np.asarray(run.images()["a"].val), "ab"))
    for given, flags in ((edges, []), (pairs[0].parent, ["--pairs=left"])):
        out = tmp_path / f"of {given.name}"
        arguments = ["translate", str(run.path), str(given), "--to=shoes", f"--out={out}", *flags]
        assert cli.main(arguments) == 0
        results = np.stack([images.read(out / f"{pair.stem}.png") for pair in pairs])
        np.testing.assert_array_equal(results, expected)
    # In Python, from files and from arrays.
    files = sorted(edges.iterdir())
    for pictures in (files, [f.read_bytes() for f in files], np.stack([*map(images.read, files)])):
        np.testing.assert_array_equal(images.to_uint8(run.translate(pictures, "shoes")), expected)


def test_grey_pictures_of_many_bits(tmp_path, capsys):
    data = runs_here.write_arrays(tmp_path / "data", channels=1)
    changes = {"data__channels": 1, "data__range": "0,4095"}
    run = runs_here.untrained(runs_here.config(data, **changes), tmp_path / "run")
    pixels = np.random.default_rng(0).integers(4200, size=(SIZE, SIZE, 1), dtype=np.uint16)
    images.save(tmp_path / "deep.png", pixels)
    prepared = np.rint(np.minimum(pixels / 4095, 1) * 255).astype(np.uint8)
    made = run.apply(prepared[None], "ab")[0]
    for out, depth, right in (
        ("8.png", 8, images.to_uint8(made)),
        ("16.png", 16, np.rint(made.astype(float) * 4095).astype(np.uint16)),
        ("16.tif", 16, np.rint(made.astype(float) * 4095).astype(np.uint16)),
    ):
        files = [str(tmp_path / "deep.png"), f"--out={tmp_path / out}"]
        code = cli.main(["translate", str(run.path), *files, "--to=shoes", f"--depth={depth}"])
        assert code == 0
        written = images.load(tmp_path / out)
        np.testing.assert_array_equal(written.pixels, right)
        assert written.pixels.dtype == right.dtype
    said = capsys.readouterr().out
    assert "made grey, values of 12 bits (0 to 4095)" in said
    assert "1 with values beyond the run's range" in said
    assert "small part" not in said
    # 8 bits are a 16th of 12.
    arguments = ["translate", str(run.path), str(picture(tmp_path / "8bit.png")), "--to=shoes"]
    assert cli.main([*arguments, f"--out={tmp_path / 'out'}"]) == 0
    said = "1 with values in a small part of the run's range, 12 bits (0 to 4095); were they scaled"
    assert said in capsys.readouterr().out


def test_colour_is_not_written_with_16_bits(run, folder, tmp_path, capsys):
    arguments = ["translate", str(run.path), str(folder), "--to=shoes", "--depth=16"]
    assert cli.main([*arguments, f"--out={tmp_path / 'out'}"]) == 2
    assert "--depth=16 is for runs of grey pictures" in capsys.readouterr().err


def test_more_pictures_than_a_batch_and_than_a_sheet(run, tmp_path):
    # Contact sheets do not take the names of results.
    names = [*(f"{i:02d}.png" for i in range(18)), "sheet-001.png"]
    for i, name in enumerate(names):
        picture(tmp_path / "in" / name, seed=i)
    inputs, *_ = find([str(tmp_path / "in")])
    found = translate(run, inputs, "shoes", tmp_path / "out", sheet=True)
    assert [p.name for p in found.sheets] == ["sheet-001-png.png", "sheet-002.png"]
    made = images.to_uint8(run.translate([item.source for item in inputs], "shoes"))
    for name, path, right in zip(names, found.written, made, strict=True):
        assert path.name == name
        assert np.abs(images.read(path).astype(int) - right).max() <= 1


def test_globs_and_standard_input(run, folder, tmp_path, monkeypatch):
    assert [item.name for item in find([str(folder / "*.png")])[0]] == ["a.png"]
    assert len(find([str(folder / "**" / "*.png"), str(folder)])[0]) == 5  # once each
    given = io.TextIOWrapper(io.BytesIO((folder / "a.jpg").read_bytes()))
    monkeypatch.setattr(sys, "stdin", given)
    made = translate(run, find(["-"])[0], "shoes", tmp_path / "out")
    assert [p.name for p in made.written] == ["stdin.png"]


def test_a_folder_that_cannot_be_listed_is_left_out(run, folder, tmp_path, monkeypatch, capsys):
    def refuse(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return list_folder(path)

    list_folder = os.scandir
    monkeypatch.setattr(os, "scandir", refuse)
    (folder / "broken.jpg").unlink()
    out = tmp_path / "out"
    words = ["translate", str(run.path), str(folder), "--to=shoes", f"--out={out}"]
    assert cli.main(words) == 1
    captured = capsys.readouterr()
    assert f"skipped: {folder / 'deep'} cannot be listed (Permission denied)." in captured.err
    assert "1 skipped, see above" in captured.out
    assert sorted(path.name for path in out.iterdir()) == ["a-jpg.png", "a.png"]


def test_a_call_goes_on_where_it_was_interrupted(run, folder, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["translate", str(run.path), str(folder), "--to", "shoes", "--out", str(out)]
    assert cli.main(arguments) == 1  # for the broken file
    complete = {path: path.read_bytes() for path in out.rglob("*.png")}
    (out / "a.png").unlink()
    (out / "deep" / "grey.png").unlink()
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    capsys.readouterr()

    assert cli.main([*arguments, "--skip-existing"]) == 1
    said = capsys.readouterr()
    assert f"2 translated into {out}" in said.out
    assert "2 left out, they have a result there: the first is " in said.out
    assert "1 skipped, see above" in said.out
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == complete
    assert {path: path.stat().st_mtime_ns for path in times} == times

    # A file of somebody else is no result.
    picture(out / "a.png")
    assert cli.main([*arguments, "--skip-existing"]) == 2
    assert "a.png" in capsys.readouterr().err
    assert cli.main([*arguments, "--skip-existing", "--grid"]) == 2
    assert "--grid" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_a_translation_that_was_retouched_is_kept(run, folder, tmp_path, capsys, name):
    out = tmp_path / name
    words = ["translate", str(run.path), str(folder / "a.png"), "--to=shoes", f"--out={out}"]
    for _ in range(2):
        assert cli.main(words) == 0
    # As an editor saves it: the EXIF description stays.
    with Image.open(out) as made:
        retouched, exif = made.copy(), made.getexif()
    retouched.paste("red", (0, 0, 4, 4))
    retouched.save(out, exif=exif)
    kept = out.read_bytes()
    assert b"Written by discogan_jax" in kept
    assert cli.main(words) == 2
    assert f"{out} is there and was not written by this command, or" in capsys.readouterr().err
    assert out.read_bytes() == kept


@pytest.mark.parametrize(
    ("inputs", "to", "said"),
    [
        ([".", "nowhere.png"], "shoes", "nowhere.png: there is no such file"),
        (["nowhere/*.png"], "shoes", "no pictures"),
        (["."], "hats", "translates to bags and shoes, not 'hats'"),
    ],
)
def test_mistakes(run, folder, tmp_path, monkeypatch, capsys, inputs, to, said):
    monkeypatch.chdir(folder)
    out = tmp_path / "out"
    code = cli.main(["translate", str(run.path), *inputs, "--to", to, "--out", str(out)])
    assert code == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert not out.exists()


def test_arrays_that_are_neither_prepared_nor_pictures_are_refused(run):
    for shape, kind in (((1, 9, 9, 3), "float32"), ((1, 9, 9, 5), "uint8")):
        with pytest.raises(InputError, match=rf"arrays of {kind} .* cannot be prepared: give"):
            run.translate(np.zeros(shape, kind), "shoes")
    with pytest.raises(InputError, match=r"\[9, 9, 3\] is one picture: .* picture\[None\]"):
        run.translate(np.zeros((9, 9, 3), np.uint8), "shoes")
    for scale, kind in ((255, "float32"), (255, "int64"), (np.nan, "float32")):
        with pytest.raises(InputError, match=rf"{kind} must be numbers in \[0, 1\]"):
            run.translate((np.ones((1, SIZE, SIZE, 3)) * scale).astype(kind), "shoes")


def test_a_model_without_numbers_is_a_mistake_not_a_failure(run, folder, tmp_path, monkeypatch):
    nan = np.full((1, SIZE, SIZE, 3), np.nan, np.float32)
    monkeypatch.setattr(runs.Run, "apply", lambda *_: nan)
    with pytest.raises(InputError, match="makes no pictures: The picture has 768 values"):
        translate(run, find([str(folder / "a.png")])[0], "shoes", tmp_path / "out")


def test_nothing_is_written_over_an_input(run, folder):
    with pytest.raises(InputError, match=r"a\.png is an input: name another folder"):
        translate(run, find([str(folder)])[0], "shoes", folder)


def test_the_example_of_the_page(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "sample").symlink_to(run.path)
    picture(tmp_path / "my_bag.jpg")
    pages.run("docs/translate.md")
    assert images.read("my_shoe.png").shape == (SIZE, SIZE, 3)
