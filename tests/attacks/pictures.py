"""Pictures that take long, take much memory, or meet too little of it."""

import itertools
import struct
import subprocess
import sys
import time

import fuzz
import pytest
from PIL import Image

from attacks import attack
from discogan_jax import images
from discogan_jax.images import room

LONGEST = 3.0  # seconds of this process, for pictures of 2000×2000
SIDE = 2000


def segment(marker, data):
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2) + data


def scans(number, side=SIDE, before=b""):
    """Builds a progressive JPEG with scans of a few bytes that go over the whole picture."""
    components = b"".join(bytes([i, 0x11, 0]) for i in (1, 2, 3))
    frame = segment(0xC2, b"\x08" + side.to_bytes(2) * 2 + b"\x03" + components)
    tables = segment(0xDB, bytes([0]) + bytes([1] * 64))
    # Codes of one bit: no difference, and a run of 2^14 blocks without a value.
    for kind, symbol in ((0x00, 0x00), (0x10, 0xE0)):
        tables += segment(0xC4, bytes([kind, 1]) + bytes(15) + bytes([symbol]))
    blocks = (-(-side // 8)) ** 2
    first = segment(0xDA, b"\x03\x01\x00\x02\x00\x03\x00\x00\x00\x00") + bytes(-(-3 * blocks // 8))
    runs = ("0" + "1" * 14) * -(-blocks // (1 << 14))
    runs += "1" * (-len(runs) % 8)
    data = int(runs, 2).to_bytes(len(runs) // 8).replace(b"\xff", b"\xff\x00")
    more = (segment(0xDA, bytes([1, i % 3 + 1, 0, 1, 63, 0x10])) + data for i in range(number - 1))
    return b"\xff\xd8" + before + tables + frame + first + b"".join(more) + b"\xff\xd9"


def in_tiff(jpeg, side=SIDE):
    """Puts a JPEG into a TIFF, as its one strip."""
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 3, 0), (259, 3, 1, 7), (262, 3, 1, 2)]
    tags += [(273, 4, 1, 0), (277, 3, 1, 3), (278, 4, 1, side), (279, 4, 1, len(jpeg))]
    end = 8 + 2 + 12 * len(tags) + 4
    places = {258: end, 273: end + 6}
    entries = [struct.pack("<HHII", t, kind, n, places.get(t, x)) for t, kind, n, x in tags]
    start = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(entries) + bytes(4)
    return start + struct.pack("<3H", 8, 8, 8) + jpeg


def tried(data, said=None):
    """Reads a picture in a short time, or it is refused with some words."""
    began = time.process_time()
    if said:
        with pytest.raises(images.PictureError, match=said):
            images.load(data)
    else:
        images.load(data)
    assert time.process_time() - began < LONGEST


@attack("pictures: JPEGs of many scans", quick=True)
def many_scans(folder, rng):
    for number in (101, 2000):
        tried(scans(number, 200), "more than 100 scans")
        tried(scans(number) + scans(2), "more than 100 scans")  # as in an MPO
        tried(scans(number, before=segment(0xE1, scans(2, 8))), "more than 100 scans")
    tried(in_tiff(scans(2000)), "cannot be read")


@attack("pictures: JPEGs of many scans")
def as_many_as_are_allowed(folder, rng):
    tried(scans(100))
    tried(in_tiff(scans(99)))
    tried(scans(2) + b"\0\2\xff\xda" * 500)


@attack("pictures: JPEGs of many scans", tries=5)
def hidden_scans(folder, rng):
    """Between scans: restarts, fill bytes, comments, tables, lengths that are too short."""
    whole = scans(2000)
    fillers = [b"\xff" * 9, segment(0xFE, b"\xff\xd9"), segment(0xDD, b"\0\0"), b"\xff\xd0" * 3]
    pieces = whole.split(b"\xff\xda")
    chosen = (fillers[i] for i in rng.integers(0, len(fillers), len(pieces)))
    data = b"".join(itertools.chain(*zip(pieces, chosen, itertools.repeat(b"\xff\xda"))))
    tried(data, "more than 100 scans|cannot be read")


@attack("pictures: bytes that a search goes over again and again", quick=True)
def fillers(folder, rng):
    for run in (b"\xff", b"\xff\xda", b"\xff\xd8", b"\xff\x00", b"\xff\xd0", b"\xff\xfe\0\0"):
        tried(b"\xff\xd8" + b"\xff\xda" * 101 + run * 100_000, ".")
    for start in (b"P6 ", b"P6 #\n", b"<", b"\0\0\0\x20ftyp", b"II*\0", b"GIF89a", b"BM"):
        tried(start + b" " * 100_000, ".")
        tried(start + b"#\n" * 100_000, ".")


# Reads a picture with fewer and fewer addresses: other processes have no freed memory to use again.
LIMITED = """
import resource, sys
from pathlib import Path
from discogan_jax import images
found = []
for more in range(200, -1, -4):
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (more << 20), -1))
    try:
        found.append(str(images.load(sys.argv[1]).pixels.shape))
    except MemoryError:
        found.append("no memory")
    except images.PictureError as error:
        found.append(str(error))
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
print("\\n".join(found))
"""
KINDS = [
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "CMYK", {}),
    *((kind, mode, {}) for kind in ("PNG", "WEBP", "JPEG2000", "AVIF") for mode in ("RGB", "RGBA")),
    *(("GIF", "P", {}), ("BMP", "RGB", {}), ("PPM", "RGB", {}), ("PNG", "I;16", {})),
    *(("TIFF", "RGBA", {}), ("TIFF", "F", {}), ("TIFF", "RGB", {"compression": "jpeg"})),
]


@attack("pictures: too little memory", tries=25)
def little_memory(folder, rng):
    """A picture is read or the lack is said, however much is missing; none is called damaged."""
    kind, mode, options = KINDS[rng.integers(len(KINDS))]
    Image.new(mode, (1600, 2000), 9).save(folder / "x", kind, **options)
    command = [sys.executable, "-c", LIMITED, folder / "x"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    channels = 1 if mode in ("F", "I;16") else 3
    assert set(said) <= {f"(2000, 1600, {channels})", "no memory"}, set(said)


@attack("pictures: too little memory", quick=True)
def no_room(folder, rng):
    """As decoders report it: a damaged file with no memory left to read a sound one."""
    data = fuzz.picture("WEBP", size=(64, 64))
    had, room._is_free = room._is_free, lambda size: False
    try:
        for part in (data[:40], data[: len(data) // 2]):
            with pytest.raises(MemoryError, match="decoding may take"):
                images.load(part)
    finally:
        room._is_free = had
