import io
import struct

import numpy as np
import pytest
from PIL import Image

from discogan_jax import images
from discogan_jax.errors import InputError


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


RAMP = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_every_mode_becomes_rgb(mode):
    colour = np.stack([RAMP, RAMP, RAMP], axis=-1)
    got = images.read(encoded(Image.fromarray(colour).convert(mode)))
    assert got.shape == (16, 16, 3)
    assert got.dtype == np.uint8
    if mode not in ("1", "P"):
        np.testing.assert_array_equal(got, colour)


def test_cmyk():
    got = images.read(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"))
    np.testing.assert_array_equal(got, np.broadcast_to(np.uint8([255, 0, 0]), (8, 8, 3)))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (RAMP.astype(np.uint16) * 257, "PNG"),
        (RAMP.astype(np.uint16) * 257, "TIFF"),
        (RAMP.astype(np.int32) * 257, "TIFF"),
        (RAMP.astype(np.int32) * ((2**31 - 1) // 255), "TIFF"),
        (RAMP.astype(np.int32), "TIFF"),
        (RAMP.astype(np.float32) / 255, "TIFF"),
        (RAMP.astype(np.float32), "TIFF"),
    ],
)
def test_deep_pictures_are_scaled_not_clipped(values, kind):
    got = images.read(encoded(Image.fromarray(values), kind))
    np.testing.assert_array_equal(got, np.repeat(RAMP[..., None], 3, axis=-1))


def test_a_dark_sixteen_bit_picture_stays_dark():
    got = images.read(encoded(Image.fromarray(np.full((4, 4), 257, np.uint16))))
    assert (got == 1).all()


def test_twelve_bits_use_their_full_scale():
    """Pillow unpacks 12 bits to 16 without scaling, and cannot write 12 bits: a handmade TIFF."""
    entries = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1)]
    directory = struct.pack("<H", len(entries) + 1)
    for tag, value in [*entries, (279, 6)]:
        directory += struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value)
    pixels = bytes([0x00, 0x0F, 0xFF, 0x80, 0x07, 0x00])  # 0, 4095, 2056, 1792
    data = struct.pack("<2sHI", b"II", 42, 14) + pixels + directory + bytes(4)
    got = images.read(data)[0, :, 0].tolist()
    assert got[:2] == [0, 255]
    assert 100 < min(got[2:]) <= max(got[2:]) < 140


def test_nan_in_a_float_picture_is_refused():
    with pytest.raises(InputError, match="finite"):
        images.read(encoded(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"))


# Per mode: a colour, the same colour transparent, and how a file encodes transparency.
CLEAR = {
    "RGBA": ((9, 9, 9, 255), (0, 0, 0, 0), None),
    "LA": ((9, 255), (0, 0), None),
    "P": (1, 0, 0),
    "P of bytes": (1, 0, b"\0\xff"),
    "L": (9, 0, 0),
    "1": (1, 0, 0),
    "RGB": ((9, 9, 9), (0, 0, 0), (0, 0, 0)),
    "I;16": (9 * 257, 513, 513),
}


@pytest.mark.parametrize("mode", CLEAR)
def test_what_cannot_be_seen_is_white(mode):
    seen, clear, transparency = CLEAR[mode]
    picture = Image.new(mode.split()[0], (2, 1), clear)
    if picture.mode == "P":
        picture.putpalette([0, 0, 0, 9, 9, 9])
    picture.putpixel((1, 0), seen)
    options = {} if transparency is None else {"transparency": transparency}
    got = images.read(encoded(picture, **options))
    assert got[0].tolist() == [[255] * 3, [255 if mode == "1" else 9] * 3]
    for kind in ("WEBP", "TIFF") if mode == "RGBA" else ():
        got = images.read(encoded(picture, kind, **{"lossless": True} if kind == "WEBP" else {}))
        assert got[0].tolist() == [[255] * 3, [9] * 3]


def test_half_transparent_black_is_grey():
    got = images.read(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128))))
    assert abs(int(got[0, 0, 0]) - 127) <= 1


