"""Every kind of source, on generated files, and the cache that they share."""

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from functools import partial

import numpy as np
import pytest
from absl import logging
from PIL import Image

from discogan_jax.data import cache, source, sources
from discogan_jax.data.catalogue import archive
from discogan_jax.data.folder import held_out
from discogan_jax.data.pix2pix import tar as pix2pix_tar
from discogan_jax.errors import InputError
from discogan_jax.files import locks
from discogan_jax.images import Size

# Every picture of an archive encodes its number: in the position of its line, and in its grey.
TRAIN, VAL = (3, 10, 1, 2, 7, 11, 4), (12, 2, 9)


def draw_edges(number):
    picture = np.full((256, 256, 3), 255, np.uint8)
    picture[:, 18 * number] = 0
    return picture


def draw_photo(number):
    return np.full((256, 256, 3), 18 * number, np.uint8)


def jpeg(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    return file.getvalue()


def write_archive(path, name="edges2shoes"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for split, numbers in (("train", TRAIN), ("val", VAL)):
            for number in numbers:
                data = jpeg(np.hstack([draw_edges(number), draw_photo(number)]))
                info = tarfile.TarInfo(f"{name}/{split}/{number}_AB.jpg")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    write_archive(folder / "edges2shoes.tar.gz")
    return {"archives": folder, "data_dir": folder / "data"}


def numbers_of_photos(pictures):
    return [round(value / 18) for value in pictures.mean((1, 2, 3))]


def numbers_of_edges(pictures):
    return [round(column * 256 / pictures.shape[2] / 18) for column in dark_columns(pictures)]


def dark_columns(pictures):
    ink = (255.0 - pictures[..., 0]).mean(1)
    return (ink * (np.arange(pictures.shape[2]) + 0.5)).sum(1) / ink.sum(1)


def test_archive_rows_follow_the_numbers_and_halves_share_no_file(made):
    photo, edges, first, second = (
        sources.load(f"archive:edges2shoes/{part}", image_size=64, **made)
        for part in ("photo", "edges", "edges/first", "photo/second")
    )
    everything = sorted(TRAIN)
    assert numbers_of_photos(photo.train) == numbers_of_edges(edges.train) == everything
    learnt = numbers_of_edges(first.train), numbers_of_photos(second.train)
    assert sorted(learnt[0] + learnt[1]) == everything
    assert min(map(len, learnt)) == len(TRAIN) // 2
    for domain, numbers in ((first, numbers_of_edges), (second, numbers_of_photos)):
        assert numbers(domain.val) == sorted(VAL)  # pairs, for evaluation
    assert isinstance(photo.train, np.memmap)
    assert not photo.train.flags.writeable


def test_archive_pictures_are_exact_box_means_of_thickened_lines(made):
    size = {size: sources.load("archive:edges2shoes/edges", image_size=size, **made).train
            for size in (256, 64)}  # fmt: skip
    for row, number in enumerate(sorted(TRAIN)):
        dark = np.flatnonzero(size[256][row, 100, :, 0] < 64)
        np.testing.assert_array_equal(dark, 18 * number + np.arange(-1, 2))
    means = size[256].reshape(-1, 64, 4, 64, 4, 3).mean((2, 4))
    assert np.abs(size[64] - means).max() <= 0.51
    larger = sources.load("archive:edges2shoes/photo", image_size=300, **made).train
    assert numbers_of_photos(larger) == sorted(TRAIN)


BLOCKED = """
import sys
from pathlib import Path
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_datasets", "requests"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
from discogan_jax.data import sources
from discogan_jax.errors import InputError
def load(archives):
    return sources.load("archive:edges2shoes/photo", image_size=64,
                        data_dir=Path(sys.argv[2]), archives=archives)
found = load(None)
print(int(found.train.astype(int).sum()), len(found.val))
try:
    load(Path(sys.argv[1]))
except InputError as error:
    print(error)
"""


def test_an_archive_once_decoded_needs_neither_tensorflow_nor_what_it_came_from(tmp_path):
    archive = write_archive(tmp_path / "data" / "downloads" / "edges2shoes.tar.gz")
    given = tmp_path / "given.tar.gz"
    shutil.copy(archive, given)
    options = {"image_size": 64, "data_dir": tmp_path / "data"}
    found = sources.load("archive:edges2shoes/photo", **options)
    shutil.rmtree(tmp_path / "data" / "downloads")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, given, tmp_path / "data"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    total = f"{int(found.train.astype(int).sum())} {len(found.val)}"
    assert done.stdout.split("\n")[0] == total
    assert (
        "decoding it needs TensorFlow, which is not installed: pip install tensorflow "
        "tensorflow-datasets, or use sources of folders or arrays."
    ) in done.stdout


def test_bad_pictures_of_an_archive_are_left_out_and_named(tmp_path, caplog):
    """As many as are tolerated; with one more the archive is refused, and nothing is cached."""
    path = write_archive(tmp_path / "edges2shoes.tar.gz")
    options = {"image_size": 64, "data_dir": tmp_path / "data", "archives": path}
    with tarfile.open(path) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
    first = next(name for name in files if "/train/" in name)
    for number in (pix2pix_tar.MAX_BAD_COUNT, pix2pix_tar.MAX_BAD_COUNT + 1):
        cut = {f"edges2shoes/train/{i}00_AB.jpg": files[first][:-99] for i in range(number)}
        with tarfile.open(path, "w:gz") as tar:
            for name, content in (cut | files).items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        if number == pix2pix_tar.MAX_BAD_COUNT:
            found = sources.load("archive:edges2shoes/photo", **options)
            assert numbers_of_photos(found.train) == sorted(TRAIN)
            assert f"train: {number} of {number + len(TRAIN)} images left out" in caplog.text
    with pytest.raises(InputError, match=f"{number} unusable images of"):
        sources.load("archive:edges2shoes/photo", **options)
    assert len([p for p in (tmp_path / "data" / "arrays").iterdir() if p.is_dir()]) == 1


def save(path, colour, mode="RGB", size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def test_folder_holds_out_by_name_and_skips_what_it_cannot_read(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: said.append(text % args))
    folder = tmp_path / "pictures"
    for shade in range(1, 81):
        save(folder / f"{shade % 3}" / f"{shade}.png", 3 * shade, "L", (9 + shade, 30))
    save(folder / "deep" / "er" / "palette.PNG", 200, "P")
    save(folder / ".thumbnails" / "1.png", 0, "L")
    (folder / "notes.txt").write_text("no picture")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "nowhere.jpg").symlink_to(folder / "moved.jpg")

    options = {"image_size": 8, "data_dir": tmp_path / "data"}
    before = sources.load(f"folder:{folder}", **options)
    assert len(before.train) + len(before.val) == 81
    assert len(before.val) >= 1
    assert "2 of 83 skipped" in said[0]
    assert before.about["left_out"] == {
        "unreadable": {"count": 2, "names": ["broken.jpg", "nowhere.jpg"]},
        "not a picture": {"count": 1, "names": ["notes.txt"]},
    }
    assert all(name in said[0] for name in ("broken.jpg", "nowhere.jpg"))
    key = sources.identify(f"folder:{folder}", **options)

    for shade in range(81, 85):
        save(folder / f"{shade}.png", 3 * shade, "L")
    assert sources.identify(f"folder:{folder}", **options) != key
    after = sources.load(f"folder:{folder}", **options)
    for old, new in ((before.train, after.train), (before.val, after.val)):
        assert {x.tobytes() for x in old} <= {x.tobytes() for x in new}
    assert len(after.train) + len(after.val) == 85


def test_no_picture_moves_between_the_splits_when_others_come_or_go():
    names = [f"{number}.jpg" for number in range(20_000)]
    chosen = set(held_out(names))
    assert 800 < len(chosen) < 1200
    for number in (100, 2000, 12_000):
        assert set(held_out(names[:number])) == chosen & set(names[:number])
    # At least one on either side, of two or more.
    for number in range(2, 30):
        assert 1 <= len(held_out(names[:number])) < number
    assert len(held_out(sorted(chosen)[:7])) == 6
    # Runs of earlier versions held out 500 at most.
    assert len(held_out(names, at_most=500)) == 500
    assert held_out(names[:2000], at_most=500) == held_out(names[:2000])


def test_folder_with_splits_of_its_own(tmp_path):
    for split, shade in (("train", 100), ("test", 200), ("elsewhere", 0)):
        save(tmp_path / "in" / split / "bags" / "x.bmp", (shade, shade, shade))
    found = sources.load(f"folder:{tmp_path / 'in'}", image_size=4, data_dir=tmp_path / "data")
    assert (found.train == 100).all()
    assert (found.val == 200).all()
    (tmp_path / "in" / "test" / "bags" / "x.bmp").write_bytes(b"BM")
    with pytest.raises(InputError, match="none is left for val"):
        sources.load(f"folder:{tmp_path / 'in'}", image_size=4, data_dir=tmp_path / "data")
    assert not list((tmp_path / "data" / "arrays").glob(".*.tmp"))


def test_tfds_by_splits(tmp_path):
    import tensorflow_datasets as tfds

    class TinyPictures(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="grey")]  # noqa: RUF012

        def _info(self):
            mask, grey = tfds.features.Image(shape=(4, 4, 1)), tfds.features.Image(shape=(9, 12, 1))
            features = tfds.features.FeaturesDict({"a_mask": mask, "image": grey})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"trainA": self._generate_examples(10, 40), "testA": self._generate_examples(90)}

        def _generate_examples(self, *shades):
            for shade in shades:
                mask, grey = np.zeros((4, 4, 1), np.uint8), np.full((9, 12, 1), shade, np.uint8)
                yield shade, {"a_mask": mask, "image": grey}

    class TinyWords(TinyPictures):
        def _info(self):
            features = tfds.features.FeaturesDict({"word": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _generate_examples(self, *shades):
            yield from ((shade, {"word": "grey"}) for shade in shades)

    def values(spec):
        found = sources.load(f"tfds:{spec}", image_size=6, data_dir=tmp_path)
        return tuple(sorted({int(x) for x in part.ravel()}) for part in (found.train, found.val))

    assert values("tiny_pictures/grey:trainA:testA") == ([10, 40], [90])
    assert values("tiny_pictures/grey:1.0.0:testA:trainA[:50%]")[0] == [90]
    train, val = values("tiny_pictures/grey:trainA")
    assert sorted(train + val) == [10, 40]
    for spec, message in (
        ("tiny_picture:trainA", "tiny_pictures"),
        ("tiny_pictures/green:trainA", "green"),
        ("tiny_pictures:trainB", "splits: testA, trainA"),
        ("tiny_pictures:trainA:test[", "no split 'test\\['"),
        ("tiny_pictures:trainA[:0]", "has no pictures"),
        ("tiny_words:trainA", "no images"),
    ):
        with pytest.raises(InputError, match=message):
            values(spec)


def test_tfds_finds_what_was_prepared_elsewhere(tmp_path, monkeypatch):
    """In `TFDS_DATA_DIR` or TFDS's own folder, without the code that prepared it."""
    import tensorflow_datasets as tfds

    class Elsewhere(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(4, 4, 3))})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            yield from ((i, {"image": np.full((4, 4, 3), i, np.uint8)}) for i in range(40))

    Elsewhere(data_dir=tmp_path / "home" / "tensorflow_datasets").download_and_prepare()
    monkeypatch.delitem(tfds.core.registered._DATASET_REGISTRY, "elsewhere")
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))

    def load(data_dir):
        found = sources.load("tfds:elsewhere:train", image_size=4, data_dir=tmp_path / data_dir)
        return sorted(int(x.max()) for x in (*found.train, *found.val))

    places = (tmp_path / "one" / "tfds", tmp_path / "nobody" / "tensorflow_datasets")
    with pytest.raises(InputError, match=f"None is prepared in {places[0]} or {places[1]}"):
        load("one")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert load("two") == list(range(40))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "home" / "tensorflow_datasets"))
    assert load("three") == list(range(40))


