import io
import json
import math
import struct
import threading
import zlib
from dataclasses import replace

import fuzz
import numpy as np
import pytest
from PIL import Image, ImageFilter

from discogan_jax import images
from discogan_jax.data import census, sources
from discogan_jax.errors import InputError
from discogan_jax.images import decoding, room


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


@pytest.mark.parametrize(("value", "bits"), [(200, 8), (257, 10), (2000, 12), (20_000, 16)])
def test_a_sixteen_bit_picture_alone_is_scaled_by_the_bits_it_needs(value, bits):
    got = images.read(encoded(Image.fromarray(np.full((4, 4), value, np.uint16))))
    assert (got == round(value / (2**bits - 1) * 255)).all()


def tiff(data, shape, bits, kind=1, order="<", **tags):
    """Makes a TIFF that Pillow cannot write: `kind` is 1 for unsigned, 2 for signed, 3 for float.

    More tags are named by their numbers, as t262.
    """
    height, width, bands = (*shape, 1)[:3]
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: bands, 278: height}
    entries |= {279: len(data), 339: kind} | {int(tag[1:]): value for tag, value in tags.items()}
    directory = struct.pack(order + "H", len(entries))
    for tag, value in sorted(entries.items()):
        # A single short value stands at the beginning of its four bytes.
        directory += struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
    header = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data))
    return header + data + directory + bytes(4)


