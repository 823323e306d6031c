"""Archives whose headers are cut off or hold absurd numbers, and names made to harm."""

import gzip
import itertools
import tarfile

import fuzz

from attacks import attack
from discogan_jax.data.pix2pix import half

SIZE, OTHER_FIELDS = (124, 12), [(100, 8), (108, 8), (116, 8), (136, 12)]
NUMBERS = [
    *(b"", b"-1", b"-777", b"77777777777", b"9", b"8\xff", b" ", b"1e9", b"\0", b"0x10"),
    *(b"\x80" + bytes(11), b"\x80" + b"\x7f" * 11, b"\x80" + bytes(10) + b"\x09"),
    *(b"\xff" * 12, b"\xff" + b"\x80" + bytes(10), b"\xff" * 11 + b"\x01", b"\x80" + b"\xff" * 11),
]
PAX = {
    "size": ("-1", "-512", "1e9", "9" * 5000, "nan", "", "0x10"),
    "GNU.sparse.map": ("", "1", "0,9,9", "-1,-1", "9" * 5000 + ",1", "a,b"),
    "GNU.sparse.realsize": ("-1", "x", "9" * 30),
    "GNU.sparse.size": ("-1", "x", ""),
    "path": ("", "/", "..", "\0", "x" * 9999),
    "mtime": ("-1", "nan", "inf", "9" * 5000),
}


def picture_header(name="edges2shoes/train/9_AB.jpg", kind=tarfile.REGTYPE, size=0, **fields):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return bytearray(info.tobuf(tarfile.GNU_FORMAT, **fields))


def sparse_header(more):
    """Builds a header of old GNU sparse files, which `more` blocks of numbers continue."""
    header = picture_header(kind=tarfile.GNUTYPE_SPARSE, size=1024)
    header[386:482] = (b"00000000000\0" + b"00000000010\0") * 4
    header[482], header[483:495] = bool(more), b"00000001000\0"
    block = (b"00000000020\0" + b"00000000010\0") * 21
    blocks = [block + bytes([i + 1 < more]) + bytes(7) for i in range(more)]
    return bytes(header) + b"".join(blocks)


def extended():
    """Yields headers that continue in further blocks, whole, by kind."""
    long = b"edges2shoes/train/" + b"d" * 1500 + b"/9_AB.jpg\0"
    fill = bytes(-len(long) % 512)
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        yield kind, bytes(picture_header("././@LongLink", kind, len(long))) + long + fill
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
        record = b"1030 path=edges2shoes/train/" + b"d" * 992 + b"/9_AB.jpg\n"
        block = record + bytes(-len(record) % 512)
        yield kind, bytes(picture_header("PaxHeaders/9", kind, len(record))) + block
    yield tarfile.GNUTYPE_SPARSE, sparse_header(3)


def tried(folder, members):
    """Reads an archive of sound pictures and then some blocks, as training does, but for pixels."""
    start = fuzz.sound_tars()[2].rstrip(b"\0")
    start += bytes(-len(start) % 512)
    data = gzip.compress(fuzz.with_checksums(start + members), 1)
    assert fuzz.try_archive(data, folder, whole=False) == ""


@attack("archives: an extended header is cut off", quick=True)
def cut_header(folder, rng):
    """At each block and within it, with and without the end of an archive."""
    for _, header in extended():
        for at, end in itertools.product(range(0, len(header), 512), (b"", bytes(1024))):
            tried(folder, header[:at] + end)
            tried(folder, header[: at + 7] + end)


@attack("archives: absurd numbers in headers", quick=True)
def sizes(folder, rng):
    in_field(folder, *SIZE)


@attack("archives: absurd numbers in headers")
def other_numbers(folder, rng):
    for field in OTHER_FIELDS:
        in_field(folder, *field)


def in_field(folder, at, length):
    kinds = (tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, b"S")
    for kind, number in itertools.product(kinds, NUMBERS):
        header = picture_header(kind=kind)
        header[at : at + length] = number[:length].ljust(length, b"\0")
        tried(folder, bytes(header) + bytes(1024))


@attack("archives: absurd numbers in headers")
def sparse_numbers(folder, rng):
    for place, number in itertools.product(range(386, 495, 12), NUMBERS):
        header = bytearray(sparse_header(1))
        header[place : place + 12] = number.ljust(12, b"\0")
        tried(folder, bytes(header) + bytes(2048))


@attack("archives: absurd numbers in headers")
def pax_records(folder, rng):
    for name, value in ((name, value) for name, values in PAX.items() for value in values):
        info = tarfile.TarInfo("edges2shoes/train/9_AB.jpg")
        info.pax_headers = {name: value}
        tried(folder, info.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    for record in (b"0 a=b\n", b"-5 a=b\n", b"6 a=b", b"99999 a=b\n", b"x a=b\n", b"=\n", b"\0"):
        header = picture_header("PaxHeaders/9", tarfile.XHDTYPE, len(record))
        tried(folder, bytes(header) + record.ljust(512, b"\0") + bytes(picture_header()))


@attack("archives: damage at random", tries=20, quick=True)
def at_random(folder, rng):
    """Flips bytes of headers alone, with right checksums."""
    sound = [bytes(h) for _, h in extended()] + [bytes(picture_header(size=512)) + bytes(512)]
    for _ in range(25):
        header = bytearray(sound[rng.integers(len(sound))])
        for at in rng.integers(0, min(len(header), 512), rng.integers(1, 6)):
            header[at] = rng.integers(256)
        tried(folder, bytes(header))


@attack("archives: a JPEG in it is made to take long", quick=True)
def bomb(folder, rng):
    """The picture is small and complete; its scans are many."""
    picture = fuzz.picture(progressive=True)
    last = picture[picture.rindex(b"\xff\xda") : -2]
    long = picture[:-2] + last * 999 + picture[-2:]
    pictures = {f"{s}/{i}": fuzz.picture() for s in ("train", "val") for i in "12"}
    pictures["train/3"] = long
    data = fuzz.tar([(f"edges2shoes/{name}_AB.jpg", data) for name, data in pictures.items()])
    assert fuzz.try_archive(gzip.compress(data, 1), folder) == ""
    assert "more than 100 scans" in half.problem(long, fuzz.ARCHIVE)
