"""Reading and finding archives; drawn ones with few images replace the published ones."""

import gzip
import io
import logging
import random
import shutil
import socket
import tarfile
import tempfile
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from discogan_jax import images
from discogan_jax.data import download, sources
from discogan_jax.data.pix2pix import archives, half, pipeline
from discogan_jax.data.pix2pix import builder as pix2pix_builder
from discogan_jax.data.pix2pix import tar as pix2pix_tar
from discogan_jax.data.pix2pix.archives import ARCHIVES
from discogan_jax.data.pix2pix.builder import prepare, usable_members
from discogan_jax.data.pix2pix.locate import locate
from discogan_jax.data.pix2pix.tar import Member, Tally, members
from discogan_jax.data.source import Wanted
from discogan_jax.errors import InputError
from discogan_jax.files import fingerprint, paths
from discogan_jax.host import usable_cores

SHOES = ARCHIVES["edges2shoes"]


def jpeg(number, width=512, height=256, **save):
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 256, (4, 8, 3), dtype=np.uint8))
    out = io.BytesIO()
    small.resize((width, height)).save(out, "JPEG", **save)
    return out.getvalue()


def files_of(archive, train=6, val=2, **more):
    size = archive.width, archive.height
    counts = {"train": train, "val": val, **more}
    pairs = [(s, i) for s, n in counts.items() for i in range(1, n + 1)]
    return {
        f"{archive.name}/{s}/{i}_AB.jpg": jpeg(i + 100 * len(s), *size, quality=80 + i % 9)
        for s, i in pairs
    }


