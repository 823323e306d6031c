import colorsys
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from discogan_jax import images
from discogan_jax.data import catalogue
from discogan_jax.data.catalogue import __main__, archive, items, outlines, painting
from discogan_jax.errors import InputError

KINDS = ("bags", "shoes")


@pytest.fixture(scope="module")
def drawn():
    return {
        kind: [(item, items.draw(item)) for item in (items.describe(kind, i) for i in range(40))]
        for kind in KINDS
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("catalogue")
    return catalogue.write_archives(directory, train=6, val=3, workers=1)


def shown_hue(picture):
    """Returns the mean hue in degrees, pixels weighted by chroma."""
    rgb = picture.reshape(-1, 3).astype(float)
    plane = rgb @ np.exp(2j * np.pi * np.arange(3) / 3)
    return np.degrees(np.angle(plane.sum())) % 360


def apart(a, b):
    return abs((a - b + 180) % 360 - 180)


@pytest.mark.parametrize("kind", KINDS)
def test_a_description_is_a_pure_function(kind):
    forwards = [items.describe(kind, i, 3) for i in range(20)]
    backwards = [items.describe(kind, i, 3) for i in reversed(range(20))]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 20
    assert forwards[0] != items.describe(kind, 0, 4)


def test_descriptions_stay_what_they_were():
    item = items.describe("shoes", 7, 1)
    assert (item.style, item.pattern) == ("flat", "stripes")
    assert item.hue == pytest.approx(270.30025393281477)


@pytest.mark.parametrize("kind", KINDS)
def test_hues_and_styles_are_even(kind):
    shown = [items.describe(kind, i) for i in range(1200)]
    for hues in ([i.hue for i in shown], [i.second_hue for i in shown]):
        counts = np.histogram(hues, bins=12, range=(0, 360))[0]
        assert counts.sum() == 1200
        assert ((counts > 65) & (counts < 140)).all()
    styles = outlines.styles(kind)
    counts = [sum(item.style == style for item in shown) for style in styles]
    assert min(counts) > 150
    assert {item.pattern for item in shown} == set(items.PATTERNS)
    assert sum(item.pattern == "plain" for item in shown) == pytest.approx(600, abs=70)


def test_kinds_are_unrelated():
    hues = [[items.describe(kind, i).hue for i in range(300)] for kind in KINDS]
    turns = np.exp(1j * np.radians(np.subtract(*hues)))
    assert abs(turns.mean()) < 0.15


def test_tilt_range_changes_nothing_else():
    for i in range(50):
        usual = items.describe("bags", i)
        wide = items.describe("bags", i, tilt_range=(-180.0, 180.0))
        assert abs(usual.tilt) <= 12
        assert wide.tilt == pytest.approx(15 * usual.tilt)
        assert replace(wide, tilt=usual.tilt) == usual


@pytest.mark.parametrize(("kind", "style"), [("bags", "tote"), ("shoes", "pump")])
def test_tilt_turns_the_object_clockwise(kind, style):
    item = replace(items.describe(kind, 0), style=style, tilt=0.0, x=0.0, y=0.0)
    upright = items.draw(item).min(-1) < 200
    turned = items.draw(replace(item, tilt=90.0)).min(-1) < 200
    expected = np.rot90(upright, -1)
    assert (turned & expected).sum() / (turned | expected).sum() > 0.93


def test_unknown_kinds_and_empty_ranges_are_refused():
    with pytest.raises(InputError, match="hats"):
        items.describe("hats", 0)
    with pytest.raises(InputError, match="empty"):
        items.describe("bags", 0, tilt_range=(5.0, -5.0))


@pytest.mark.parametrize("kind", KINDS)
def test_drawings_are_repeatable_and_differ(drawn, kind):
    (first, picture), (_, other) = drawn[kind][:2]
    np.testing.assert_array_equal(items.draw(first), picture)
    assert (picture != other).any()
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("kind", KINDS)
def test_background_is_white_and_objects_are_of_like_size(drawn, kind):
    covered = []
    for item, picture in drawn[kind]:
        for rim in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert rim.min() >= 250, item
        covered.append((picture.min(-1) < 200).mean())
    assert min(covered) > 0.12
    assert max(covered) < 0.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", [0, 1, 2, 3, 4, 5])
def test_every_style_in_every_pattern_and_tilt(kind, style):
    styles = tuple(outlines.styles(kind))
    item = replace(items.describe(kind, 1), style=styles[style], size=1.0)
    for turn, pattern in enumerate(items.PATTERNS):
        picture = items.draw(replace(item, pattern=pattern, tilt=90.0 * turn + 45))
        assert picture[:3, :3].min() >= 250
        assert (picture.min(-1) < 200).mean() > 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [128, 32])
