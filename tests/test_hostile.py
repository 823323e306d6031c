"""Malicious archives, pictures and folders: refused in one line, without harm."""

import gzip
import logging
import os
import struct
import tarfile
import time
import zlib
from pathlib import Path

import fuzz
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from configs import official
from discogan_jax import images, runs
from discogan_jax.config.schema import from_config
from discogan_jax.data import sources
from discogan_jax.data.pix2pix import tar
from discogan_jax.data.pix2pix.source import ArchiveSide
from discogan_jax.data.source import Places, Wanted
from discogan_jax.errors import InputError
from discogan_jax.images import reading
from discogan_jax.runs import run

# Pillow warns about damaged files before it fails; to a user these are lines in a log.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

PARTS = [
    *("..", ".", "", "edges2shoes", "train", "val", "test", "1_AB.jpg", "é ü.JPG", ".jpg"),
    *("\udcff.jpg", "a\nb.jpg", "x" * 300 + ".jpg", "9" * 250 + ".jpg", "9" * 5000 + ".jpg"),
]
CONTENTS = [
    *(b"", b"text", b"\x80\x04N.", fuzz.picture()[:200], fuzz.picture(size=(16, 16))),
    *(fuzz.picture(), fuzz.picture(seed=1), fuzz.picture(mode="CMYK"), fuzz.picture("PNG")),
]
KINDS = [
    *[tarfile.REGTYPE] * 4,
    *(tarfile.AREGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE),
    *(tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b"Z"),
]
PAX = [
    *("path", "linkpath", "size", "comment", "hdrcharset", "mtime", "GNU.sparse.map"),
    *("GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.realsize", "GNU.sparse.size"),
    *("GNU.sparse.numblocks", "GNU.sparse.name"),
]
VALUES = [
    *("-1", "0", "1", "1,2,3", "9" * 5000, "-512", "nan", "BINARY", "/etc/passwd"),
    *("../../x.jpg", "edges2shoes/train/2_AB.jpg", "é"),
]


@st.composite
def members(draw):
    name = "/".join(draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=5)))
    info = tarfile.TarInfo(draw(st.sampled_from(["", "/", "edges2shoes/train/"])) + name)
    info.type = draw(st.sampled_from(KINDS))
    info.linkname = draw(st.sampled_from(["", "/etc/passwd", "../../../x", "edges2shoes"]))
    pairs = st.dictionaries(st.sampled_from(PAX), st.sampled_from(VALUES), max_size=3)
    info.pax_headers = draw(st.one_of(st.just({}), st.just({}), pairs))
    return info, draw(st.sampled_from(CONTENTS))


