"""Fuzzes the readers with archives and pictures that are damaged at random, but reproducibly.

The suite tries a few (tests/test_hostile.py), `soak` tries many. Reading must succeed or raise an
`InputError`; nothing may be written outside the target folder, no program started and nothing
unpickled.
"""

import contextlib
import gzip
import io
import os
import random
import resource
import sys
import tarfile
import tempfile
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from discogan_jax import host, images
from discogan_jax.data.pix2pix import archives
from discogan_jax.data.pix2pix import tar as pix2pix_tar
from discogan_jax.data.pix2pix.half import Half
from discogan_jax.data.pix2pix.source import ArchiveSide
from discogan_jax.data.source import Places, Wanted
from discogan_jax.errors import InputError

SEED = 20171
ARCHIVE = archives.PublishedArchive("edges2shoes", "edges", "photo", width=32, height=16)
MAX_GROWTH = 24 * images.MAX_PIXELS  # bytes by which the files may make the process grow

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"mkdir", "rename", "link", "symlink", "truncate", "remove", "rmdir", "chmod", "chown"}
_PROGRAMS = {"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen"}
_watched: list[tuple[Path, list[str]]] = []


def _hook(event, arguments):
    if not _watched:
        return
    folder, found = _watched[-1]
    if event in _PROGRAMS or event == "pickle.find_class":
        found.append(f"{event} {arguments}")
    writes = event == "open" and (arguments[2] or 0) & _WRITES
    if writes or (event.startswith("os.") and event[3:] in _CHANGES):
        for place in arguments[: 1 if writes else 2]:
            if not isinstance(place, str | bytes | os.PathLike):
                continue
            path = Path(os.path.realpath(os.fsdecode(place)))
            if folder not in (path, *path.parents) and "__pycache__" not in path.parts:
                found.append(f"{event} {path}")


host.tensorflow()  # now: importing it starts a program, which `watched` would report
sys.addaudithook(_hook)  # permanent: audit hooks cannot be removed


@contextlib.contextmanager
def watched(folder):
    """Records what Python code does outside a folder: files written or moved, programs, pickles.

    Yields:
      The list of events, which grows while the body runs.
    """
    found = []
    _watched.append((Path(folder).resolve(), found))
    try:
        yield found
    finally:
        _watched.pop()


def picture(kind="JPEG", mode="RGB", size=(32, 16), seed=0, **options):
    """Encodes a picture of noise, so that every byte of the file matters."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 4), np.uint8)
    if mode in ("I;16", "I", "F"):
        made = Image.fromarray(noise[..., 0].astype({"I;16": "<u2", "I": "<i4", "F": "<f4"}[mode]))
    else:
        made = Image.fromarray(noise).convert("LA").convert(mode) if mode == "LA" else (
            Image.fromarray(noise if mode == "RGBA" else noise[..., :3]).convert(mode)
        )  # fmt: skip
    file = io.BytesIO()
    made.save(file, kind, **options)
    return file.getvalue()


def tar(members, form=tarfile.GNU_FORMAT):
    """Builds an uncompressed tar from pairs of a name or `TarInfo` and the member's bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as file:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sound_tars():
    """Builds valid archives in every tar format, with other files among the pictures."""
    pairs = [
        (f"edges2shoes/{split}/{i}_AB.jpg", picture(seed=i, quality=60))
        for split, count in (("train", 3), ("val", 2))
        for i in range(count)
    ]
    folder = tarfile.TarInfo("edges2shoes")
    folder.type = tarfile.DIRTYPE
    tagged = tarfile.TarInfo("edges2shoes/train/9_AB.jpg")
    tagged.pax_headers = {"comment": "x" * 99, "mtime": "1.5", "SCHILY.xattr.user.a": "b"}
    deep = f"edges2shoes/{'d' * 120}/notes.txt"
    sparse = tarfile.TarInfo("edges2shoes/train/8_AB.jpg")
    sparse.pax_headers = {"GNU.sparse.size": "9", "GNU.sparse.map": "0,4,8,1"}
    return [
        tar([(folder, b""), *pairs, (deep, b"long name")]),
        tar([*pairs, (tagged, picture(seed=9))], tarfile.PAX_FORMAT),
        tar([(folder, b""), *pairs], tarfile.USTAR_FORMAT),
        tar([*pairs, (sparse, b"12345")], tarfile.PAX_FORMAT),
    ]


