"""Decoded pictures that were altered, cut short or replaced since they were made."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import faults
import fuzz
import numpy as np
import pytest

from attacks import attack, made
from discogan_jax.data import sources
from discogan_jax.errors import InputError

FILES = ("train.npy", "val.npy", "digests.npz", "about.json", "identity.json")


@cache
def pictures():
    folder = made() / "cached"
    folder.mkdir()
    for i in range(12):
        (folder / f"{i}.png").write_bytes(fuzz.picture("PNG", size=(8, 8), seed=i))
    return folder, load(made() / "cache")


def load(data_dir):
    return sources.load(f"folder:{made() / 'cached'}", image_size=8, data_dir=data_dir)


def copied(folder):
    """Returns what was decoded, a copy of its cache, and the folder of that copy."""
    _, sound = pictures()
    shutil.copytree(made() / "cache", folder / "data")
    (arrays,) = (folder / "data" / "arrays").glob("[!.]*")
    assert same(load(folder / "data"), sound)
    return sound, folder / "data", arrays


def same(found, sound):
    return (
        np.array_equal(found.train, sound.train)
        and np.array_equal(found.val, sound.val)
        and found.about == sound.about
    )


def tried(folder, change):
    """Changes a file of a cache; the pictures must be the sound ones again."""
    sound, data_dir, arrays = copied(folder)
    change(arrays)
    assert same(load(data_dir), sound)
    assert same(load(data_dir), sound)


def flip(path, rng, keep_times=False):
    before, data = path.stat(), bytearray(path.read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    with path.open("r+b") as file:
        file.write(data)
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@attack("caches: bytes of a file are altered", tries=100)
def bytes_altered(folder, rng):
    name = FILES[rng.integers(4)]
    tried(folder, lambda arrays: flip(arrays / name, rng))


@attack("caches: bytes of a file are altered", quick=True)
def every_array(folder, rng):
    for i, name in enumerate(FILES[:4]):
        tried(folder / str(i), lambda arrays, name=name: flip(arrays / name, rng))


@attack("caches: bytes of a file are altered", tries=50)
def at_the_same_time(folder, rng):
    """A disk that goes bad changes no times; so few pictures are all among the sampled ones."""
    name = FILES[rng.integers(4)]
    tried(folder, lambda arrays: flip(arrays / name, rng, keep_times=True))


@attack("caches: a file is cut short or grows", tries=50, quick=True)
def cut(folder, rng):
    def change(arrays):
        path = arrays / FILES[rng.integers(4)]
        os.truncate(path, rng.integers(path.stat().st_size))

    tried(folder, change)


@attack("caches: a file is cut short or grows", tries=10)
def zeros(folder, rng):
    """A system that goes down may leave zeros in the place of what was written last."""

    def change(arrays):
        path = arrays / FILES[rng.integers(2)]
        size, half = path.stat().st_size, path.stat().st_size // 2
        os.truncate(path, half)
        os.truncate(path, size)

    tried(folder, change)


@attack("caches: the header of an array is damaged", tries=100)
def header(folder, rng):
    def change(arrays):
        path = arrays / FILES[rng.integers(2)]
        data = bytearray(path.read_bytes())
        for at in rng.integers(0, 128, rng.integers(1, 4)):
            data[at] = rng.integers(256)
        path.write_bytes(data)

    tried(folder, change)


@attack("caches: the header of an array is damaged", quick=True)
def other_shapes(folder, rng):
    shapes = ["(999999, 8, 8, 3)", "(-1, 8, 8, 3)", "(9" + "9" * 30 + ", 8, 8, 3)", "(1, 8, 8, 3)"]
    for i, shape in enumerate([*shapes, "(", "0" * 60, "(11, 8, 8, 3), 'x': (1)"]):
        text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        start = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode()

        def change(arrays, start=start):
            path = arrays / "train.npy"
            path.write_bytes(start + path.read_bytes()[128:])

        tried(folder / str(i), change)


@attack("caches: a pipe, a folder or a link in the place of a file", quick=True)
def replaced(folder, rng):
    makers = {
        "pipe": os.mkfifo,
        "folder": Path.mkdir,
        "loop": lambda path: path.symlink_to(path),
        "device": lambda path: path.symlink_to("/dev/zero"),
    }
    for name in FILES[:3]:
        for kind, make in makers.items():

            def change(arrays, make=make, name=name):
                (arrays / name).unlink()
                make(arrays / name)

            tried(folder / f"{name}-{kind}", change)


@attack("caches: the damaged one cannot be made anew", quick=True)
def no_source(folder, rng):
    """Nothing of it is used, and nothing of it is removed."""
    sound, data_dir, arrays = copied(folder)
    flip(arrays / "train.npy", rng)
    there = sorted(arrays.rglob("*"))
    source = pictures()[0]
    contents = {path: path.read_bytes() for path in source.iterdir()}
    try:
        for path in source.iterdir():  # the same names, sizes and times, but unreadable
            status = path.stat()
            path.write_bytes(bytes(status.st_size))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        with pytest.raises(InputError):
            load(data_dir)
        assert sorted(arrays.rglob("*")) == there
    finally:
        for path, data in contents.items():
            status = path.stat()
            path.write_bytes(data)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert same(load(data_dir), sound)


FILLED = """
import os, sys
from pathlib import Path
from discogan_jax.data import cache
folder = Path(sys.argv[1])
(folder / "new").mkdir()
array = cache.create_array(folder / "new" / "a.npy", (100, 64, 64, 3))
try:
    with (folder / "other").open("wb") as other:
        while True:
            other.write(bytes(4096))
except OSError:
    array[:] = 7
    array.flush()
"""


@attack("caches: the disk fills up while pictures are written", tries=3)
def full_disk(folder, rng):
    (folder / "disk").mkdir()
    assert faults.mounted("mount", "-t", "tmpfs", "tmpfs", folder / "disk", "-o", "size=3m")
    try:
        command = [sys.executable, "-c", FILLED, folder / "disk"]
        subprocess.run(command, check=True)
        assert (np.load(folder / "disk" / "new" / "a.npy") == 7).all()
    finally:
        subprocess.run(["umount", folder / "disk"], check=True)


@attack("caches: the disk fills up while pictures are written", quick=True)
def small_disk(folder, rng):
    """Said beforehand, and nothing is left."""
    (folder / "disk").mkdir()
    pictures()
    if not faults.mounted("mount", "-t", "tmpfs", "tmpfs", folder / "disk", "-o", "size=64k"):
        return
    try:
        with pytest.raises(InputError, match="make room"):
            sources.load(f"folder:{made() / 'cached'}", image_size=256, data_dir=folder / "disk")
        left = [path.name for path in (folder / "disk" / "arrays").iterdir()]
        assert all(name.endswith(".lock") for name in left), left
    finally:
        subprocess.run(["umount", folder / "disk"], check=True)