@given(st.lists(members(), max_size=6), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_whatever_an_archive_holds_nothing_leaves_its_folder(tmp_path_factory, some, form):
    good = [(f"edges2shoes/{s}/{i}_AB.jpg", CONTENTS[2]) for s in ("train", "val") for i in "34"]
    data = gzip.compress(fuzz.tar([*good, *some], form), 1)
    folder = tmp_path_factory.mktemp("archive")
    assert fuzz.try_archive(data, folder, whole=len(some) == 2) == ""


def test_damaged_archives(tmp_path):
    faults = [
        fuzz.try_archive(data, tmp_path, whole=i % 10 == 0)
        for i, data in enumerate(fuzz.damaged_archives(150))
    ]
    assert not any(faults), [*filter(None, faults)]


def test_damaged_pictures():
    faults = [fuzz.try_picture(data) for _, data in fuzz.damaged_pictures(300)]
    assert not any(faults), [*filter(None, faults)]


def test_the_watch_sees_what_it_is_there_for(tmp_path):
    (tmp_path / "in").mkdir()
    with fuzz.watched(tmp_path / "in") as outside:
        (tmp_path / "in" / "a").write_text("fine")
        assert outside == []
        (tmp_path / "b").write_text("not fine")
        (tmp_path / "in" / "a").rename(tmp_path / "in" / ".." / "c")
        (tmp_path / "d").symlink_to(tmp_path / "in")
    assert len(outside) == 3
    assert fuzz.try_archive(gzip.compress(fuzz.sound_tars()[0]), tmp_path) == ""
    assert len(np.load(tmp_path / "target" / "train.npy")) == 3


def written(tmp_path, members):
    """Decodes an archive of these members; returns the numbers of train and val."""
    path, target = tmp_path / "edges2shoes.tar.gz", tmp_path / "target"
    path.write_bytes(gzip.compress(fuzz.tar(members), 1))
    target.mkdir(exist_ok=True)
    photos = ArchiveSide("edges2shoes/photo", fuzz.ARCHIVE, "photo")
    photos.write(target, Wanted(16), Places(tmp_path, path))
    return [len(np.load(target / f"{split}.npy")) for split in ("train", "val")]


def test_an_archive_of_one_split_or_of_mixed_sizes_and_doubles(tmp_path, caplog):
    train = [(f"edges2shoes/train/{i}_AB.jpg", fuzz.picture(seed=i)) for i in range(3)]
    val = [("edges2shoes/val/1_AB.jpg", fuzz.picture())]
    with pytest.raises(InputError, match=r"no images for 'val' \(no edges2shoes/val"):
        written(tmp_path, train)
    odd = [("edges2shoes/train/8_AB.jpg", fuzz.picture(size=(64, 16))), train[1], train[1]]
    with caplog.at_level(logging.WARNING, "absl"):
        assert written(tmp_path, [*train, *odd, *val]) == [3, 1]
    assert "3 of 6 images left out (8_AB.jpg: 64x16, not 32x16; 1_AB.jpg: duplicate name; " in (
        caplog.text
    )


def test_a_name_of_thousands_of_digits(tmp_path):
    """Rows are ordered by the numbers in the names; Python converts at most 4,300 digits."""
    long = ("edges2shoes/train/" + "9" * 5000 + ".jpg", fuzz.picture())
    with pytest.raises(InputError, match="a name of 5004 characters; at most 255 are read"):
        written(tmp_path, [long])


def test_a_bomb_goes_off_in_a_small_room(tmp_path):
    """Endless zeros, after the end that tarfile sees and before it."""
    packer = zlib.compressobj(9, wbits=31)
    start = packer.compress(fuzz.sound_tars()[0]) + packer.flush(zlib.Z_FULL_FLUSH)
    many = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    path = tmp_path / "edges2shoes.tar.gz"
    path.write_bytes(start + (many.removeprefix(b"\x1f\x8b") * 1000))
    seen = []
    with pytest.raises(InputError, match="unpacks to more than an archive"):
        seen += [*tar.members(path, fuzz.ARCHIVE)]
    header = tarfile.TarInfo("a" * 99)
    header.size, header.type = 1 << 40, tarfile.GNUTYPE_LONGNAME
    packer = zlib.compressobj(9, wbits=31)
    start = packer.compress(header.tobuf(tarfile.GNU_FORMAT)) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(start + many * 1000)
    with pytest.raises(InputError, match="unpacks to more than an archive"):
        seen += [*tar.members(path, fuzz.ARCHIVE)]


# Folders


def load(folder, tmp_path):
    return sources.load(f"folder:{folder}", image_size=8, data_dir=tmp_path / "data")


def test_a_folder_of_everything_that_is_no_picture(tmp_path, caplog):
    """Pipes, devices, circular and dangling links, text, empty files; names of any characters."""
    folder = tmp_path / "a folder"
    deep = folder / "ümlaut und Leerzeichen" / "日本" / ("d" * 200)
    deep.mkdir(parents=True)
    names = ["a b.png", "é.JPG", "日本.webp", "🎒.bmp", "'; rm -rf $HOME #.tiff", "%s.jpeg"]
    kinds = ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "JPEG"]
    for i, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        (deep / name).write_bytes(fuzz.picture(kind, seed=i))
    (deep / os.fsdecode(b"\xff\xfe.png")).write_bytes(fuzz.picture("PNG", seed=99))
    (deep / "again.png").write_bytes(fuzz.picture("PNG", seed=99))  # duplicates are kept
    (deep / "circle").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "nowhere.png").symlink_to(folder / "moved.png")
    (folder / "zeros.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.jpg").touch()
    with caplog.at_level(logging.WARNING, "absl"):
        found = load(folder, tmp_path)
    assert len(found.train) + len(found.val) == 8
    assert "6 of 14 skipped" in caplog.text
    for name in ("self.png", "nowhere.png", "zeros.png", "pipe.png", "text.jpg", "empty.jpg"):
        assert name in caplog.text