def sound_pictures():
    """Encodes pictures of all supported formats and modes, by file name."""
    frames = {"save_all": True, "append_images": [Image.new("RGB", (32, 16), "red")]}
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = {
        "JPEG": [{}, {"mode": "L"}, {"mode": "CMYK"}, {"progressive": True}, {"exif": exif}],
        "PNG": [{"mode": mode} for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
        + [frames, {"exif": exif}],
        "WEBP": [{}, {"lossless": True}, {"mode": "RGBA"}, frames],
        "BMP": [{"mode": mode} for mode in ("1", "L", "P", "RGB", "RGBA")],
        "GIF": [{"mode": mode} for mode in ("L", "P", "RGB")],
        "PPM": [{"mode": mode} for mode in ("1", "L", "RGB", "F")],
        "JPEG2000": [{"mode": mode} for mode in ("L", "RGBA", "I;16")],
        "AVIF": [{}, {"mode": "RGBA"}],
        "TIFF": [{"mode": mode} for mode in ("1", "L", "P", "RGBA", "CMYK", "I;16", "I", "F")]
        + [{"compression": name} for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg")]
        + [{"mode": "1", "compression": "group4"}, {"exif": exif}],
    }
    return {
        f"{kind} {i}": picture(kind, **options)
        for kind, several in kinds.items()
        for i, options in enumerate(several)
    }


def damaged(data, draw):
    """Returns a copy with some bytes flipped, overwritten, cut off, left out or repeated."""
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        at = int(len(data) * draw.random() ** 2)  # headers are at the beginning
        length = draw.choice((1, 2, 4, 8, 64, 512))
        kind = draw.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at : at + length] = draw.randbytes(length)
        elif kind == 2:
            extreme = (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")
            data[at : at + 4] = draw.choice(extreme)
        elif kind == 3 and draw.random() < 0.3:
            del data[at:]
        elif kind == 4:
            del data[at : at + length]
        elif kind == 5:
            data[at:at] = data[at : at + length]
        else:
            other = draw.randrange(len(data) + 1)
            data[at : at + length] = data[other : other + length]
    return bytes(data)


def with_checksums(data):
    """Corrects the checksums of a tar's headers, so that damage gets past the check."""
    data = bytearray(data)
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            header = data[at : at + 512]
            header[148:156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(header)
    return bytes(data)


def with_crcs(data):
    """Corrects the CRCs of a PNG's chunks."""
    data, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(data)


def damaged_archives(count):
    """Yields damaged tar.gz files; a larger count only appends to them."""
    draw, sound = random.Random(SEED), sound_tars()
    for i in range(count):
        data = sound[i % len(sound)]
        if i % 4 == 3:
            yield damaged(gzip.compress(data, 1, mtime=0), draw)
            continue
        data = damaged(data, draw)
        yield gzip.compress(with_checksums(data) if i % 4 else data, 1, mtime=0)


def damaged_pictures(count):
    """Yields file names and damaged pictures; a larger count only appends to them."""
    draw, sound = random.Random(SEED), [*sound_pictures().items()]
    for i in range(count):
        name, data = sound[i % len(sound)]
        data = damaged(data, draw)
        yield name, with_crcs(data) if draw.random() < 0.5 else data


def try_archive(data, folder, *, whole=True):
    """Decodes an archive in a folder.

    Args:
      data: the tar.gz file.
      folder: a folder for it.
      whole: decode it as training does; else, ten times as fast, picture by picture.

    Returns:
      What went wrong, or an empty string if the archive was decoded or refused.
    """
    path, target = Path(folder, "edges2shoes.tar.gz"), Path(folder, "target")
    path.write_bytes(data)
    target.mkdir(exist_ok=True)
    photos = ArchiveSide("edges2shoes/photo", ARCHIVE, "photo")
    with watched(target) as outside:
        try:
            if whole:
                photos.write(target, Wanted(16), Places(target, path))
            half = Half(ARCHIVE, "photo", photos.preparation(Wanted(16)))
            for member in () if whole else pix2pix_tar.members(path, ARCHIVE):
                with contextlib.suppress(InputError):
                    assert half.decode_alone(member.jpeg).shape == (16, 16, 3)
        except InputError as error:
            if str(path) not in str(error):
                outside.append(f"the message does not name the file: {error}")
        except Exception as error:
            outside.append(repr(error))
    return "; ".join(outside)


def try_picture(data):
    """Reads a picture; returns what went wrong, or an empty string."""
    with watched(os.devnull) as outside:
        try:
            found = images.read(data)
            assert images.fit(found, 16).shape == (16, 16, 3)
            assert found.dtype == np.uint8
            assert found.size <= 3 * images.MAX_PIXELS
        except InputError:
            pass
        except Exception as error:
            outside.append(repr(error))
    return "; ".join(outside)


@contextlib.contextmanager
def _silence():
    """Discards messages about damaged files, including those that libtiff writes directly."""
    sys.stderr.flush()
    whole, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stderr.flush()
        os.dup2(whole, 2)
        os.close(whole)
        os.close(nowhere)


def soak(count):
    """Tries `count` damaged files, half archives and half pictures.

    Returns:
      Rows of what was tried, the number of tries and the number of failures; details go to stderr.
    """
    tried, faults = Counter(), []
    before = _peak()
    with tempfile.TemporaryDirectory() as folder, _silence():
        for i, data in enumerate(damaged_archives(count // 2)):
            tried["damaged archive"] += 1
            faults.append(("damaged archive", i, try_archive(data, folder, whole=i % 10 == 0)))
        for i, (name, data) in enumerate(damaged_pictures(count - count // 2)):
            kind = f"damaged {name.partition(' ')[0]}"
            tried[kind] += 1
            faults.append((kind, i, try_picture(data)))
    tried["memory"] += 1
    grown = _peak() - before
    faults.append(("memory", 0, f"{grown >> 20} MiB more" if grown > MAX_GROWTH else ""))
    wrong = Counter()
    for kind, i, fault in faults:
        if fault:
            wrong[kind] += 1
            print(f"{kind}, number {i}: {fault}", file=sys.stderr)
    return [(kind, number, wrong[kind]) for kind, number in tried.items()]


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10  # Linux counts KiB