def test_twelve_bits_use_their_full_scale():
    """Pillow unpacks 12 bits to 16 without scaling."""
    pixels = bytes([0x00, 0x0F, 0xFF, 0x80, 0x07, 0x00])  # 0, 4095, 2056, 1792
    got = images.read(tiff(pixels, (1, 4), 12))[0, :, 0].tolist()
    assert got[:2] == [0, 255]
    assert 100 < min(got[2:]) <= max(got[2:]) < 140


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("kind", "number", "held"),
    [
        *[("u1", 1, "uint8"), ("u2", 1, "uint16")],
        *[("i2", 2, "int32"), ("i4", 2, "int32"), ("f4", 3, "float32")],
    ],
)
def test_tiffs_of_one_band_keep_their_values(order, kind, number, held):
    top = np.iinfo(kind).max if number < 3 else 1400.5
    values = np.array([[0, 1, 77], [top // 2, top, -top * (number > 1)]], order + kind)
    for data, compression in ((values.tobytes(), 1), (zlib.compress(values.tobytes()), 8)):
        file = tiff(data, (2, 3), 8 * int(kind[1]), number, order, t259=compression)
        picture = images.load(file)
        np.testing.assert_array_equal(picture.pixels[..., 0], values.astype(held))
        assert picture.pixels.dtype == held
        assert picture.bits == {"uint8": 8, "uint16": 16}.get(held)


def test_white_may_be_zero():
    values = np.uint16([[0, 65535, 60000]])
    got = images.load(tiff(values.tobytes(), (1, 3), 16, t262=0)).pixels
    assert got.ravel().tolist() == [65535, 0, 5535]


@pytest.mark.parametrize(
    ("shape", "bits", "kind", "what"),
    [
        ((8, 8, 13), 8, 1, "13 bands of uint8"),
        ((8, 8, 5), 8, 1, "5 bands of uint8"),
        ((8, 8), 16, 3, "1 band of float16"),
        ((8, 8, 3), 32, 3, "3 bands of float32"),
        ((8, 8), 64, 3, "1 band of float64"),
        ((8, 8), 64, 1, "1 band of uint64"),
        ((8, 8), 32, 1, "1 band of uint32"),
        ((8, 8), 8, 2, "1 band of int8"),
    ],
)
def test_what_is_not_read_of_a_tiff_is_named(shape, bits, kind, what, tmp_path, caplog):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(bytes(math.prod(shape) * bits // 8), shape, bits, kind))
    with pytest.raises(InputError, match=rf"a\.tif .*{what}; read are one grey band"):
        images.read(path)
    assert not caplog.records


def test_a_band_is_an_opacity_only_if_the_file_says_so():
    values = np.random.default_rng(0).integers(0, 256, (4, 6, 4), np.uint8)
    for tags in ({}, {"t338": 0}):
        got = images.read(tiff(values.tobytes(), (4, 6, 4), 8, t262=2, **tags))
        np.testing.assert_array_equal(got, values[..., :3])
    declared = images.read(tiff(values.tobytes(), (4, 6, 4), 8, t262=2, t338=2))
    assert (declared != values[..., :3]).any()


def png(values, colour, *more):
    """Encodes 16-bit RGB, which Pillow cannot write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + zlib.crc32(name + data).to_bytes(4)

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def test_sixteen_bit_colour_is_not_cut_to_eight():
    values = np.random.default_rng(0).integers(0, 4096, (5, 7, 4)).astype(np.uint16)
    values[..., 3] = 65535
    colour = values[..., :3]
    files = [png(colour, 2), png(values, 6)]
    for order in "<>":
        files.append(
            tiff(colour.astype(order + "u2").tobytes(), (5, 7, 3), 16, order=order, t262=2)
        )
    for data in files:
        picture = images.load(data)
        np.testing.assert_array_equal(picture.pixels, colour)
        assert picture.bits == 16
    # On white: what is transparent, or has the one value that the file names.
    values[..., 3] = 0
    assert (images.load(png(values, 6)).pixels == 65535).all()
    clear = (b"tRNS", colour[2, 3].astype(">u2").tobytes())
    colour = colour.copy()
    colour[2, 3] = 65535
    np.testing.assert_array_equal(images.load(png(values[..., :3], 2, clear)).pixels, colour)


def test_nan_in_a_float_picture_is_refused():
    with pytest.raises(InputError, match="infinite"):
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


EXACT = ["BMP", "GIF", "JPEG2000", "PNG", "PPM", "TIFF"]


@pytest.mark.parametrize("kind", [*EXACT, "AVIF", "JPEG", "WEBP"])
def test_kinds_are_known_by_content(kind, tmp_path):
    picture = Image.new("RGB", (32, 16), (9, 120, 200))
    path = tmp_path / "a.dat"
    path.write_bytes(encoded(picture, kind))
    assert images.kind(path) == images.kind(path.read_bytes()) == kind
    got = images.read(path).astype(int)
    assert np.abs(got - picture.getpixel((0, 0))).max() <= (0 if kind in EXACT else 4)
    assert images.page_count(path) == 1


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", None),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw"),
        (b"II*\0\x10\0\0\0CR\2\0", "camera raw"),
        (b"8BPS\0\1", "Photoshop"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"<?xml version='1.0'?>\n<!-- a -->\n<svg xmlns=''>", "SVG"),
        (b"<html><body>", None),
        (bytes(128) + b"DICM", "DICOM"),
        (b"P5 is the name of a text", None),
        (b"P5\n# a comment\n# 2\n3 4 255\n", "PPM"),
        (b"BMW and other cars", None),
        (b"", None),
    ],
)
def test_other_kinds_are_told_apart(head, kind):
    assert images.kind(head) == kind
    if kind not in images.FORMATS:
        with pytest.raises(InputError, match=kind or "no known kind"):
            images.read(head)


def test_heic_is_named_with_what_reads_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install pillow-heif"):
        images.read(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic")


def test_pages():
    frames = [Image.new("L", (4, 4), n) for n in range(5)]
    data = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert images.page_count(data) == 5
    assert [images.load(data, page=n).pixels.max() for n in range(5)] == list(range(5))
    for source, page in ((data, 5), (encoded(frames[0]), 1)):
        with pytest.raises(InputError, match=f"no page {page}"):
            images.load(source, page=page)


def test_a_large_jpeg_is_read_at_a_fraction_of_its_size():
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp = np.linspace(0, 255, 900 * 1200).reshape(900, 1200).astype(np.uint8)
    data = encoded(Image.fromarray(ramp).convert("RGB"), "JPEG", exif=exif)
    size = images.Size(48, 64)
    whole, part = images.load(data), images.load(data, at_least=size)
    assert whole.size == part.size == images.Size(*whole.pixels.shape[:2]) == (1200, 900)
    assert part.pixels.shape == (300, 225, 3)
    apart = images.fit(whole.pixels, size).astype(int) - images.fit(part.pixels, size)
    assert np.abs(apart).max() <= 2
    assert images.load(data, at_least=images.Size(300, 400)).pixels.shape == (1200, 900, 3)
    lying = images.load(encoded(Image.fromarray(ramp), "JPEG"), at_least=size)
    assert (lying.size, lying.pixels.shape) == ((900, 1200), (225, 300, 1))
    # Not where a line's width or an exact mean depends on it.
    for fields in ({"thicken": True}, {"resample": "area"}):
        assert images.Preparation(size, **fields).load(data).pixels.shape[0] == 1200


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


def test_path_and_bytes_agree(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    path = tmp_path / "a.png"
    images.save(path, picture)
    for source in (path, str(path), path.read_bytes()):
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


@pytest.mark.parametrize(("height", "width", "size"), [(90, 61, 32), (31, 50, 48), (64, 64, 16)])
def test_fit_to_squares_is_one_resize_of_the_centre(height, width, size):
    """Stored arrays were made so."""
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    centre = Image.fromarray(picture[top : top + side, left : left + side])
    for resample, shrinks in (
        ("hamming", Image.Resampling.HAMMING),
        ("area", Image.Resampling.BOX),
    ):
        kind = shrinks if size < side else Image.Resampling.BILINEAR
        expected = np.asarray(centre.resize((size, size), kind))
        if resample == "area" and side % size == 0:
            expected = np.asarray(centre.reduce(side // size))
        np.testing.assert_array_equal(images.fit(picture, size, "crop", resample), expected)


def test_fit_to_other_shapes():
    picture = np.zeros((40, 100, 1), np.uint8)
    picture[:, 20:80] = 200
    wide = images.Size(20, 30)  # of the picture's height, and of 60 of its columns
    assert images.fit(picture, wide).shape == (20, 30, 1)
    assert (images.fit(picture, wide) == 200).all()
    assert images.share_cut(images.Size(40, 100), wide) == pytest.approx(0.4)
    stretched = images.fit(picture, wide, "stretch")
    assert (stretched[:, 7:23] == 200).all()
    assert (stretched[:, :5] == 0).all()
    assert images.share_cut(images.Size(40, 100), wide, "stretch") == 0


def test_padding_has_the_colour_of_the_border():
    uniform = np.full((10, 40, 3), (10, 200, 90), np.uint8)
    uniform[4:6] += np.uint8(60)
    uniform[:, ::9] += np.uint8(3)  # noise of a compression
    padded = images.fit(uniform, 40, "pad")
    np.testing.assert_array_equal(padded[15:25], uniform)
    assert (padded[:15] == (10, 200, 90)).all()
    assert (padded[25:] == (10, 200, 90)).all()
    noise = np.random.default_rng(0).integers(0, 200, (10, 40, 1), np.uint8)
    assert (images.fit(noise, 40, "pad")[:15] == 255).all()


@pytest.mark.parametrize("how", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [images.Size(30, 90), images.Size(64, 16)])
def test_unfit_gives_back_the_shape(how, size):
    rows, columns = np.mgrid[0:60, 0:90]
    picture = np.stack([rows * 4, columns * 2, rows + columns], axis=-1).astype(np.uint8)
    back = images.unfit(images.fit(picture, size, how), images.Size(60, 90), how)
    expected = {"crop": {(30, 90): (30, 90), (64, 16): (60, 15)}[size]}.get(how, (60, 90))
    assert back.shape[:2] == expected
    top, left = (60 - expected[0]) // 2, (90 - expected[1]) // 2
    original = picture[top : top + expected[0], left : left + expected[1]].astype(int)
    assert np.abs(back - original)[4:-4, 4:-4].max() <= 12
    assert np.abs(back - original)[4:-4, 4:-4].mean() < 1
    longer = images.unfit(images.fit(picture, size, how), images.Size(60, 90), how, to=180)
    assert max(longer.shape) == 180


@pytest.mark.parametrize(("height", "ink"), [(256, 3), (512, 5), (128, 2), (384, 4)])
def test_thickening_is_a_pixel_on_each_side_at_256(height, ink):
    page = np.full((height, 64, 1), 255, np.uint8)
    page[:, 32] = 0
    thick = images.fitting.thicken(page)
    assert (255 - thick[0].astype(float)).sum() / 255 == pytest.approx(ink, abs=0.02)
    np.testing.assert_array_equal(thick[0, ::-1][:63], thick[0, 1:])


def test_thickening_takes_the_darkest_around_as_the_published_archives_were_read():
    grey = np.random.default_rng(0).integers(0, 256, (768, 40, 1), np.uint8)
    for height, window in ((256, 3), (512, 5), (768, 7)):
        expected = Image.fromarray(grey[:height, :, 0]).filter(ImageFilter.MinFilter(window))
        thick = images.fitting.thicken(grey[:height])
        np.testing.assert_array_equal(thick[..., 0], np.asarray(expected))


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


@pytest.mark.parametrize(
    ("low", "high", "unsigned", "expected", "text"),
    [
        (7, 200, True, (0, 255), "8 bits (0 to 255)"),
        (7, 1023, True, (0, 1023), "10 bits (0 to 1023)"),
        (0, 1024, True, (0, 4095), "12 bits (0 to 4095)"),
        (0, 5000, True, (0, 16383), "14 bits (0 to 16383)"),
        (0, 65535, True, (0, 65535), "16 bits (0 to 65535)"),
        (-1000, 1400, False, (-1000, 1400), "-1000 to 1400"),
        (0.25, 1.01, False, (0.25, 1.01), "0.25 to 1.01"),
    ],
)
def test_the_range_of_a_set(low, high, unsigned, expected, text):
    found = images.needed_range(float(low), float(high), unsigned=unsigned)
    assert found == expected
    assert images.range_text(found) == text


def test_deep_pictures_of_a_set_share_a_range():
    light, dark = (
        images.load(encoded(Image.fromarray(np.full((4, 4), value, np.uint16))))
        for value in (4000, 500)
    )
    prepare = images.Preparation(images.Size(4, 4), channels=1).for_values(
        500.0, 4000.0, unsigned=True
    )
    assert prepare.range == (0, 4095)
    assert {int(prepare.apply(x)[0, 0, 0]) for x in (light, dark)} == {249, 31}
    # Files of 8 bits keep their values, unless the user has named a range.
    bytes_ = np.full((4, 4, 1), 100, np.uint8)
    assert (prepare.apply(bytes_) == 100).all()
    named = images.Preparation(images.Size(4, 4), channels=1, range=(0.0, 200.0))
    assert (named.apply(bytes_) == round(255 / 2)).all()
    assert named.for_values(0.0, 5.0, unsigned=True) == named
    assert (named.clipped(light), prepare.clipped(light)) == (16, 0)
    spread = images.Picture(np.array([[[150], [250]]], np.uint8), images.Size(1, 2), 8)
    assert (named.used(spread), prepare.used(spread)) == (50 / 200, 1)
    assert (named.apply(light) == 255).all()


@pytest.mark.parametrize("low_high", [(0.0, 4095.0), (-1000.0, 1400.0)])
def test_values_go_there_and_back(low_high):
    unit = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16, 1)
    deep = images.from_unit(unit, low_high)
    assert deep.dtype == ("uint16" if low_high[0] == 0 else "float32")
    assert (deep.min(), deep.max()) == low_high
    assert images.from_unit(np.float32([0.5003]), (0.0, 4095.0)) == [2049]  # 2048.7
    picture = images.Picture(deep, images.Size(16, 16), None)
    np.testing.assert_array_equal(images.values.to_bytes(picture, low_high)[..., 0], RAMP)
    with pytest.raises(ValueError, match="NaN"):
        images.from_unit(unit * np.nan, low_high)


def test_a_preparation_does_its_steps_in_order():
    drawing = np.full((256, 300, 3), (250, 240, 255), np.uint8)
    drawing[:, 150] = (255, 0, 0)
    prepare = images.Preparation(images.Size(64, 32), thicken=True, resample="area")
    grey = np.asarray(Image.fromarray(drawing).convert("L").filter(ImageFilter.MinFilter(3)))
    expected = grey[:, 86:214].astype(float).reshape(64, 4, 32, 4).mean((1, 3))
    got = prepare.apply(drawing)
    assert got.shape == (64, 32, 3)
    assert np.abs(got - expected[..., None]).max() <= 0.5
    one = replace(prepare, channels=1)
    np.testing.assert_array_equal(one.apply(drawing), got[..., :1])
    assert images.Preparation.from_json(json.loads(json.dumps(one.to_json()))) == one
    assert one.for_values(0.0, 4000.0, unsigned=True).steps() == [
        {
            "step": "map values to 0..255",
            "low": 0.0,
            "high": 4095.0,
            "except": "pictures of 8 bits",
        },
        {"step": "convert to grey", "weights": [0.299, 0.587, 0.114]},
        {"step": "thicken dark lines", "pixels": 1, "at_height": 256},
        {"step": "fit", "how": "crop", "height": 64, "width": 32, "resample": "area"},
    ]
    assert prepare.steps()[-1] == {"step": "convert to RGB"}
    assert str(one) == (
        "cut to the largest centred part in the shape of 64x32, scaled to 64x32, made grey, "
        "dark lines made thicker"
    )


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
    picture[:, 1::2] = 200, 10, 90  # colours are kept as sharp as light
    images.save(tmp_path / name, picture)
    assert abs(images.read(tmp_path / name).astype(int) - picture).max() <= 12


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_one_channel_makes_a_grey_file(tmp_path, name):
    for kind in ("uint8", "uint16", "float32") if name == "a.tif" else ("uint8", "uint16"):
        picture = (np.arange(12).reshape(3, 4, 1) * 21).astype(kind)
        images.save(tmp_path / name, picture)
        found = images.load(tmp_path / name).pixels
        assert found.dtype == kind
        np.testing.assert_array_equal(found, picture)


@pytest.mark.parametrize(
    ("name", "kind", "channels"),
    [
        ("a.jpg", "uint16", 1),
        ("a.png", "float32", 1),
        ("a.tif", "uint16", 3),
        ("a.png", "uint8", 2),
    ],
)
def test_save_refuses_what_a_format_does_not_hold(tmp_path, name, kind, channels):
    with pytest.raises(InputError, match=rf"{channels} channels? of {kind}"):
        images.save(tmp_path / name, np.zeros((4, 4, channels), kind))
    assert not [*tmp_path.iterdir()]


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


def test_grid_shows_any_shape_and_number_of_channels():
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, 256, (2, 8, 16, channels), np.uint8) for channels in (1, 3, 2, 5)]
    sheet = images.grid([(str(x.shape[-1]), x) for x in columns], cell=32, gap=4)
    top = sheet.shape[0] - 2 * 20
    assert sheet.shape[1] == 4 + 4 * 36
    for i, x in enumerate(columns):
        cell = sheet[top : top + 16, 4 + 36 * i : 36 + 36 * i][::2, ::2]
        shown = x[0, ..., :3] if x.shape[-1] > 2 else x[0, ..., :1].repeat(3, -1)
        np.testing.assert_array_equal(cell, shown)


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


def test_a_lack_of_memory_is_not_taken_for_a_bad_picture(tmp_path, monkeypatch):
    images.save(tmp_path / "good.png", np.zeros((4, 4, 3), np.uint8))

    def decode(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(decoding, "decode", decode)
    with pytest.raises(MemoryError, match=r"good\.png cannot be read: no room"):
        images.read(tmp_path / "good.png")


# Memory and transparency


def test_pictures_wait_for_room_beside_others(monkeypatch):
    monkeypatch.setattr(room, "_half_of_memory", lambda: 10 * room.BYTES_A_PIXEL)
    order, inside = [], threading.Event()

    def other():
        inside.wait(10)
        with room.room(4):
            order.append("the other one")

    thread = threading.Thread(target=other)
    thread.start()
    with room.room(100):  # more than there is, and alone
        inside.set()
        thread.join(0.05)
        order.append("the first one")
    thread.join(10)
    assert order == ["the first one", "the other one"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_memory_is_not_taken_for_damage(monkeypatch, kind):
    """Most decoders say that a file is broken when they get no memory."""
    data = fuzz.picture(kind, size=(64, 64))
    with pytest.raises(images.PictureError, match="cannot be read as a picture"):
        images.load(data[: len(data) // 2])
    monkeypatch.setattr(room, "_is_free", lambda size: False)
    with pytest.raises(MemoryError, match="decoding may take 128 KiB"):
        images.load(data[: len(data) // 2])


@pytest.mark.parametrize(("alpha", "clear"), [(255, False), (254, True)])
def test_what_was_transparent_is_counted(tmp_path, alpha, clear):
    made = Image.new("RGBA", (8, 8), (9, 9, 9, 255))
    made.putpixel((3, 3), (0, 0, 0, alpha))
    for i in range(3):
        made.save(tmp_path / f"{i}.png")
    assert images.load(tmp_path / "0.png").clear == clear
    options = {"image_size": 8, "data_dir": tmp_path / "data"}
    line = census.describe(sources.load(f"folder:{tmp_path}", **options).about)
    assert ("3 with transparent parts, which become white" in line) == clear
