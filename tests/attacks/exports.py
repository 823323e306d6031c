"""Exports that are damaged, or made to fill the memory."""

import contextlib
import functools
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np

from attacks import attack, discogan, made, refused, run
from discogan_jax import images, runs
from discogan_jax.export import write


@functools.cache
def exported(kind):
    """Exports the run of the attacks; copy it to change it."""
    return write(runs.open(run()), made() / f"exported as {kind}", kind=kind, batch_size=1)[0]


@functools.cache
def picture():
    images.save(made() / "picture.png", np.arange(768, dtype=np.uint8).reshape(16, 16, 3))
    return made() / "picture.png"


def words(path, out):
    return "translate", path, picture(), "--to=shoes", f"--out={out}"


@functools.cache
def expected(kind):
    code, _, err = discogan(*words(exported(kind), made() / f"{kind}.png"))
    assert code == 0, err
    return images.read(made() / f"{kind}.png")


def changed(data, rng):
    """Returns bytes with a bit that is flipped, the end cut off, or zeros in the middle."""
    data, place = bytearray(data), int(rng.integers(len(data)))
    match rng.integers(3):
        case 0:
            data[place] ^= 1 << int(rng.integers(8))
        case 1:
            del data[place:]
        case _:
            data[place : place + 64] = bytes(len(data[place : place + 64]))
    return bytes(data)


def used(path, folder, kind):
    """Whether an export translates: it is refused in one line, or makes what it should."""
    code, _, err = discogan(*words(path, folder / "out.png"))
    if code == 0:
        np.testing.assert_array_equal(images.read(folder / "out.png"), expected(kind))
    else:
        assert (code, err.count("\n")) == (2, 1), err
    return code == 0


def damaged(kind, folder, rng):
    """Damages one file of an export; returns whether it is used."""
    place = folder / "export"
    (shutil.copytree if exported(kind).is_dir() else shutil.copy)(exported(kind), place)
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    file = files[int(rng.integers(len(files)))]
    before = file.read_bytes()
    file.write_bytes(changed(before, rng))
    return used(place, folder, kind) and file.read_bytes() != before


@attack("damaged exports", tries=160, quick=True)
def stablehlo(folder, rng):
    damaged("stablehlo", folder, rng)


@attack("damaged exports", tries=120)
def onnx(folder, rng):
    damaged("onnx", folder, rng)


@attack("damaged exports", tries=60)
def savedmodel(folder, rng):
    damaged("savedmodel", folder, rng)


@attack("damaged exports", tries=120)
def onnx_file(folder, rng):
    """One file of a folder has its digest in itself."""
    place = folder / "ab.onnx"
    place.write_bytes(changed((exported("onnx") / "ab.onnx").read_bytes(), rng))
    used(place, folder, "onnx")


def packed(path, change, **options):
    """Writes the members of an export after a function has changed them, with right checksums."""
    with zipfile.ZipFile(exported("stablehlo")) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def about(members, **changes):
    members["about.json"] = json.dumps(json.loads(members["about.json"]) | changes)


def of_before(members, **changes):
    """Metadata without digests, as earlier versions wrote them."""
    kept = json.loads(members["about.json"])
    for name in ("sha256", "files"):
        kept.pop(name, None)
    members["about.json"] = json.dumps(kept | {"format": 1} | changes)


def refuses(folder, change, named):
    place = packed(folder / "x.discogan", change)
    refused(*words(place, folder / "out.png"), named=named)


@attack("programs that were exchanged in an export", tries=160, quick=True)
def repacked(folder, rng):
    def change(members):
        while (bad := changed(members["ab"], rng)) == members["ab"]:
            pass
        members["ab"] = bad

    refuses(folder, change, "ab has changed since it was written")


_WRONG = (
    *({"batch_size": x} for x in (-1, 0, 1 << 50, "1", [1])),
    *({"image_size": x} for x in (-1, 0, 1 << 40, "x", {}, [16], 32)),
    *({"directions": x} for x in (["aa"], ["ab", "ab"], "ab", [], [[]], ["../x"])),
    *({"domains": x} for x in (1, ["a"], ["a", "b", "c"], [1, 2])),
    *({"preparation": x} for x in (1, {"a": 3}, {"a": {"size": -1}}, {"a": {"size": 16, "x": 1}})),
)


@attack("metadata of exports that cannot be", tries=len(_WRONG) * 2, quick=True)
def metadata(folder, rng):
    wrong = _WRONG[int(rng.integers(len(_WRONG)))]
    refuses(folder, functools.partial(of_before, **wrong), "x.discogan")
    refuses(folder, functools.partial(about, **wrong), "x.discogan")


@attack("metadata of exports that cannot be", quick=True)
def no_metadata(folder, rng):
    def without(name):
        def change(members):
            of_before(members)
            kept = json.loads(members["about.json"])
            del kept[name]
            members["about.json"] = json.dumps(kept)

        return change

    for name in ("batch_size", "image_size", "directions", "domains"):
        refuses(folder, without(name), f"it lacks {name}")
    for content in (b"[" * 200_000, b"", b"[]", b"3", b"\xff\xfe", b'{"a":' * 100_000):
        refuses(folder, lambda members, x=content: members.update({"about.json": x}), "x.discogan")
    refuses(folder, lambda members: members.pop("about.json"), "about.json")


@attack("zip files with odd headers", quick=True)
def headers(folder, rng):
    """Encryption, unknown compression, damaged deflate streams, in all members."""
    whole = exported("stablehlo").read_bytes()
    local, central = b"PK\x03\x04", b"PK\x01\x02"
    for offset, value in ((6, b"\x01\0"), (8, b"\x63\0"), (8, b"\x0e\0"), (8, b"\x0c\0")):
        data = whole
        for start, shift in ((local, 0), (central, 2)):
            parts = data.split(start)
            at = offset + shift - 4
            data = start.join([parts[0], *(p[:at] + value + p[at + 2 :] for p in parts[1:])])
        (folder / "x.discogan").write_bytes(data)
        refused(*words(folder / "x.discogan", folder / "out.png"), named="x.discogan")
    name = whole.index(b"about.json")
    for place in range(name + 10, name + 60):
        (folder / "x.discogan").write_bytes(whole[:place] + b"\xff\xff" + whole[place + 2 :])
        refused(*words(folder / "x.discogan", folder / "out.png"), named="x.discogan")


@attack("zip files that unpack to gigabytes", quick=True)
def bomb(folder, rng):
    """Members of many times their size, and a header that tells less than there is."""
    large = bytes(80 << 20)
    for name in ("ab", "about.json"):
        refuses(folder, lambda members, name=name: members.update({name: large}), "unpacks to 8")
    data = (folder / "x.discogan").read_bytes()
    size = len(large).to_bytes(4, "little")
    (folder / "x.discogan").write_bytes(data.replace(size, (900).to_bytes(4, "little")))
    refused(*words(folder / "x.discogan", folder / "out.png"), named="x.discogan")


def count(kind, tries, folder, attempt=damaged):
    """Counts the damaged copies of an export that are used."""
    found = 0
    for seed in range(tries):
        place = Path(folder) / str(seed)
        place.mkdir()
        with contextlib.suppress(AssertionError):
            found += attempt(kind, place, np.random.default_rng(seed))
    return found