def tar_of(files):
    """Builds an uncompressed tar; a value is a file's bytes or any TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if content is info else content
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def write(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(tar_of(files), 1, mtime=0))
    return path


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(download, "fetch", refuse)


@pytest.fixture(scope="module")
def shoes():
    return files_of(SHOES)


@pytest.fixture
def path(tmp_path, shoes):
    return write(tmp_path / "given" / SHOES.file, shoes)


def info(kind, name="edges2shoes/train/9_AB.jpg", link=""):
    it = tarfile.TarInfo(name)
    it.type, it.linkname = kind, link
    return it


class Pix2pixTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = pix2pix_builder.Pix2pix
    BUILDER_CONFIG_NAMES_TO_TEST = ("edges2shoes", "maps")
    SPLITS = {"train": 3, "val": 2}  # noqa: RUF012

    @classmethod
    def setUpClass(cls):
        cls.EXAMPLE_DIR = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.EXAMPLE_DIR)
        for name in cls.BUILDER_CONFIG_NAMES_TO_TEST:
            archive = ARCHIVES[name]
            write(Path(cls.EXAMPLE_DIR, archive.file), files_of(archive, 3, 2))
        super().setUpClass()


# Reading


def test_members_are_the_images_and_nothing_else(tmp_path, shoes):
    extra = {
        "edges2shoes/": info(tarfile.DIRTYPE, "edges2shoes/"),
        "README": b"pairs",
        ".DS_Store": b"\0",
        "edges2shoes/train/._1_AB.jpg": b"mac",
        "edges2shoes/README.jpg": b"no split",
        "edges2shoes/test/1_AB.jpg": b"no such split here",
    }
    dotted = {"./" + name: data for name, data in shoes.items()}
    found = list(members(write(tmp_path / "a.tar.gz", extra | dotted), SHOES))
    assert found == [Member(*name.split("/")[1:], data) for name, data in shoes.items()]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("/edges2shoes/train/1.jpg", b"x", "leads out"),
        ("edges2shoes/train/../../../1.jpg", b"x", "leads out"),
        ("link", info(tarfile.SYMTYPE, link="/etc/hostname"), "link"),
        ("hard", info(tarfile.LNKTYPE, link="edges2shoes/train/1_AB.jpg"), "link"),
        ("device", info(tarfile.CHRTYPE), "device"),
        ("edges2handbags/train/1.jpg", b"x", "are under edges2shoes/"),
        ("edges2shoes/train/big.jpg", b"\0" * (pix2pix_tar.MAX_MEMBER_BYTES + 1), "at most"),
    ],
)
def test_an_archive_not_to_trust_is_refused(tmp_path, shoes, name, content, said):
    path = write(tmp_path / SHOES.file, shoes | {name: content})
    with pytest.raises(InputError, match=said) as error:
        list(members(path, SHOES))
    assert str(path) in str(error.value)


def test_bombs_are_cut_short(path, tmp_path, shoes, monkeypatch):
    header = info(tarfile.REGTYPE, "README")
    header.pax_headers = {"comment": "x" * (pix2pix_tar.STEP_BYTES + 1)}
    big = write(tmp_path / "pax.tar.gz", {"README": header})
    assert big.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="more than an archive"):
        list(members(big, SHOES))
    with monkeypatch.context() as patch:
        patch.setattr(pix2pix_tar, "MAX_TOTAL_BYTES", 1000)
        with pytest.raises(InputError, match="more than an archive"):
            list(members(path, SHOES))
    monkeypatch.setattr(pix2pix_tar, "MAX_MEMBERS", len(shoes) - 1)
    with pytest.raises(InputError, match=f"more than {len(shoes) - 1} members"):
        list(members(path, SHOES))
    monkeypatch.setattr(pix2pix_tar, "MAX_MEMBERS", len(shoes))
    assert len(list(members(path, SHOES))) == len(shoes)


def test_any_damage_is_noticed(path, shoes):
    whole, plain = path.read_bytes(), tar_of(shoes)
    half = whole[: len(whole) // 2]
    flipped = bytearray(whole)
    flipped[-6] ^= 1
    # Truncated where the second member begins: tarfile by itself takes that for the end.
    first = 512 + -(-len(next(iter(shoes.values()))) // 512) * 512
    packer = zlib.compressobj(wbits=31)
    boundary = packer.compress(plain[:first]) + packer.flush(zlib.Z_SYNC_FLUSH)
    garbage = gzip.compress(plain[:512] + b"?" * 10**6)
    cuts = [whole[:-n] for n in (1, 4, 8, 9, 40)]
    for data in [half, bytes(flipped), boundary, garbage, b"", plain, b"<html>", *cuts]:
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"damaged.*Delete it and download it again") as error:
            list(members(path, SHOES))
        assert str(path) in str(error.value)


def test_bad_images_are_left_out_and_named(tmp_path, shoes, caplog):
    good = shoes["edges2shoes/train/1_AB.jpg"]
    bad = {
        "edges2shoes/train/cut.jpg": good[: len(good) // 2],
        "edges2shoes/train/hole.jpg": b"\xff\xd8\xff" + b"\0" * 999 + b"\xff\xd9",
        "edges2shoes/train/text.jpg": b"<html>",
        "edges2shoes/train/small.jpg": jpeg(1, 64, 64),
        "./edges2shoes/train/1_AB.jpg": good,
    }
    path = write(tmp_path / SHOES.file, shoes | bad)
    with caplog.at_level(logging.WARNING, "absl"):
        found = [m.name for m in usable_members(Tally(path, SHOES, "train"))]
    assert found == [f"{i}_AB.jpg" for i in range(1, 7)]
    (record,) = caplog.records
    assert "5 of 11 images left out (cut.jpg" in record.getMessage()
    write(path, shoes | bad | {"edges2shoes/train/more.jpg": b""})
    with pytest.raises(InputError, match=r"6 unusable images of 12 in 'train' \(cut.jpg"):
        list(usable_members(Tally(path, SHOES, "train")))
    write(path, {k: v for k, v in shoes.items() if "/val/" not in k})
    with pytest.raises(InputError, match="no images for 'val'"):
        list(usable_members(Tally(path, SHOES, "val")))


def test_grey_and_progressive_images_are_images(tmp_path):
    grey = io.BytesIO()
    Image.new("L", (512, 256), 9).save(grey, "JPEG")
    files = {
        "edges2shoes/val/grey.jpg": grey.getvalue(),
        "edges2shoes/val/steps.jpg": jpeg(1, progressive=True),
    }
    assert len(list(usable_members(Tally(write(tmp_path / "a.tar.gz", files), SHOES, "val")))) == 2


def test_what_a_header_says_is_what_decoders_find():
    """Whatever comes before it: fill bytes, thumbnails, markers without a length."""
    plain = jpeg(1)
    other = jpeg(2, 64, 64)
    comment = b"\xff\xfe" + (len(other) + 2).to_bytes(2) + other
    for extra in (b"", comment, b"\xff\xff\xff", b"\xff\x01", b"\xff\xd0"):
        for data, problem in ((plain, ""), (other, "64x64, not 512x256")):
            assert half.problem(data[:2] + extra + data[2:], SHOES) == problem
    grey, inks = io.BytesIO(), io.BytesIO()
    Image.new("L", (512, 256)).save(grey, "JPEG")
    Image.new("CMYK", (512, 256)).save(inks, "JPEG")
    assert half.problem(grey.getvalue(), SHOES) == ""
    assert "4 channels" in half.problem(inks.getvalue(), SHOES)
    scans = plain.replace(b"\xff\xda", b"\xff\xda\0\2" * 200 + b"\xff\xda")
    assert "scans" in half.problem(scans, SHOES)
    for data in (plain[:-2], b"", b"\xff\xd8\xff\xd9"):
        assert half.problem(data, SHOES) in ("not a complete JPEG", "a JPEG without a header")


# Decoding


def pictures_of(spec, path, data_dir, **wanted):
    options = {"image_size": 64, "archives": path, "data_dir": data_dir} | wanted
    return sources.load(f"archive:edges2shoes/{spec}", **options)


@pytest.fixture(scope="module")
def many():
    """More pictures than a chunk has, two of them damaged in ways that only a decoder sees."""
    files = files_of(SHOES, train=40, val=3)
    good = files["edges2shoes/train/1_AB.jpg"]
    table = good.index(b"\xff\xc4")
    files["edges2shoes/train/5_AB.jpg"] = good[: table + 5] + b"\xff" * 16 + good[table + 21 :]
    files["edges2shoes/train/23_AB.jpg"] = good[: table + 5] + b"\xfe" * 16 + good[table + 21 :]
    return files


@pytest.mark.parametrize("side", ["photo", "edges"])
def test_both_ways_in_give_equal_rows_and_name_what_is_damaged(tmp_path, many, side, caplog):
    path = write(tmp_path / "given" / SHOES.file, many)
    with caplog.at_level(logging.WARNING, "absl"):
        streamed = pictures_of(side, path, tmp_path / "one")
        prepare("edges2shoes", archives=path, data_dir=tmp_path / "two")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pix2pix_builder, "members", None)  # the file is not read any more
            prepared = pictures_of(side, path, tmp_path / "two")
    for split in ("train", "val"):
        np.testing.assert_array_equal(getattr(streamed, split), getattr(prepared, split))
    for found in (streamed, prepared):
        assert (len(found.train), len(found.val)) == (38, 3)
        (damaged,) = found.about["left_out"].values()
        assert damaged["count"] == 2
        assert sorted(damaged["names"]) == ["train/23_AB.jpg", "train/5_AB.jpg"]
    said = [r.getMessage() for r in caplog.records if "2 of 40 images left out" in r.getMessage()]
    assert len(said) == 3
    assert all("5_AB.jpg: damaged JPEG data" in text for text in said)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"image_size": 256},
        {"image_size": 300},
        {"image_size": "96x64"},
        {"image_size": "96x64", "fit": "pad"},
        {"image_size": "48x80", "fit": "stretch"},
        {"channels": 1, "range": (20.0, 200.0), "thicken": True},
    ],
    ids=str,
)
def test_training_sees_what_a_picture_becomes_elsewhere(path, tmp_path, shoes, wanted):
    """The pipeline, and what `translate` does to the same half in a file of its own."""
    source = sources.parse("archive:edges2shoes/photo")
    asked = Wanted(**{"image_size": 64} | wanted)
    preparation = source.preparation(asked)
    found = pictures_of("photo", path, tmp_path, **wanted)
    assert found.train.shape == (6, *asked.size, asked.channels)
    for row, number in zip(found.train, range(1, 7), strict=True):
        with Image.open(io.BytesIO(shoes[f"edges2shoes/train/{number}_AB.jpg"])) as pair:
            photo = np.asarray(pair)[:, 256:]
        file = io.BytesIO()
        Image.fromarray(photo).save(file, "PNG")
        np.testing.assert_array_equal(row, preparation.apply(images.load(file.getvalue())))


def photos(size):
    source = sources.parse("archive:edges2shoes/photo")
    return half.Half(SHOES, "photo", source.preparation(Wanted(size)))


def test_only_so_many_pictures_are_in_memory(shoes):
    """However long the stream is, and however slowly it is used."""
    jpegs, read = list(shoes.values()), []

    def stream():
        for number in range(1200):
            read.append(number)
            yield str(number), jpegs[number % len(jpegs)]

    ahead = []
    for used, found in enumerate(pipeline.decoded(stream(), photos(8))):
        assert found.name == str(used)
        ahead.append(len(read) - used)
    assert used == 1199
    assert max(ahead) < pipeline.CHUNK * (16 + 2 * usable_cores())


def test_what_a_stream_raises_is_raised(shoes):
    def stream():
        yield from shoes.items()
        raise InputError("the end")

    with pytest.raises(InputError, match="the end"):
        list(pipeline.decoded(stream(), photos(8)))


# Finding


def test_locate_never_downloads_where_a_place_is_given(path, tmp_path):
    assert locate("edges2shoes", path.parent, tmp_path) == path
    other = path.rename(path.with_name("mine.tgz"))
    assert locate("edges2shoes", other, tmp_path) == other
    with pytest.raises(InputError) as error:
        locate("edges2shoes", path.parent, tmp_path)
    for part in (str(path), "mine.tgz", SHOES.url, "put it at", "discogan train sample"):
        assert part in str(error.value)
    with pytest.raises(InputError, match="no such folder"):
        locate("edges2shoes", tmp_path / "nowhere", tmp_path)
    with pytest.raises(InputError, match="cityscapes, edges2handbags"):
        locate("edges2boots", path.parent, tmp_path)


def test_locate_downloads_what_is_not_there(tmp_path, monkeypatch):
    asked = []

    def fetch(url, target, **options):
        asked.append((url, target, options["expected_bytes"]))
        assert str(target) in options["by_hand"]
        return write(target, files_of(ARCHIVES["facades"], 1, 1))

    monkeypatch.setattr(download, "fetch", fetch)
    target = tmp_path / "downloads" / "facades.tar.gz"
    assert locate("facades", None, tmp_path) == locate("facades", None, tmp_path) == target
    assert asked == [(archives.BASE + "/facades.tar.gz", target, 30168306)]


def test_fingerprint_follows_the_content(path, shoes, monkeypatch):
    before = fingerprint(path)
    assert len(before) == 16
    write(path, shoes)
    assert fingerprint(path) == before
    changed = bytearray(shoes["edges2shoes/val/1_AB.jpg"])
    changed[-3] ^= 1
    write(path, shoes | {"edges2shoes/val/1_AB.jpg": bytes(changed)})
    assert fingerprint(path) != before
    # Of a large file the beginning and the end, where its checksum is.
    monkeypatch.setattr(paths, "_MIB", 100)
    content = path.read_bytes()
    found = set()
    for place in (0, 99, -100, -1):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        found.add(fingerprint(path))
    assert len(found) == 4


# Preparing


def stored(builder, split):
    raw = {"image": tfds.decode.SkipDecoding()}
    data = builder.as_dataset(split=split, shuffle_files=False, decoders=raw)
    return [(e["name"].decode(), e["image"]) for e in data.as_numpy_iterator()]


def test_what_is_stored_is_what_the_archive_holds(path, tmp_path, shoes, capfd, caplog):
    builder = prepare("edges2shoes", archives=path.parent, data_dir=tmp_path / "one")
    assert capfd.readouterr().out == ""
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    for split in ("train", "val"):
        expected = {k.split("/")[2]: v for k, v in shoes.items() if f"/{split}/" in k}
        assert dict(stored(builder, split)) == expected
    order = [name for name, _ in stored(builder, "train")]
    assert order != sorted(order)

    # The order depends only on the names, even if TFDS sorts on disk as for large archives.
    names = random.Random(0).sample(list(shoes), len(shoes))
    again = write(tmp_path / "other" / SHOES.file, {name: shoes[name] for name in names})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pix2pix_builder, "SORT_BYTES", 0)
        second = prepare("edges2shoes", archives=again, data_dir=tmp_path / "one")
    assert second.data_dir != builder.data_dir
    assert [name for name, _ in stored(second, "train")] == order


def test_the_published_archive_may_be_deleted_once_prepared(tmp_path, shoes):
    path = write(tmp_path / "downloads" / SHOES.file, shoes)
    first = prepare("edges2shoes", archives=None, data_dir=tmp_path)
    path.unlink()
    again = prepare("edges2shoes", archives=None, data_dir=tmp_path)
    assert again.data_dir == first.data_dir
    assert stored(again, "val") == stored(first, "val")


def test_a_third_split_is_taken_where_there_is_one(tmp_path):
    facades = ARCHIVES["facades"]
    for more in ({"test": 1}, {}):
        path = write(tmp_path / facades.file, files_of(facades, 1, 1, **more))
        streamed = sources.load(
            "archive:facades/photo", image_size=64, data_dir=tmp_path, archives=path
        )
        assert (len(streamed.train), len(streamed.val)) == (1, 1)
        builder = prepare("facades", archives=path, data_dir=tmp_path)
        assert set(builder.info.splits) == {"train", "val", *more}


def test_a_run_that_dies_leaves_nothing_that_looks_whole(path, tmp_path, monkeypatch):
    def die(tally):
        yield from list(usable_members(tally))[:3]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pix2pix_builder, "usable_members", die)
        with pytest.raises(KeyboardInterrupt):
            prepare("edges2shoes", archives=path, data_dir=tmp_path)
    home = tmp_path / "archives" / fingerprint(path) / "pix2pix" / "edges2shoes"
    assert list(home.iterdir()) == []
    # A killed process cannot clean up: its unfinished folder, and one that was emptied otherwise.
    for name in ("incomplete.ABCDEF_1.0.0", "1.0.0"):
        (home / name).mkdir()
        (home / name / "pix2pix-train.tfrecord-00000-of-00001").write_bytes(b"half")
    builder = prepare("edges2shoes", archives=path, data_dir=tmp_path)
    assert [p.name for p in home.iterdir()] == ["1.0.0"]
    assert len(stored(builder, "train")) == 6


def test_a_damaged_archive_prepares_nothing(path, tmp_path):
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="^" + str(path)):
        prepare("edges2shoes", archives=path, data_dir=tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="discogan train sample"):
        prepare("edges2shoes", archives=path.parent, data_dir=tmp_path)
    assert not list(tmp_path.glob("archives/*/pix2pix/edges2shoes/*"))


def test_two_at_once_prepare_once(path, tmp_path, monkeypatch):
    passes, built = [], []

    def counted(tally):
        passes.append(tally.split)
        return usable_members(tally)

    monkeypatch.setattr(pix2pix_builder, "usable_members", counted)

    def work():
        built.append(prepare("edges2shoes", archives=path, data_dir=tmp_path))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [len(stored(builder, "train")) for builder in built] == [6, 6]
    assert passes == ["train", "val"]