def test_the_hue_shown_is_the_hue_described(drawn, kind, size):
    errors = [apart(shown_hue(images.fit(p, size)), item.hue) for item, p in drawn[kind]]
    assert np.mean(errors) < 8
    assert np.max(errors) < 30


@pytest.mark.parametrize("kind", KINDS)
def test_the_main_colour_dominates(drawn, kind):
    shares = []
    for item, picture in drawn[kind]:
        main = np.array(colorsys.hls_to_rgb(item.hue / 360, 0.5, 1.0)) * 2 - 1
        small = picture[::2, ::2]
        rgb = small[small.min(-1) < 200].astype(float) / 255
        coloured = rgb[np.ptp(rgb, axis=-1) > 0.15]
        hue = coloured @ np.exp(2j * np.pi * np.arange(3) / 3)
        axis = main @ np.exp(2j * np.pi * np.arange(3) / 3)
        shares.append((np.abs(np.angle(hue / axis)) < np.radians(20)).mean())
    assert np.mean(shares) > 0.7
    assert np.min(shares) > 0.5


def test_bags_and_shoes_can_be_told_apart_at_32_pixels(drawn):
    # By the nearest mean silhouette of the other drawings of each kind.
    shapes = {
        k: np.stack([images.fit(p, 32).min(-1) < 230 for _, p in v]) for k, v in drawn.items()
    }
    right = []
    for kind, other in (KINDS, KINDS[::-1]):
        own, foreign = shapes[kind].astype(float), shapes[other].mean(0)
        for shape in own:
            rest = (own.sum(0) - shape) / (len(own) - 1)
            right.append(((shape - rest) ** 2).sum() < ((shape - foreign) ** 2).sum())
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_edges_are_thin_dark_lines_on_white(drawn, kind):
    for item, picture in drawn[kind][:20]:
        lines = painting.edges(picture)
        assert lines.shape == picture.shape
        assert lines.dtype == np.uint8
        dark = lines[..., 0] < 128
        assert 0.01 < dark.mean() < 0.15, item
        # Every 3×3 block contains white: no line is thicker than two pixels.
        blocks = np.lib.stride_tricks.sliding_window_view(dark, (3, 3))
        assert blocks.all(axis=(-1, -2)).mean() < 1e-4
        # Each line is on the object or its border.
        reach = Image.fromarray((picture.min(-1) < 215).astype(np.uint8) * 255).resize((64, 64))
        near = np.asarray(reach.resize((256, 256), Image.Resampling.BICUBIC)) > 0
        assert (dark & ~near).sum() <= 0.05 * dark.sum()


def test_edges_of_white_are_white():
    assert (painting.edges(np.full((256, 256, 3), 255, np.uint8)) == 255).all()


def test_archives_are_laid_out_as_published(written):
    assert list(written) == ["edges2handbags", "edges2shoes"]
    for name, path in written.items():
        assert path.name == f"{name}.tar.gz"
        with tarfile.open(path, "r:gz") as tar:
            files = [member.name for member in tar if member.isfile()]
            assert files == [f"{name}/train/{i}_AB.jpg" for i in range(1, 7)] + [
                f"{name}/val/{i}_AB.jpg" for i in range(1, 4)
            ]
            data = tar.extractfile(files[0]).read()
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (512, 256), "RGB")
        pair = images.read(data).astype(int)
        kind = "bags" if "bags" in name else "shoes"
        photo = items.draw(items.describe(kind, 0))
        assert abs(pair[:, 256:] - photo).mean() < 3
        assert abs(pair[:, :256] - painting.edges(photo)).mean() < 5
        assert np.median(pair[:, :256]) >= 250