def test_catalogue_is_its_archives(tmp_path, made, monkeypatch):
    monkeypatch.setattr(
        archive,
        "write_archives",
        lambda folder: {"edges2shoes": write_archive(folder / "edges2shoes.tar.gz")},
    )
    drawn = sources.load("catalogue:shoes", image_size=64, data_dir=tmp_path)
    same = sources.load("archive:edges2shoes/photo", image_size=64, **made)
    np.testing.assert_array_equal(drawn.train, same.train)


def test_arrays_are_checked_and_a_cache_folder_can_be_carried(tmp_path, made):
    where = sources.identify("archive:edges2shoes/photo", image_size=64, **made)
    found = sources.load("archive:edges2shoes/photo", image_size=64, **made)
    carried = tmp_path / "carried"
    shutil.copytree(where, carried)
    options = {"data_dir": tmp_path / "data"}
    same = sources.load(f"arrays:{carried}", image_size=64, **options)
    np.testing.assert_array_equal(same.train, found.train)
    assert not [*(tmp_path / "data").rglob("*.npy")]
    with pytest.raises(InputError, match=r"uint8 \[N, 32, 32, 3\]"):
        sources.load(f"arrays:{carried}", image_size=32, **options)
    for bad in (np.zeros((2, 64, 64, 3), np.float32), np.zeros((0, 64, 64, 3), np.uint8)):
        np.save(carried / "val.npy", bad)
        with pytest.raises(InputError, match=r"val\.npy holds"):
            sources.load(f"arrays:{carried}", image_size=64, **options)
    (carried / "val.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="no NumPy array"):
        sources.load(f"arrays:{carried}", image_size=64, **options)
    (carried / "val.npy").unlink()
    with pytest.raises(InputError, match="no such file"):
        sources.load(f"arrays:{carried}", image_size=64, **options)


TWICE = """
import sys
from pathlib import Path
from discogan_jax.data import decode, sources
whole = decode.write_pictures
def counted(*args, **kwargs):
    print("decoding", flush=True)
    sys.stdin.readline()
    return whole(*args, **kwargs)
decode.write_pictures = counted
found = sources.load(sys.argv[1], image_size=8, data_dir=Path(sys.argv[2]))
print(len(found.train) + len(found.val))
"""


def test_two_processes_share_one_cache_and_the_dead_leave_nothing(tmp_path):
    for shade in range(30):
        save(tmp_path / "in" / f"{shade}.png", shade, "L")
    source, data = f"folder:{tmp_path / 'in'}", tmp_path / "data"
    place = sources.identify(source, image_size=8, data_dir=data)
    command = [sys.executable, "-c", TWICE, source, data]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as dead:
        assert dead.stdout.readline() == "decoding\n"
        dead.kill()
    assert len(list(place.parent.glob(".*.tmp"))) == 1
    with subprocess.Popen(command, **pipes) as one:
        assert one.stdout.readline() == "decoding\n"
        with subprocess.Popen(command, **pipes, stderr=subprocess.PIPE) as other:
            assert any("waiting for another process" in line for line in other.stderr)
            assert one.communicate("\n")[0] == "30\n"
            assert other.communicate("\n")[0] == "30\n"  # did not decode
    assert one.returncode == other.returncode == 0
    assert not list(place.parent.glob(".*.tmp"))


def test_without_locks_the_second_to_finish_takes_what_the_first_made(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks, "lock_descriptor", refuse)
    folder = tmp_path / "arrays" / "name-key"

    def write(to, shade=1, meanwhile=False):
        for split in ("train", "val"):
            np.save(to / f"{split}.npy", np.full((1, 2, 2, 3), shade, np.uint8))
        if meanwhile:
            cache.cached(folder, Size(2, 2), 3, write, {})
        return {}

    found = cache.cached(folder, Size(2, 2), 3, lambda to: write(to, 2, meanwhile=True), {})
    assert found.train.max() == 1
    assert sorted(path.name for path in folder.parent.glob("*.tmp")) == []


def test_caches_of_earlier_versions_get_a_digest_and_altered_ones_are_said(tmp_path, caplog):
    for shade in range(4):
        save(tmp_path / "in" / f"{shade}.png", shade, "L")
    load = partial(sources.load, f"folder:{tmp_path / 'in'}", image_size=8, data_dir=tmp_path)
    sound = np.array(load().train)
    (folder,) = (tmp_path / "arrays").glob("[!.]*")
    identity = json.loads((folder / "identity.json").read_text())
    digest = identity.pop("digest")
    (folder / "identity.json").write_text(json.dumps(identity))
    load()
    assert json.loads((folder / "identity.json").read_text())["digest"] == digest
    # Copied to another disk: as sound as before.
    shutil.copy(folder / "train.npy", tmp_path / "copy")
    (tmp_path / "copy").rename(folder / "train.npy")
    assert "altered" not in caplog.text
    load()
    np.save(folder / "train.npy", sound[::-1])
    with caplog.at_level("WARNING", "absl"):
        np.testing.assert_array_equal(load().train, sound)
    assert f"{folder} is damaged or was altered since it was made; it is made anew" in caplog.text
    # Either of the two files tells.
    caplog.clear()
    np.save(folder / "train.npy", sound[::-1])
    (folder / "identity.json").unlink()
    np.testing.assert_array_equal(load().train, sound)
    assert "it is made anew" in caplog.text
    # The user's own arrays are what they are now.
    own = shutil.copytree(folder, tmp_path / "own")
    arrays = partial(sources.load, f"arrays:{own}", image_size=8, data_dir=tmp_path)
    before = arrays().digests["train"]
    np.save(own / "train.npy", sound[::-1])
    np.testing.assert_array_equal(arrays().digests["train"], before[::-1])


def test_the_disk_is_taken_before_pictures_are_written(tmp_path, monkeypatch):
    def full(file, start, size):
        assert size == os.fstat(file).st_size == 128 + 10 * 8 * 8 * 3
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    save(tmp_path / "in" / "1.png", 3, "L")
    (tmp_path / "new").mkdir()
    with pytest.raises(InputError, match=rf"a\.npy needs 2.* in {tmp_path}, which has .*make room"):
        cache.create_array(tmp_path / "new" / "a.npy", (10, 8, 8, 3))
    monkeypatch.delattr(os, "posix_fallocate")
    made = cache.create_array(tmp_path / "new" / "a.npy", (10, 8, 8, 3))
    assert made.shape == np.load(tmp_path / "new" / "a.npy").shape == (10, 8, 8, 3)
    assert not made.any()


def test_a_failed_decode_leaves_no_cache(tmp_path):
    with pytest.raises(ZeroDivisionError):
        cache.cached(tmp_path / "arrays" / "name-key", Size(2, 2), 3, lambda to: 1 // 0, {})
    assert [path.suffix for path in (tmp_path / "arrays").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("edges2shoes/photo", "must start with one of archive:, .*write folder:edges2shoes/photo"),
        ("archives:edges2shoes/photo", "did you mean 'archive'"),
        ("archive:edges2shoes", "write archive:NAME/SIDE"),
        ("archive:edges2shoe/photo", "did you mean 'edges2shoes'.*edges2handbags"),
        ("archive:edges2shoes/photos", "did you mean 'photo'.*edges, photo"),
        ("archive:edges2shoes/photo/frist", "did you mean 'first'"),
        ("archive:edges2handbags/photo", "edges2handbags.tar.gz"),
        ("catalogue:shoe", "did you mean 'shoes'"),
        ("tfds:cycle_gan", "write tfds:NAME"),
        ("folder:", "write folder:PATH"),
        ("folder:/no/such/place", "no such folder"),
        ("folder:{empty}", "holds no pictures"),
        ("folder:{broken}", "none of 1 pictures can be read"),
        ("folder:{single}", "of 1 readable picture none is left for train"),
    ],
)
def test_mistakes_are_reported(source, message, made, tmp_path):
    places = {name: tmp_path / name for name in ("empty", "broken", "single")}
    for place in places.values():
        place.mkdir()
    (places["broken"] / "x.png").write_bytes(b"no picture")
    save(places["single"] / "x.png", 0, "L")
    with pytest.raises(InputError, match=message):
        sources.load(source.format(**places), image_size=64, **made)


def test_the_key_is_made_of_all_that_shapes_the_arrays(tmp_path, monkeypatch):
    archive = write_archive(tmp_path / "archives" / "edges2shoes.tar.gz")

    def key(text="archive:edges2shoes/photo", image_size=64, archives=archive):
        options = {"data_dir": tmp_path / "data", "archives": archives}
        return sources.identify(text, image_size=image_size, **options).name

    keys = [
        key(),
        key(image_size=128),
        key(archives=None),
        key("archive:edges2shoes/edges"),
        key("archive:edges2shoes/photo/first"),
    ]
    assert key(archives=archive.parent) == keys[0]
    archive.write_bytes(archive.read_bytes()[:-1])
    keys.append(key())
    picture = tmp_path / "in" / "x.png"
    save(picture, 1)
    keys.append(key(f"folder:{picture.parent}"))
    os.utime(picture, (0, 0))
    keys.append(key(f"folder:{picture.parent}"))
    monkeypatch.setattr(source, "DECODE_VERSION", source.DECODE_VERSION + 1)
    keys += [key(), key(f"folder:{picture.parent}")]
    assert len(set(keys)) == len(keys)
    assert keys[0].startswith("archive-edges2shoes-photo-64-")


@pytest.mark.parametrize(
    ("source", "kind", "public", "licence", "drawn", "dataset"),
    [
        ("archive:edges2shoes/photo/first", "archive", None, "Zappos50K", False, "edges2shoes"),
        ("archive:maps/map", "archive", None, "^of a pix2pix archive", False, "maps"),
        ("folder:/home/me/cats", "folder", "folder:cats", "whoever trained this", False, None),
        ("tfds:horse/a:1.0.0:train[:9%]:test", "tfds", None, "TensorFlow", False, "horse/a"),
        ("catalogue:bags", "catalogue", None, "drawn by discogan_jax itself", True, None),
        ("arrays:~/secret/bags", "arrays", "arrays:bags", "whoever trained this", False, None),
    ],
)
def test_a_source_knows_its_own_facts(source, kind, public, licence, drawn, dataset):
    found = sources.parse(source)
    assert found.kind == kind
    assert found.public_name == (public or source)
    assert re.search(licence, found.licence)
    assert found.drawn == drawn
    assert found.dataset == dataset


def test_every_kind_of_source_is_tried_above():
    assert set(sources.KINDS) == {"archive", "folder", "pairs", "tfds", "catalogue", "arrays"}


@pytest.mark.parametrize(
    ("a", "b", "pairs"),
    [
        ("archive:edges2shoes/edges/first", "archive:edges2shoes/photo/second", True),
        ("archive:edges2shoes/photo/first", "archive:edges2shoes/photo/second", False),
        ("archive:edges2shoes/edges", "archive:edges2handbags/photo", False),
        ("archive:edges2shoes/edges", "folder:edges2shoes/photo", False),
        ("folder:edges2shoes/photo", "archive:edges2shoes/edges", False),
        ("catalogue:bags", "catalogue:shoes", False),
    ],
)
def test_pairs_are_the_two_sides_of_one_archive(a, b, pairs):
    assert sources.are_pairs(a, b) == pairs


def test_a_drawn_source_is_identified_without_drawing_it(tmp_path):
    options = {"image_size": 16, "data_dir": tmp_path / "data"}
    folder = sources.identify("catalogue:bags", **options)
    assert folder.name.startswith("catalogue-bags-16-")
    assert folder != sources.identify("catalogue:shoes", **options)
    assert sources.prepared("catalogue:bags", **options) is None
    shown = sources.items("catalogue:bags", data_dir=tmp_path / "data")
    assert [len(shown[split]) for split in ("train", "val")] == [2000, 100]
    assert not list(tmp_path.iterdir())