def test_places_that_are_not_folders(tmp_path):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "file").touch()
    for place in (tmp_path / "circle", tmp_path / "file", "~no_such_user/x", "x" * 5000, "a\0b"):
        for source in (f"folder:{place}", f"arrays:{place}"):
            with pytest.raises(InputError) as raised:
                sources.load(source, image_size=8, data_dir=tmp_path / "data")
            assert "\n" not in str(raised.value)
        with pytest.raises(InputError):
            sources.load("archive:edges2shoes/photo", image_size=8, data_dir=tmp_path / "data",
                         archives=Path(place))  # fmt: skip
    assert not [*tmp_path.rglob("*.npy")]


def test_a_folder_that_may_not_be_listed_is_not_skipped(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(fuzz.picture("PNG"))
    (tmp_path / "in" / "closed").mkdir()
    list_folder = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for folder in (tmp_path / "in", tmp_path / "in" / "closed"):
        with pytest.raises(InputError, match=r"closed cannot be listed \(Permission denied\)"):
            load(folder, tmp_path)


# Pictures


@pytest.mark.parametrize("kind", ["BMP", "JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9])
def test_a_part_of_a_picture_is_none(kind, part):
    data = fuzz.picture(kind, size=(64, 64))
    with pytest.raises(InputError, match="cannot be read as a picture"):
        images.read(data[: int(part * len(data))])


def chunk(name, data):
    return len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4)


@pytest.mark.parametrize("side", [10_000, 20_000, 2**31 - 1])
def test_a_picture_of_gigabytes_is_refused_by_its_header(side):
    header = side.to_bytes(4) * 2 + bytes([8, 6, 0, 0, 0])
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0" * 99))
    with pytest.raises(InputError, match=r"too large.*limit is 80,000,000.*Scale it down"):
        images.read(data + chunk(b"IEND", b""))


def test_a_file_of_gigabytes_is_not_opened(tmp_path):
    path = tmp_path / "large.webp"
    with path.open("wb") as file:
        file.write(fuzz.picture("WEBP"))
        file.truncate(images.MAX_BYTES + 1)  # takes no space on the disk
    with pytest.raises(InputError, match=r"large\.webp is too large: 1,073,741,825 bytes"):
        images.read(path)


def test_pipes_are_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png is a pipe or a device"):
        images.read(tmp_path / "pipe.png")


def test_other_formats_are_refused_whatever_their_name(tmp_path):
    for kind in ("ICO", "TGA", "PCX", "DDS"):
        path = tmp_path / f"{kind}.png"
        path.write_bytes(fuzz.picture(kind))
        refused = r"cannot be read as a picture|is of a kind that is not read"
        with pytest.raises(InputError, match=rf"{kind}\.png ({refused})"):
            images.read(path)


def progressive(scans):
    """Encodes a picture whose last scan is repeated."""
    data = fuzz.picture(progressive=True, size=(64, 64)).removesuffix(b"\xff\xd9")
    last = data[data.rindex(b"\xff\xda") :]
    return data + last * (scans - data.count(b"\xff\xda")) + b"\xff\xd9"


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(monkeypatch):
    assert images.read(progressive(100)).shape == (64, 64, 3)
    # A video behind the picture, as phones append it, is none of its scans.
    assert images.read(progressive(10) + b"\0\2\xff\xda" * 500).shape == (64, 64, 3)
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(InputError, match="more than 100 scans"):
        images.read(progressive(101))


def test_bytes_that_fill_the_space_before_markers_are_passed_at_once():
    """A search that begins anew at each of them would take a minute for this."""
    began = time.process_time()
    reading.check_jpeg(b"\xff\xd8" + b"\xff\xda" * 101 + b"\xff" * 60_000 + b"\0")
    assert time.process_time() - began < 1


def test_a_chain_of_many_pages_is_not_followed_for_long():
    """A page of no tags takes 6 bytes; each points to the next."""
    chain = b"".join(struct.pack("<HI", 0, 8 + 6 * i) for i in range(1, 10_002))
    with pytest.raises(InputError, match="more than 10,000 pages"):
        images.page_count(struct.pack("<2sHI", b"II", 42, 8) + chain)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000])
def test_a_config_that_is_none(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    for use in (runs.open, lambda path: run.begin(path, from_config(official.get_config()))):
        with pytest.raises(InputError, match=r"config\.json") as raised:
            use(tmp_path)
        assert "\n" not in str(raised.value)
    assert (tmp_path / "config.json").read_bytes() == content
