"""Pipes, devices and folders where pictures, archives, arrays and weights are read."""

import os

import pytest

from attacks import attack
from discogan_jax.config import flags
from discogan_jax.data import sources
from discogan_jax.data.catalogue import archive
from discogan_jax.data.pix2pix import builder
from discogan_jax.errors import InputError
from discogan_jax.evaluation.metrics import inception
from discogan_jax.runs import official

MAKERS = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
}


def refused(function, *given, **named):
    with pytest.raises(InputError) as raised:
        function(*given, **named)
    assert "\n" not in str(raised.value)


def each(folder):
    for kind, make in MAKERS.items():
        (folder / kind).mkdir()
        yield folder / kind, make


@attack("a pipe, device or folder where data are read", quick=True)
def places(folder, rng):
    """As the folder of data, of a source, of archives, and as an archive."""
    sound = folder / "sound"
    sound.mkdir()
    for here, make in each(folder):
        make(here / "x")
        for source in ("folder", "pairs", "arrays"):
            end = "/x/left" if source == "pairs" else "/x"
            refused(sources.load, f"{source}:{here}{end}", image_size=8, data_dir=sound)
        (here / "edges2shoes.tar.gz").symlink_to(here / "x")
        for given in (here / "x", here, here / "edges2shoes.tar.gz"):
            name = "archive:edges2shoes/photo"
            refused(sources.load, name, image_size=8, data_dir=sound, archives=given)
        if make is not MAKERS["folder"]:
            refused(sources.load, "catalogue:bags", image_size=8, data_dir=here / "x")
            refused(sources.load, f"folder:{sound}", image_size=8, data_dir=here / "x")


@attack("a pipe, device or folder where data are read", quick=True)
def weights(folder, rng):
    for here, make in each(folder):
        make(here / "inception.pt")
        refused(inception.load, here / "inception.pt")
        for suffix in (".pt", ".safetensors"):
            place = here / suffix
            place.mkdir()
            for name in ("gen_A", "gen_B", "dis_A", "dis_B"):
                make(place / f"{name}{suffix}")
            refused(official.read, place)
        make(here / "config.py")
        refused(flags.load, here / "config.py")


@attack("a pipe, device or folder where data are read", quick=True)
def prepared(folder, rng):
    """In the place of files of TensorFlow Datasets, and of drawn archives and their records."""
    for here, make in each(folder):
        if make is MAKERS["folder"]:
            continue
        place = here / "tfds" / "mnist" / "3.0.1"
        place.mkdir(parents=True)
        make(place / "dataset_info.json")
        refused(sources.load, "tfds:mnist:train", image_size=8, data_dir=here)
        ours = here / "home" / "pix2pix" / "edges2shoes" / "1.0.0"
        ours.mkdir(parents=True)
        (ours / "dataset_info.json").write_text("{}")
        make(ours / "pix2pix-train.tfrecord-00000-of-00001")
        refused(builder._prepared, "edges2shoes", here / "home")
        make(here / "edges2shoes.tar.gz")
        (here / "edges2shoes.json").write_text('{"parameters": {}, "sha256": ""}')
        assert archive.recorded_items(here / "edges2shoes.tar.gz") is None
