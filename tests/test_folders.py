"""Folders of people's own pictures: what is found, used, held out, and said."""

import gc
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from absl import logging
from PIL import Image

from discogan_jax import cli, files
from discogan_jax.config import build, flags, schema
from discogan_jax.data import cache, census, sources
from discogan_jax.data.listing import pictures_below
from discogan_jax.data.source import DECODE_VERSION
from discogan_jax.errors import InputError, choose
from discogan_jax.images import Size


@pytest.fixture
def said(monkeypatch):
    """Collects warnings, but for that of `save`, whose pictures are of one colour."""
    found = []

    def warning(text, *args):
        found.extend([text % args] * ("all are of one colour" not in args))

    monkeypatch.setattr(logging, "warning", warning)
    return found


@pytest.fixture
def load(tmp_path):
    """Opens a source below the folder of the test, at 4 px."""

    def opened(source, **wanted):
        kind, _, place = source.partition(":")
        places = {"image_size": 4, "data_dir": tmp_path / "data"}
        return sources.load(f"{kind}:{tmp_path / place}", **places | wanted)

    return opened


def save(path, value, size=(4, 4), **options):
    """Writes a picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.broadcast_to(np.asarray(value), (*size[::-1], *np.shape(value)))
    Image.fromarray(np.array(pixels, getattr(value, "dtype", np.uint8))).save(path, **options)


def shades(pictures):
    return sorted(int(picture[0, 0, 0]) for picture in pictures)


def everything(splits):
    return shades([*splits.train, *splits.val])


def test_the_content_of_a_file_decides_and_what_is_left_out_is_counted(load, tmp_path, said):
    folder = tmp_path / "in"
    for i, (name, form) in enumerate(
        [
            *[("a.jpe", "JPEG"), ("b", "JPEG"), ("c.jfif", "JPEG"), ("d.gif", "GIF")],
            *[("e.ppm", "PPM"), ("f.pgm", "PPM"), ("g.txt", "PNG"), ("h.png", "WEBP")],
            *[("i.jp2", "JPEG2000"), ("j.tif", "TIFF"), ("k.bmp", "BMP")],
        ]
    ):
        save(folder / name, 20 * i if name in "d.gif f.pgm" else (20 * i, 0, 0), format=form)
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "drawing.psd").write_bytes(b"8BPS\0\1")
    (folder / "empty").touch()
    for i in range(6):
        (folder / f"notes{i}.txt").write_text("no picture")
    (folder / "cut.png").write_bytes((folder / "g.txt").read_bytes()[:50])
    (folder / "cut\n\x1b.png").write_bytes((folder / "g.txt").read_bytes()[:6])
    (folder / "empty.png").touch()
    assert {folder / "cut\n\x1b.png", folder / "empty.png"} <= set(pictures_below(folder)[0])
    # What nobody means.
    for name in ("@eaDir/x.jpg", ".thumbs/x.jpg", "__MACOSX/x.jpg", "#recycle/x.jpg", ".x.jpg"):
        save(folder / name, 255)
    (folder / "Thumbs.db").write_bytes(b"x")

    found = load("folder:in")
    np.testing.assert_allclose(everything(found), 20 * np.arange(11), atol=2)
    assert {
        reason: (left_out["count"], left_out["names"])
        for reason, left_out in found.about["left_out"].items()
    } == {
        "unreadable": (3, [r"cut\n\x1b.png", "cut.png", "empty.png"]),
        "Photoshop, which is not read": (1, ["drawing.psd"]),
        "not a picture": (7, ["empty", *(f"notes{i}.txt" for i in range(4))]),
        "HEIC, to be read with `pip install pillow-heif`": (1, ["phone.heic"]),
    }
    train, val = len(found.train), len(found.val)
    line = census.describe(found.about)
    assert line.startswith(f"{train} to train on, {val} held out; left out: 3 unreadable (cut")
    assert line.isprintable()
    assert "7 not a picture (empty, notes0.txt, notes1.txt, notes2.txt, notes3.txt, ...)" in line
    assert line.endswith("; 11 of one colour; 4 px; 8 bits; 27% grey")
    assert len(said) == 1
    assert "3 of 16 skipped, unreadable" in said[0]
    assert r"/cut\n\x1b.png cannot be read as a picture (damaged)" in said[0]
    assert "/empty.png cannot be read as a picture (empty, of no known kind)" in said[0]


def test_a_folder_without_pictures_says_what_it_holds(load, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "list.csv").write_text("a,b")
    with pytest.raises(InputError, match=r"holds no pictures.*1 not a picture \(list.csv\)"):
        load("folder:in")


def test_links_to_folders_are_followed_but_not_in_circles(load, tmp_path):
    for i, name in enumerate(("in/a/1.png", "in/2.png", "elsewhere/b/3.png", "around/4.png")):
        save(tmp_path / name, i)
    (tmp_path / "elsewhere" / "b" / "back").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "2nd").symlink_to(tmp_path / "around")
    for name, target in (("0", "in/a"), ("c", "elsewhere"), ("d", "elsewhere/b"), ("e", "in")):
        (tmp_path / "in" / name).symlink_to(tmp_path / target)
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    assert everything(load("folder:in")) == [0, 1, 2, 3]
    # A run of an earlier version finds what it found.
    assert everything(load("folder:in", max_held_out=500)) == [0, 1]


@pytest.mark.parametrize(
    ("folders", "source", "train", "val", "layout"),
    [
        ("train Valid", "in", [0], [1], "folder Valid"),
        ("Train testing", "in", [0], [1], "folder testing"),
        ("train test val x", "in", [0], [2], "folder val; not used: test, x"),
        ("train x", "in", None, None, "train, x are one set: no val or test beside train"),
        ("train", "in", None, None, "no val or test beside train"),
        ("bus car", "in", None, None, ""),
        ("trainA trainB testA testB", "in/trainA", [0], [2], "folder testA"),
        ("TRAINB trainA valb testB", "in/TRAINB", [0], [2], "folder valb"),
        ("trainA trainB", "in/trainA", None, None, ""),
    ],
)
def test_layouts(load, tmp_path, folders, source, train, val, layout):
    names = folders.split()
    for i, name in enumerate(names):
        for more in (0, 100):
            save(tmp_path / "in" / name / f"{more}.png", i + more)
    found = load(f"folder:{source}")
    assert found.about["layout"] == layout
    if train:
        assert shades(found.train) == [i + more for more in (0, 100) for i in train]
        assert shades(found.val) == [i + more for more in (0, 100) for i in val]
    # Runs of earlier versions keep their division: of these only train and val or test were one.
    before = load(f"folder:{source}", max_held_out=500)
    if {"train", "val"} <= set(names):
        assert shades(before.val) == shades(found.val)
    else:
        assert len(before.val) == 1


def run_prepare(tmp_path, *arguments):
    fields = {"data_dir": tmp_path / "data", "image_size": 16, "batch_size": 1}
    given = [f"--config.data.{name}={value}" for name, value in fields.items()]
    return cli.main(["prepare", *map(str, arguments), *given])


def test_the_root_of_a_cyclegan_data_set_is_both_domains(tmp_path, capsys):
    root = tmp_path / "horse2zebra"
    for i, name in enumerate(("trainA", "trainB", "testA", "testB")):
        for j in range(i + 2):
            save(root / name / f"{j}.png", (50 * i, j, 0))
    assert run_prepare(tmp_path, f"--a={root}", f"--b={root}") == 0
    a, b = capsys.readouterr().out.splitlines()
    assert a.startswith("a: 2 to train on, 4 held out (folder testA); ")
    assert b.startswith("b: 3 to train on, 5 held out (folder testB); ")
    # As one domain it is refused.
    assert run_prepare(tmp_path, f"--a={root}", f"--b={root / 'trainB'}") == 2
    assert f"holds two domains; name it for both, --a={root} --b={root}" in capsys.readouterr().err


def test_a_set_that_is_opened_in_two_sizes_warns_once(tmp_path, said):
    for name in ("cats", "dogs"):
        for i in range(2):
            save(tmp_path / name / f"{i}.png", (80 * i, 0, 255), size=(40, 20))
    places = (f"--a={tmp_path / 'cats'}", f"--b={tmp_path / 'dogs'}")
    assert run_prepare(tmp_path, "folders", *places, "--config.data.jitter=0.25") == 0
    for name in ("cats", "dogs"):
        warnings = [text for text in said if text.startswith(f"{tmp_path / name}: ")]
        assert len(warnings) == len({*warnings}) == 2
    assert len(said) == 4


def test_two_domains_share_no_folder(tmp_path, capsys):
    for name in ("pets/cats", "pets/dogs", "birds"):
        for i in range(3):
            save(tmp_path / name / f"{i}.png", (i, 0, 0), size=(32, 16))
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "cats").symlink_to(tmp_path / "pets" / "cats")
    a = f"folder:{tmp_path / 'pets'}"
    for b, shared in (("pets", "pets"), ("pets/dogs", "pets/dogs"), ("linked", "pets/cats")):
        with pytest.raises(InputError, match=f"share the pictures of {tmp_path / shared};"):
            sources.check_apart(a, f"folder:{tmp_path / b}")
    sources.check_apart(a, f"folder:{tmp_path / 'birds'}")
    sources.check_apart(f"{a}/cats", f"{a}/dogs")
    pairs = f"pairs:{tmp_path / 'pets'}"
    sources.check_apart(f"{pairs}/left", f"{pairs}/right")
    sources.check_apart(f"{pairs}/left/first", f"{pairs}/left/second")
    for left, right in ((f"{pairs}/left", f"{pairs}/left/second"), (f"{pairs}/left", a)):
        with pytest.raises(InputError, match="share the pictures"):
            sources.check_apart(left, right)
    # Whichever way they are named; a run that exists goes on.
    assert run_prepare(tmp_path, f"--a={tmp_path / 'pets'}", f"--b={tmp_path / 'pets'}") == 2
    fields = {"source_a": a, "source_b": a, "data_dir": tmp_path / "data", "image_size": 16}
    given = [f"--config.data.{name}={value}" for name, value in fields.items()]
    settings = schema.from_config(flags.load("configs/folders.py", given))
    with pytest.raises(InputError, match="share the pictures"):
        build.images(settings)
    assert build.images(settings, {"a": {"max_held_out": 500}})
    capsys.readouterr()


def test_sides_of_pairs_are_partners_and_halves_share_no_file(load, tmp_path):
    def picture(i, width=16):
        left = np.full((6, width // 2, 3), (10 * i, 0, 0), np.uint8)
        right = np.full((6, width - width // 2, 3), (200 + i, 0, 0), np.uint8)
        return Image.fromarray(np.hstack([left, right]))

    for split, numbers in (("train", (10, 9, 1, 2, 3)), ("Test", (11, 4))):
        (tmp_path / "in" / split).mkdir(parents=True)
        for i in numbers:
            picture(i).save(tmp_path / "in" / split / f"{i}.png")
    picture(7, width=15).save(tmp_path / "in" / "train" / "odd.png")

    left, right = load("pairs:in/left"), load("pairs:in/right")
    for split, numbers in (("train", [1, 2, 3, 9, 10]), ("val", [4, 11])):
        np.testing.assert_array_equal(getattr(left, split)[:, 0, 0, 0], 10 * np.array(numbers))
        np.testing.assert_array_equal(getattr(right, split)[:, 0, 0, 0], 200 + np.array(numbers))
    reason = "of odd width, so not two pictures side by side"
    assert left.about["left_out"] == {reason: {"count": 1, "names": ["train/odd.png"]}}
    assert left.about["sizes"] == ["6x8", "6x8"]
    first, second = load("pairs:in/left/first"), load("pairs:in/right/second")
    np.testing.assert_array_equal(first.train[:, 0, 0, 0], [10, 20])
    np.testing.assert_array_equal(second.train[:, 0, 0, 0], [203, 209, 210])
    np.testing.assert_array_equal(first.val[:, 0, 0, 0], [40, 110])
    np.testing.assert_array_equal(second.val[:, 0, 0, 0], [204, 211])

    source = f"pairs:{tmp_path / 'in'}"
    assert sources.are_pairs(f"{source}/left/first", f"{source}/../in/right/second")
    assert not sources.are_pairs(f"{source}/left/first", f"{source}/left/second")
    assert not sources.are_pairs(f"{source}/left", f"pairs:{tmp_path}/right")
    assert sources.parse(f"{source}/left/first").public_name == "pairs:in/left/first"
    for wrong, message in (
        ("pairs:left", "write pairs:FOLDER/left or pairs:FOLDER/right"),
        ("pairs:in/lef", "did you mean 'left'"),
        ("pairs:in/left/frist", "did you mean 'first'"),
    ):
        with pytest.raises(InputError, match=message):
            sources.parse(wrong)


def test_pairs_are_thickened_if_asked_and_keep_their_rows_without_a_split(load, tmp_path):
    for i in range(40):
        pixels = np.full((256, 512, 3), 255, np.uint8)
        pixels[:, 2 * i + 2], pixels[:, 256 + 2 * i + 2] = 0, 128
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{i}.png")
    left = load("pairs:in/left", image_size=256, thicken=True)
    right = load("pairs:in/right", image_size=256)
    for split in ("train", "val"):
        dark = [np.flatnonzero(x[9, :, 0] == 0) for x in getattr(left, split)]
        grey = [np.flatnonzero(x[9, :, 0] == 128) for x in getattr(right, split)]
        assert [len(columns) for columns in dark] == [3] * len(dark)
        assert [int(columns[1]) for columns in dark] == [int(columns[0]) for columns in grey]


def test_pairs_in_a_plain_folder_are_hinted_at(load, tmp_path, said):
    for i in range(4):
        save(tmp_path / "in" / f"{i}.png", (9 * i, 200, 0), size=(8, 4))
    load("folder:in")
    assert any(f"use pairs:{tmp_path / 'in'}/left and" in text for text in said)
    said.clear()
    load("pairs:in/left")
    assert said == []
    load("pairs:in/left", image_size=8, quiet=True)
    for i in range(4):
        save(tmp_path / "square" / f"{i}.png", (9 * i, 200, 0), size=(6, 6))
    load("pairs:square/left", fit="pad", quiet=True)
    assert said == []
    load("pairs:square/left", fit="stretch")
    (text,) = said
    assert "halves are more than 1.5 times as high" in text
    assert f"use folder:{tmp_path / 'square'}" in text


def test_a_set_has_one_range(load, tmp_path, said):
    for i, top in enumerate((4000, 100, 2048)):
        save(tmp_path / "deep" / f"{i}.png", np.uint16(top))
    deep = load("folder:deep")
    assert everything(deep) == [round(value * 255 / 4095) for value in (100, 2048, 4000)]
    assert deep.about["values"] == "12 bits (0 to 4095)"
    assert deep.about["preparation"]["range"] == [0, 4095]
    assert "several" not in " ".join(said)
    # What the user gives is used as it is, and what is beyond it is counted.
    said.clear()
    given = load("folder:deep", range=(0.0, 2048.0))
    assert everything(given) == [round(100 * 255 / 2048), 255, 255]
    assert "0 to 2048, 33% beyond" in census.describe(given.about)
    assert any("33% of all values are beyond 0 to 2048 and become" in text for text in said)

    for i, value in enumerate((-1000.0, 0.5, 1400.0)):
        save(tmp_path / "signed" / f"{i}.tif", np.float32(value))
    signed = load("folder:signed", channels=1)
    assert everything(signed) == [0, round(1000.5 * 255 / 2400), 255]
    assert signed.about["values"] == "-1000 to 1400"

    # Files of 8 bits beside deep ones keep their values.
    said.clear()
    save(tmp_path / "mixed" / "8.png", (200, 0, 0))
    save(tmp_path / "mixed" / "16.png", np.uint16(65535))
    save(tmp_path / "mixed" / "low.png", np.uint16(257))
    mixed = load("folder:mixed")
    assert everything(mixed) == [1, 200, 255]
    assert mixed.about["values"] == "16 bits (0 to 65535) and 8 bits"
    (several,) = [text for text in said if "several depths" in text]
    assert "1 of 8 bits" in several
    assert "2 of 16 bits, mapped by 16 bits (0 to 65535)" in several
    # With the range of a run, too.
    kept = load("folder:mixed", range=(0.0, 65535.0), deep_only=True)
    assert everything(kept) == [1, 200, 255]


def test_a_set_that_uses_little_of_its_range_says_so(load, tmp_path, said):
    for i, value in enumerate((30_000, 34_000, 31_000)):
        save(tmp_path / "in" / f"{i}.png", np.uint16(value))
    load("folder:in")
    (text,) = [text for text in said if "data.range" in text]
    assert (
        "of 16 bits (0 to 65535) only 30000 to 34000 are used: data.range=30000,34000 would use all"
        in text
    )
    said.clear()
    load("folder:in", range=(30_000.0, 34_000.0))
    assert not any("data.range" in text for text in said)
    # What is proposed holds the values beyond the given range, and those of all depths.
    load("folder:in", range=(0.0, 30_500.0))
    assert any("only 30000 to 30500 are used: data.range=30000,34000" in text for text in said)
    said.clear()
    save(tmp_path / "in" / "8.png", (200, 0, 0))
    load("folder:in", range=(0.0, 65_535.0))
    load("folder:in")
    unused = [text for text in said if "are used" in text]
    assert [text.partition(": ")[2] for text in unused] == [
        "of 16 bits (0 to 65535) only 30000 to 34000 are used"
    ]


@pytest.mark.parametrize(
    ("size", "colour", "wanted", "cut", "text"),
    [
        ((4, 4), (200, 0, 0), {}, 0, None),
        ((6, 4), (200, 0, 0), {}, 1 / 3, None),
        ((8, 5), (200, 0, 0), {}, 3 / 8, "crop cuts off 38%.*data.fit=pad .*data.fit=stretch"),
        ((8, 5), (200, 0, 0), {"fit": "pad"}, 0, None),
        ((8, 5), (200, 0, 0), {"image_size": Size(5, 8)}, 0, None),
        ((4, 4), (192, 200, 192), {}, 0, "data.channels=1 trains on grey"),
        ((4, 4), 200, {"channels": 1}, 0, None),
    ],
)
def test_what_is_lost_or_not_there_is_said_once(
    load, tmp_path, said, size, colour, wanted, cut, text
):
    for i in (1, 2, 4):
        save(tmp_path / "in" / f"{i}.png", np.uint8(colour) // np.uint8(i), size)
    found = load("folder:in", **wanted)
    assert load("folder:in", **wanted).about == found.about
    assert found.about["cut"] == pytest.approx(cut)
    assert len(said) == bool(text)
    assert not text or re.search(text, said[0])


def test_sets_of_which_little_can_be_learnt_say_so(load, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: said.append(text % args))
    for i in range(3):
        save(tmp_path / "equal" / f"{i}.png", (200, 0, 0))
        save(tmp_path / "blank" / f"{i}.png", (200, i, 0), size=(1, 1))
        save(tmp_path / "narrow" / f"{i}.png", (200, 0, i), size=(4, 40))
    for source, wanted, warnings in (
        ("equal", {}, ["all pictures are equal", "all are of one colour"]),
        ("blank", {}, ["all are of one colour", "pictures smaller.*, which are enlarged: 3 of 3"]),
        ("narrow", {"image_size": 9, "fit": "pad"}, ["all are of one colour"]),
        ("narrow", {"image_size": 9}, ["all are of", "pictures smaller", "data.fit=crop cuts"]),
    ):
        said.clear()
        load(f"folder:{source}", **wanted)
        assert len(said) == len(warnings)
        assert all(map(re.search, warnings, said)), said


def test_few_of_many_names_are_proposed():
    with pytest.raises(InputError, match=r"^there is no set 'q'; there are \w+, \w+, \w+ and 96 m"):
        choose("q", [f"name{i}" for i in range(99)], "set")


def test_the_line_of_a_set_reads_well():
    about = {"train": 5, "val": 2, "leaked": 1, "sizes": ["60", "80x60"], "unused_pages": 1}
    assert census.describe(about) == (
        "5 to train on, 2 held out; 1 more page is not used: data.pages=all; 1 of the held-out "
        "ones is a copy of a training picture; 60x60 to 80x60 px (height x width)"
    )


def test_pages_of_a_tiff_are_pictures_if_asked(load, tmp_path):
    (tmp_path / "in").mkdir()
    first, *more = [Image.new("L", (4, 4), shade) for shade in (10, 20, 30)]
    first.save(tmp_path / "in" / "scan.tif", save_all=True, append_images=more)
    save(tmp_path / "in" / "x.png", 90)
    one_each = load("folder:in")
    assert everything(one_each) == [10, 90]
    assert "; 2 more pages are not used: data.pages=all;" in census.describe(one_each.about)
    all_pages = load("folder:in", pages="all")
    assert everything(all_pages) == [10, 20, 30, 90]
    # Those of one file are all trained on, or all held out.
    assert {*map(tuple, map(shades, (all_pages.train, all_pages.val)))} == {(10, 20, 30), (90,)}
    assert "more page" not in census.describe(all_pages.about)
    (tmp_path / "in" / "x.png").unlink()
    with pytest.raises(InputError, match=r"of 3 readable pictures none is left for train.*files"):
        load("folder:in", pages="all")


def test_old_copies_are_named_and_removed(tmp_path, capsys):
    for name in ("cats", "dogs", "birds"):
        for i in range(3):
            save(tmp_path / name / f"{i}.png", (80 * i, 0, 255 - i))
    arrays, cats, dogs = tmp_path / "data" / "arrays", tmp_path / "cats", tmp_path / "dogs"
    places = {"data_dir": tmp_path / "data"}
    old = [sources.identify(f"folder:{cats}", image_size=size, **places) for size in (16, 32)]
    for size in (16, 32):
        sources.load(f"folder:{cats}", image_size=size, **places)
    sources.load(f"folder:{tmp_path / 'birds'}", image_size=16, **places)

    assert run_prepare(tmp_path, f"--a={cats}", f"--b={dogs}") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    for folder in ("cats", "birds"):
        save(tmp_path / folder / "new.png", (1, 2, 3))
    # One of the decoder before.
    earlier = arrays / "folder-dogs-16-0123456789abcdef"
    used = sources.identify(f"folder:{dogs}", image_size=16, **places)
    shutil.copytree(used, earlier)
    about = (earlier / "about.json").read_text()
    was, now = f'"decode_version": {DECODE_VERSION - 1}', f'"decode_version": {DECODE_VERSION}'
    (earlier / "about.json").write_text(about.replace(now, was))

    assert run_prepare(tmp_path, f"--a={cats}", f"--b={dogs}") == 0
    captured = capsys.readouterr()
    *_, line = captured.out.splitlines()
    assert all(f"{folder.name} (0.0 MB, pictures have changed since)" in line for folder in old)
    assert f"{earlier.name} (0.0 MB, decoded by an earlier version)" in line
    assert "--tidy removes them" in line
    before = {path for path in arrays.iterdir() if path.is_dir()}

    # A run that is training has them mapped.
    trained_on = np.load(old[0] / "train.npy", mmap_mode="r")
    with files.mark_in_use(old[0] / "train.npy"):
        assert run_prepare(tmp_path, f"--a={cats}", f"--b={dogs}", "--tidy") == 0
        said = capsys.readouterr().out
    assert said.count("removed ") == 2
    assert f"kept {old[0].name} (0.0 MB, pictures have changed since): a running process" in said
    assert len(cache.open_arrays(old[0], Size(16, 16), 3).train) == len(trained_on)
    gc.collect()  # what was just opened is in use, too

    assert run_prepare(tmp_path, f"--a={cats}", f"--b={dogs}", "--tidy") == 0
    assert sum(x.startswith("removed ") for x in capsys.readouterr().out.splitlines()) == 1
    left = {path for path in arrays.iterdir() if path.is_dir()}
    assert left == before - {*old, earlier}
    assert run_prepare(tmp_path, f"--a={cats}", f"--b={dogs}") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


BLOCKED = """
import sys
from pathlib import Path
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0].startswith("tensorflow"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
from discogan_jax.data import sources
found = sources.load(sys.argv[1], image_size=4, data_dir=Path(sys.argv[2]))
print(len(found.train) + len(found.val))
"""


def test_folders_need_no_tensorflow(tmp_path):
    for i in range(3):
        save(tmp_path / "in" / f"{i}.jpg", (80 * i, 0, 0))
    command = [sys.executable, "-c", BLOCKED, f"folder:{tmp_path / 'in'}", tmp_path / "data"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "3\n"
