"""`discogan prepare`: training uses what it prepared."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import runs_here
from PIL import Image

from discogan_jax import cli
from discogan_jax.commands import prepare
from discogan_jax.config import build, flags, schema
from discogan_jax.data import decode, download
from discogan_jax.errors import InputError
from discogan_jax.runs.run import begin

SIZE = runs_here.SIZE


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Writes two folders of pictures, one with a file that is not a picture."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (root / name).mkdir()
        for i in range(21):
            noise = rng.integers(256, size=(20, 30, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / name / f"{i}.png")
    (root / "cats" / "broken.png").write_bytes(b"no picture")
    return root


def typed(root, data_dir, **more):
    fields = {
        "data.source_a": f"folder:{root / 'cats'}",
        "data.source_b": f"folder:{root / 'dogs'}",
        "data.data_dir": data_dir,
        "data.image_size": SIZE,
        "data.batch_size": 25,  # more than there are: preparing needs no batch
        "model.width": 4,
    }
    fields |= {name.replace("__", "."): value for name, value in more.items()}
    return ["--config=configs/folders.py", *(f"--config.{k}={v}" for k, v in fields.items())]


def test_training_finds_what_was_prepared(folders, tmp_path, monkeypatch):
    command = [sys.executable, "-m", "discogan_jax.cli", "prepare", *typed(folders, tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("a: ")
    assert second.startswith("b: ")
    assert "made in" in first
    assert str(tmp_path / "arrays" / "folder-cats") in first
    assert "broken.png" in done.stderr

    def refuse(*args, **kw):
        raise AssertionError("decoded once more")

    monkeypatch.setattr(decode, "write_pictures", refuse)
    config = flags.load("configs/folders.py", typed(folders, tmp_path)[1:])
    s = schema.from_config(config)
    loaded = build.images(s)
    again = list(prepare.prepare(s))
    for line, d in zip(again, "ab", strict=True):
        assert "there before" in line
        assert f"{len(loaded[d].train)} to train on, {len(loaded[d].val)} held out" in line
    assert [line.partition(" KiB, ")[0] for line in (first, second)] == [
        line.partition(" KiB, ")[0] for line in again
    ]


def test_every_picture_is_checked(folders, tmp_path, capsys):
    """Of an array whose file has kept its time, training looks at some pictures only."""
    words, run = typed(folders, tmp_path / "data"), tmp_path / "run"
    config = flags.load("configs/folders.py", words[1:])
    s = schema.from_config(config)
    begin(run, s, images := build.images(s))
    runs_here.untrained(config, run)
    file = images["a"].train.filename
    assert cli.main(["verify", str(run)]) == 0
    assert capsys.readouterr().out == "1: whole\npictures of a: whole\npictures of b: whole\n"
    sound, before = np.load(file), Path(file).stat()
    altered = np.lib.format.open_memmap(file, mode="r+")
    altered[5] = 255 - altered[5]
    altered.flush()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cli.main(["verify", str(run)]) == 1
    assert "pictures of a: " in capsys.readouterr().out
    assert "made in" in next(prepare.prepare(s))
    np.testing.assert_array_equal(np.load(file), sound)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data__source_a": "folder:nowhere"}, "there is no such folder"),
        ({"data__image_size": 50}, "config.data.image_size must be"),
        ({"data__source_b": "archive:edges2shoes/photo", "data__archives": "nowhere"}, "nowhere"),
    ],
)
def test_what_training_would_refuse(folders, tmp_path, changes, said, capsys):
    assert cli.main(["prepare", *typed(folders, tmp_path, **changes)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) <= 2


def test_an_archive_that_is_not_there_is_downloaded(folders, tmp_path, monkeypatch):
    asked = []

    def fetch(url, target, **kw):
        asked.append((url, target))
        raise InputError(kw["by_hand"])

    monkeypatch.setattr(download, "fetch", fetch)
    arguments = typed(folders, tmp_path, data__source_a="archive:edges2shoes/photo")
    config = flags.load("configs/folders.py", arguments[1:])
    with pytest.raises(InputError, match=r"Fetch http.*edges2shoes.tar.gz by hand"):
        list(prepare.prepare(schema.from_config(config)))
    ((url, target),) = asked
    assert url.endswith("/edges2shoes.tar.gz")
    assert target == tmp_path / "downloads" / "edges2shoes.tar.gz"
