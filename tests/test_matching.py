"""`discogan match`: finds the pictures of a folder that go with a translation."""

import json
import os

import numpy as np
import pages
import pytest
import runs_here
from PIL import Image

from discogan_jax import cli, images, matching
from discogan_jax.data.catalogue import items
from discogan_jax.errors import InputError

SIZE = runs_here.SIZE


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data = runs_here.write_arrays(folder / "data")
    return runs_here.untrained(runs_here.config(data), folder / "run", steps=(1,))


def draw(path, index, kind="shoes", **changes):
    """Saves a drawing, and returns what it shows."""
    item = items.describe(kind, index)
    item = type(item)(**(vars(item) | changes))
    path.parent.mkdir(parents=True, exist_ok=True)
    images.save(path, items.draw(item))
    return item


@pytest.fixture
def shop(tmp_path):
    """A catalogue of drawn shoes at two depths, and files that are no pictures."""
    for i in range(6):
        draw(tmp_path / "shop" / ("new" if i % 2 else ".") / f"{i}.png", i)
    (tmp_path / "shop" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    (tmp_path / "shop" / "prices.txt").write_text("no picture")
    return tmp_path / "shop"


def opened(shop, run, tmp_path, to="shoes"):
    return matching.open_catalogue(shop, run, to, tmp_path / "data")


def seen(path):
    return images.fit(images.read(path), SIZE)


def test_the_twin_of_a_translation_comes_first(shop, run, tmp_path, monkeypatch):
    monkeypatch.setattr(matching, "_BATCH", 4)  # two are left for a second one
    catalogue = opened(shop, run, tmp_path)
    assert [*catalogue.names] == ["0.png", "2.png", "4.png", "new/1.png", "new/3.png", "new/5.png"]
    twins = np.stack([seen(shop / name) for name in catalogue.names])
    for name, found in zip(catalogue.names, catalogue.nearest(twins), strict=True):
        assert found[0] == (name, 0.0)
        assert len(found) == matching.COUNT == len({match.name for match in found})
        distances = [match.distance for match in found]
        assert distances == sorted(distances)
        assert distances[1] > 0
    # What a run returns are numbers in [0, 1].
    assert catalogue.nearest(images.to_unit(twins), 2) == [x[:2] for x in catalogue.nearest(twins)]
    with pytest.raises(InputError, match="NaN or infinite"):
        catalogue.nearest(np.full((1, SIZE, SIZE, 3), np.nan, np.float32))


def test_hue_counts_more_than_shape_and_shape_decides_between_equal_hues(run, tmp_path):
    alike = {"second_hue": 200.0, "lightness": 0.5, "saturation": 0.8, "pattern": "plain"}
    for name, hue, tilt in (("red", 0, 0), ("red-tilted", 0, 12), ("green", 120, 0)):
        draw(tmp_path / "shop" / f"{name}.png", 0, hue=float(hue), tilt=float(tilt), **alike)
    catalogue = opened(tmp_path / "shop", run, tmp_path)
    draw(tmp_path / "made.png", 0, hue=5.0, tilt=0.0, **alike)
    (found,) = catalogue.nearest(seen(tmp_path / "made.png")[None])
    assert [match.name for match in found] == ["red.png", "red-tilted.png", "green.png"]


def test_what_is_left_out_is_counted(shop, run, tmp_path):
    said = str(opened(shop, run, tmp_path))
    assert said.endswith(
        "shop: 6 pictures; left out: 1 not a picture (prices.txt), 1 unreadable (broken.jpg)"
    )
    assert str(opened(shop, run, tmp_path)) == said  # also where the index is used again


def test_the_index_is_used_again_until_the_catalogue_changes(shop, run, tmp_path, monkeypatch):
    first = opened(shop, run, tmp_path)
    (kept,) = (tmp_path / "data" / "catalogues").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(matching, "_make", None)  # nothing is read anew
        again = opened(shop, run, tmp_path)
    np.testing.assert_array_equal(again.described, first.described)
    # A file comes, changes, goes.
    draw(shop / "7.png", 7)
    assert "7.png" in opened(shop, run, tmp_path).names
    (shop / "7.png").write_bytes((shop / "0.png").read_bytes())
    os.utime(shop / "7.png", (0, 0))
    (found,) = opened(shop, run, tmp_path).nearest(seen(shop / "0.png")[None], 2)
    assert {match.name for match in found} == {"0.png", "7.png"}
    assert found[1].distance == 0
    (shop / "7.png").unlink()
    assert opened(shop, run, tmp_path).names == first.names
    # One file is there for one folder, and damage to it is noticed.
    assert [*kept.parent.iterdir()] == [kept]
    for content in (kept.read_bytes()[:200], b"", b"no index"):
        kept.write_bytes(content)
        np.testing.assert_array_equal(opened(shop, run, tmp_path).described, first.described)
    # So are numbers that are others than those that were kept, and files that exchange names.
    with np.load(kept) as saved:
        about, numbers = saved["about"], saved["described"]
    np.savez(kept, about=about, described=numbers[::-1])
    np.testing.assert_array_equal(opened(shop, run, tmp_path).described, first.described)
    for name in ("0.png", "2.png"):
        os.utime(shop / name, (0, 0))
        (shop / name).write_bytes((shop / name).read_bytes().ljust(20_000, b"\0"))
        os.utime(shop / name, (0, 0))
    before = opened(shop, run, tmp_path)
    (shop / "0.png").rename(shop / "x")
    (shop / "2.png").rename(shop / "0.png")
    (shop / "x").rename(shop / "2.png")
    after = opened(shop, run, tmp_path)
    np.testing.assert_array_equal(after.described[:2], before.described[1::-1])
    # Where it cannot be kept, the search works all the same.
    (tmp_path / "file").touch()
    assert matching.open_catalogue(shop, run, "shoes", tmp_path / "file").names == first.names


def test_a_picture_that_is_gone_by_now_is_not_shown(shop, run, tmp_path):
    catalogue = opened(shop, run, tmp_path)
    (shop / "0.png").unlink()
    assert catalogue.load("0.png", images.Size(SIZE, SIZE)) is None
    assert catalogue.load("2.png", images.Size(SIZE, SIZE)).shape == (SIZE, SIZE, 3)


def test_catalogues_without_pictures_are_refused(run, tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        opened(tmp_path / "nowhere", run, tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "prices.txt").write_text("no picture")
    with pytest.raises(InputError, match="holds no pictures, at any depth"):
        opened(tmp_path / "shop", run, tmp_path)
    (tmp_path / "shop" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"none of 1 pictures can be read\. The first: .*broken"):
        opened(tmp_path / "shop", run, tmp_path)
    with pytest.raises(InputError, match="translates to bags and shoes, not 'hats'"):
        opened(tmp_path / "shop", run, tmp_path, to="hats")


def test_the_command_writes_lines_and_sheets(shop, run, tmp_path, capsys):
    mine, out = tmp_path / "mine", tmp_path / "out"
    for i in range(2):
        draw(mine / f"bag {i}.png", i, "bags")
    words = ["match", str(run.path), str(mine), "--catalogue", str(shop), "--to=shoes"]
    words += [f"--data-dir={tmp_path / 'data'}"]
    assert cli.main(words) == 0
    printed, said = capsys.readouterr()
    assert "6 pictures; left out: 1 not a picture (prices.txt), 1 unreadable" in said
    lines = [json.loads(line) for line in printed.splitlines()]
    # They are what Python gives.
    pictures = sorted(mine.iterdir())
    found = opened(shop, run, tmp_path).nearest(run.translate(pictures, "shoes"))
    expected = [
        (str(picture), rank, str(shop / match.name), pytest.approx(match.distance, abs=1e-3))
        for picture, matches in zip(pictures, found, strict=True)
        for rank, match in enumerate(matches, 1)
    ]
    assert [tuple(line.values()) for line in lines] == expected
    assert [*lines[0]] == ["picture", "rank", "file", "distance"]

    # The same in a folder, beside contact sheets, one row a picture; a second time, too.
    (mine / "broken.png").write_bytes(b"no picture")
    for _ in range(2):
        assert cli.main([*words, f"--out={out}", "--count=3"]) == 1
        captured = capsys.readouterr()
        assert "1 skipped, see above" in captured.out
        assert "broken.png cannot be read as a picture" in captured.err
    assert {x.name for x in out.iterdir()} == {"matches.jsonl", "sheet-001.png"}
    written = [json.loads(line) for line in (out / "matches.jsonl").read_text().splitlines()]
    assert written == [line for line in lines if line["rank"] <= 3]
    height, width, _ = images.read(out / "sheet-001.png").shape
    assert (height // 96, width // 96) == (2, 2 + 3)


def test_other_files_are_not_replaced(shop, run, tmp_path, capsys):
    bag, out = tmp_path / "bag.png", tmp_path / "out"
    draw(bag, 0, "bags")
    words = ["match", str(run.path), str(bag), f"--catalogue={shop}", "--to=shoes", f"--out={out}"]
    words += [f"--data-dir={tmp_path / 'data'}"]
    out.mkdir()
    for name, content in (("matches.jsonl", b'{"mine": 1}\n'), ("sheet-001.png", bag.read_bytes())):
        (out / name).write_bytes(content)
        assert cli.main(words) == 2
        assert f"{name} is there and was not written by this command" in capsys.readouterr().err
        assert (out / name).read_bytes() == content
        assert cli.main([*words, "--overwrite"]) == 0
        assert (out / name).read_bytes() != content
    assert cli.main([*words[:-2], f"--out={bag}"]) == 2
    assert "bag.png is a file; name a folder" in capsys.readouterr().err
    assert cli.main([*words[:-2], f"--out={shop / 'new'}"]) == 2
    assert "new is in the catalogue" in capsys.readouterr().err
    inside = [*words[:2], str(out / "sheet-001.png"), *words[3:], "--overwrite"]
    assert cli.main(inside) == 2
    assert "sheet-001.png is an input" in capsys.readouterr().err


def test_grey_runs_and_few_pictures(tmp_path):
    """Of one channel, without colour; a catalogue of one picture is found whole."""
    data = runs_here.write_arrays(tmp_path / "arrays", channels=1)
    run = runs_here.untrained(runs_here.config(data, data__channels=1), tmp_path / "run")
    (tmp_path / "shop").mkdir()
    Image.new("L", (30, 20), 90).save(tmp_path / "shop" / "grey.png")
    found = opened(tmp_path / "shop", run, tmp_path).nearest(np.full((2, SIZE, SIZE, 1), 90, "u1"))
    assert [[match.name for match in matches] for matches in found] == [["grey.png"]] * 2
    assert found[0][0].distance == 0


def test_the_example_of_the_page(shop, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "my_bag.jpg", 0, "bags")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "sample").symlink_to(run.path)
    shop.rename(tmp_path / "shoes")
    shop.mkdir()
    (tmp_path / "shoes").rename(shop / "shoes")
    pages.run("docs/match.md")
    assert len(capsys.readouterr().out.splitlines()) == matching.COUNT