CORNERS = [(0, 0), (0, -1), (-1, -1), (-1, 0)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(i, corner) for j in (1, 5) for i, corner in enumerate(CORNERS, j)],
)
def test_orientation_is_applied(kind, orientation, corner):
    picture = Image.new("RGB", (64, 32), "white")
    picture.paste((0, 0, 0), (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = images.read(encoded(picture, kind, exif=exif))
    assert got.shape == ((32, 64, 3) if orientation < 5 else (64, 32, 3))
    darkest = got.reshape(got.shape[0], got.shape[1], 3).mean(-1)
    quarters = {(y, x): darkest[y, x] for y in (0, -1) for x in (0, -1)}
    assert min(quarters, key=quarters.get) == corner


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_first_frame(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 2
    assert (images.read(data) == (255, 0, 0)).all()


def test_one_pixel():
    got = images.read(encoded(Image.new("RGB", (1, 1), (1, 2, 3))))
    assert got.tolist() == [[[1, 2, 3]]]
    assert (images.fit(got, 16) == (1, 2, 3)).all()


def test_path_bytes_and_file_agree(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    path = tmp_path / "a.png"
    images.save(path, picture)
    with path.open("rb") as file:
        for source in (path, path.read_bytes(), file):
            np.testing.assert_array_equal(images.read(source), picture)


def test_unreadable_files_are_named(tmp_path):
    text, cut, empty = (tmp_path / name for name in ("text.jpg", "cut.png", "empty.png"))
    text.write_text("not a picture")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    cut.write_bytes(encoded(Image.fromarray(noise))[:2000])
    empty.touch()
    for path in (text, cut, empty, tmp_path / "absent.png", tmp_path):
        with pytest.raises(InputError, match=path.name):
            images.read(path)


def test_programs_are_never_started_for_a_file():
    with pytest.raises(InputError):
        images.read(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")


def test_too_large_is_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(images.reading, "MAX_PIXELS", 15)
    with pytest.raises(InputError, match="4×4"):
        images.read(encoded(Image.new("L", (4, 4))))


def test_fit_cuts_the_centre_and_keeps_the_aspect():
    picture = np.zeros((40, 100, 3), np.uint8)
    picture[:, 30:70] = 200
    assert (images.fit(picture, 10) == 200).all()
    assert (images.fit(picture.transpose(1, 0, 2), 10) == 200).all()


def test_fit_leaves_a_fitting_square_alone():
    picture = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
    np.testing.assert_array_equal(images.fit(picture, 9), picture[:, 2:11])


def test_fit_is_antialiased_and_does_not_ring():
    board = np.indices((64, 64)).sum(0) % 2 * 255
    grey = images.fit(np.repeat(board[..., None], 3, -1).astype(np.uint8), 8)
    assert abs(grey.astype(int) - 127).max() <= 2
    step = np.full((64, 64, 3), 200, np.uint8)
    step[:, :30] = 50
    small = images.fit(step, 16)
    assert small.min() >= 50
    assert small.max() <= 200


def test_fit_enlarges_any_size():
    assert images.fit(np.full((1, 3, 3), 9, np.uint8), 32).shape == (32, 32, 3)


def test_to_uint8():
    x = np.array([-1.0, 0.0, 0.5 / 255 + 1e-4, 0.5, 1.0, 7.0], np.float32)
    assert images.to_uint8(x).tolist() == [0, 0, 1, 128, 255, 255]
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(images.to_uint8(every / np.float32(255)), every)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_to_uint8_refuses_a_diverged_picture(bad):
    with pytest.raises(ValueError, match="1 values of 3"):
        images.to_uint8(np.array([0.0, bad, 1.0]))


def test_to_uint8_refuses_bytes():
    # TypeError if shapes and types are checked at run time, as in these tests.
    with pytest.raises((ValueError, TypeError), match=r"uint8|u8"):
        images.to_uint8(np.zeros(3, np.uint8))


@pytest.mark.parametrize("name", ["a.png", "b.JPG", "new/folder/c.jpeg"])
def test_save(tmp_path, name):
    picture = np.full((8, 8, 3), (10, 200, 90), np.uint8)
    images.save(tmp_path / name, picture)
    assert abs(images.read(tmp_path / name).astype(int) - picture).max() <= 3
    assert not list(tmp_path.rglob("*.tmp"))


def test_save_refuses_other_kinds_and_places(tmp_path):
    picture = np.zeros((4, 4, 3), np.uint8)
    for name in ("a.webp", "a"):
        with pytest.raises(InputError, match=r"\.png"):
            images.save(tmp_path / name, picture)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        images.save(tmp_path / "file" / "a.png", picture)


def test_grid_enlarges_whole_pixels_and_puts_each_in_its_place():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 256, (2, 3, 32, 32, 3), np.uint8)
    sheet = images.grid([("bags", left), ("bags → shoes", right)], cell=64, gap=4)
    assert sheet.shape[1] == 4 + 2 * 68
    top = sheet.shape[0] - 3 * 68
    for column, pictures in enumerate((left, right)):
        for row, picture in enumerate(pictures):
            y, x = top + row * 68, 4 + column * 68
            cell = sheet[y : y + 64, x : x + 64]
            np.testing.assert_array_equal(cell[::2, ::2], picture)
            np.testing.assert_array_equal(cell[1::2, 1::2], picture)
    assert sheet[: top - 4].min() < 100  # with a header


@pytest.mark.parametrize(
    "label", ["bags → shoes → bags", "a_folder_with_a_long_name → b", "", "é→"]
)
def test_labels_stay_in_their_column(label):
    blank = np.full((1, 16, 16, 3), 255, np.uint8)
    sheet = images.grid([("", blank), (label, blank), ("", blank)], cell=64, gap=4)
    ink = np.flatnonzero((sheet < 128).any(axis=(0, 2)))
    assert (ink.size > 0) == bool(label)
    assert ((ink >= 72) & (ink < 136)).all()


def test_grid_refuses_columns_that_differ():
    with pytest.raises(ValueError, match="alike"):
        images.grid([(str(n), np.zeros((n, 8, 8, 3), np.uint8)) for n in (1, 2)])
    with pytest.raises(ValueError, match="alike"):
        images.grid([])