def test_attributes_are_beside_the_archive(written):
    for kind, name in catalogue.ARCHIVES.items():
        record = json.loads(archive.record_path(written[name]).read_text())
        assert record["parameters"]["train"] == 6
        shown = {key: items.Item(**value) for key, value in record["images"].items()}
        assert len(shown) == 9
        assert shown["train/2_AB.jpg"] == items.describe(kind, 1)
        assert shown["val/3_AB.jpg"] == items.describe(kind, catalogue.VAL_START + 2)


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_processes(written, tmp_path):
    again = catalogue.write_archives(tmp_path, train=6, val=3, workers=2)
    for name, path in written.items():
        assert again[name].read_bytes() == path.read_bytes()
        assert gzip.decompress(path.read_bytes())[:5] == b"edges"


def test_more_drawings_leave_the_first_as_they_are(written, tmp_path):
    more = catalogue.write_archives(tmp_path, train=8, val=4, workers=1)
    for name, path in written.items():
        with tarfile.open(path) as few, tarfile.open(more[name]) as many:
            for member in few:
                if member.isfile():
                    data = many.extractfile(member.name).read()
                    assert few.extractfile(member).read() == data


def test_complete_archives_are_kept_and_others_drawn_anew(tmp_path):
    def write(**parameters):
        paths = catalogue.write_archives(tmp_path, val=1, **parameters)
        return {path: path.stat().st_mtime_ns for path in paths.values()}

    first = write(train=2)
    assert write(train=2) == first
    bags, shoes = first
    whole = bags.read_bytes()
    bags.write_bytes(whole[:-100])  # damaged
    mended = write(train=2)
    assert bags.read_bytes() == whole
    assert mended[shoes] == first[shoes]
    assert write(train=3)[shoes] != first[shoes]
    assert not list(tmp_path.glob(".*"))


def test_a_foreign_archive_is_never_overwritten(tmp_path):
    published = tmp_path / "edges2shoes.tar.gz"
    published.write_bytes(b"published")
    with pytest.raises(InputError, match=r"edges2shoes\.tar\.gz"):
        catalogue.write_archives(tmp_path, train=1, val=1)
    assert published.read_bytes() == b"published"
    assert [path.name for path in tmp_path.iterdir()] == [published.name]


def test_impossible_numbers_and_places_are_refused(tmp_path):
    for wrong in ({"train": 0}, {"val": 0}, {"train": 10**7}, {"workers": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            catalogue.write_archives(tmp_path, **wrong)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        catalogue.write_archives(tmp_path / "file", train=1, val=1)


def test_command_line(tmp_path, capsys):
    arguments = [str(tmp_path), "--train", "1", "--val", "1", "--seed", "5"]
    assert __main__.main(arguments) == 0
    assert "edges2shoes.tar.gz: 1 train + 1 val, seed 5" in capsys.readouterr().out
    assert __main__.main([str(tmp_path), "--train", "0"]) == 2
    assert "train is 0" in capsys.readouterr().err


def test_workers_start_light():
    code = (
        "import sys, discogan_jax.data.catalogue; "
        "print([m for m in ('jax', 'tensorflow', 'flax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_outlines_stay_what_they_were():
    digest = hashlib.sha256()
    for kind in KINDS:
        for style, parts in outlines.styles(kind).items():
            for _, *rest in parts:
                digest.update(repr((style, rest)).encode())
            points = [outlines.sample(part.path) for part in parts]
            digest.update(repr([(round(x, 9), round(y, 9)) for p in points for x, y in p]).encode())
    assert digest.hexdigest()[:16] == "b76b8e69080c5bc1"
