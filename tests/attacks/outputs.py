"""Files of others, pipes, links and odd names where results are written."""

import contextlib
import functools
import io
import os
import re
import shutil
import socket
import sys
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from attacks import attack, discogan, refused, run
from discogan_jax import cli, export, images, runs
from discogan_jax.commands import card
from discogan_jax.config import schema
from discogan_jax.data.catalogue.archive import write_archives
from discogan_jax.errors import InputError
from discogan_jax.runs import layout, lock, report
from discogan_jax.runs import run as runs_run
from discogan_jax.train import sweep

DEAR = b"of somebody else, Written by hand"


def picture(path, value=0):
    """Writes a picture as other programs do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(path)
    return path


def others(folder):
    """Places where nothing may be written, by a word of the message."""
    (folder / "file").write_bytes(DEAR)
    (folder / "folder").mkdir()
    (folder / "folder" / "about.json").write_bytes(b'{"kind": "savedmodel"}')
    (folder / "folder" / "photo.png").write_bytes(DEAR)
    (folder / "link").symlink_to(folder / "file")
    (folder / "dangling").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe")
    found = {"file": "file", "folder": "folder", "link": "link", "dangling": "link"}
    found["pipe"] = "pipe or a device"
    with socket.socket(socket.AF_UNIX) as bound, contextlib.suppress(OSError):
        bound.bind(str(folder / "socket"))
        found["socket"] = "pipe or a device"
    with contextlib.suppress(OSError):  # not everybody may make one
        os.mknod(folder / "device", 0o20600, os.makedev(1, 3))
        found["device"] = "pipe or a device"
    return found


def state(folder):
    """All that is in a folder: kinds, contents, links."""
    return {
        p.relative_to(folder): (
            p.lstat().st_mode,
            p.is_symlink() and p.readlink(),
            p.is_file() and p.read_bytes(),
        )
        for p in folder.rglob("*")
    }


@functools.cache
def opened():
    return runs.open(run())


WRITE = {
    "report": lambda out, **flags: report.write([run()], out, **flags),
    "card": lambda out, **flags: card.write(opened(), out, **flags),
    "stablehlo": lambda out, **flags: export.write(opened(), out, **flags),
    "onnx": lambda out, **flags: export.write(opened(), out, kind="onnx", **flags),
    "savedmodel": lambda out, **flags: export.write(opened(), out, kind="savedmodel", **flags),
}


def kept(write, folder, *arguments, said="", **flags):
    """Something refuses to write, and all in a folder is as before."""
    before = state(folder)
    with pytest.raises(InputError, match=f"^[^\n]*{re.escape(said)}[^\n]*$"):
        write(*arguments, **flags)
    assert state(folder) == before


def _over_others(folder, kinds):
    found = others(folder)
    for kind in kinds:
        for name, said in found.items():
            kept(WRITE[kind], folder, folder / name, said=said)
            # The flag replaces regular files by files, and nothing else.
            if name != "file" or kind not in ("report", "stablehlo"):
                kept(WRITE[kind], folder, folder / name, said=said, overwrite=True)
    WRITE["report"](folder / "file", overwrite=True)
    assert DEAR not in (folder / "file").read_bytes()


@attack("results over files of others", quick=True)
def results(folder, rng):
    _over_others(folder, ("report", "card", "stablehlo", "onnx"))


@attack("results over files of others")
def results_of_tensorflow(folder, rng):
    _over_others(folder, ("savedmodel",))


@attack("results over files of others")
def commands(folder, rng):
    for name, said in others(folder).items():
        for command in ("report", "card", "export"):
            assert said in refused(command, run(), f"--out={folder / name}", named=folder / name)


@attack("results over files of others", quick=True)
def a_run_as_a_result(folder, rng):
    """A run directory looks like a card, and is none."""
    shutil.copytree(run(), folder / "run")
    for kind in ("card", "stablehlo", "onnx"):
        for flags in ({}, {"overwrite": True}):
            kept(WRITE[kind], folder, folder / "run", said="run", **flags)
    # A page that is none of ours ends no training.
    (folder / "run" / layout.REPORT_FILE).write_bytes(DEAR)
    assert report.refresh(folder / "run") is None
    assert (folder / "run" / layout.REPORT_FILE).read_bytes() == DEAR


@attack("results over files of others", quick=True)
def translations(folder, rng):
    """Pictures of others, also beside the input, and translations where a contact sheet goes."""
    inputs = folder / "in"
    for name in ("a.jpg", "sheet-001.png"):
        picture(inputs / name)
    picture(inputs / "a.png", 200)
    before = state(inputs)
    translate = "translate", run(), "--to=shoes"
    refused(*translate, inputs / "a.jpg", f"--out={inputs}", named="a.png")
    refused(*translate, inputs / "a.png", f"--out={inputs}", "--overwrite", named="is an input")
    out = folder / "out"
    assert discogan(*translate, inputs / "sheet-001.png", f"--out={out}")[0] == 0
    before |= state(out)
    refused(*translate, inputs / "a.jpg", f"--out={out}", "--grid", named="sheet-001.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "link.png").symlink_to(inputs / "a.png")
    for name in ("pipe.png", "link.png"):
        words = *translate, inputs / "a.jpg", f"--out={folder / name}"
        refused(*words, named=name)
        refused(*words, "--overwrite", named=name)
    assert state(inputs) | state(out) == before


@attack("results over files of others", quick=True)
def a_run(folder, rng):
    """A training where another tool has its files: nothing is written."""
    settings = layout.read_settings(run())
    for name in layout.WRITTEN:
        place = folder / name.replace(".", "_")
        path = place / name / ("1" if name in (layout.CHECKPOINTS, layout.SAMPLES) else "")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"{}" if name == layout.VERSIONS_FILE else DEAR)
        kept(runs_run.begin, folder, place, settings, said=name)


@attack("results over files of others", quick=True)
def a_lock(folder, rng):
    def claim():
        with lock.claimed(folder):
            pass

    (folder / lock.LOCK_FILE).write_bytes(DEAR)
    kept(claim, folder, said="another program")
    (folder / lock.LOCK_FILE).unlink()
    os.mkfifo(folder / lock.LOCK_FILE)
    kept(claim, folder, said="pipe")


@attack("results over files of others", quick=True)
def a_sweep(folder, rng):
    config = schema.to_json(layout.read_settings(run()))
    for name in (sweep.TABLE_FILE, sweep.RESULTS_FILE):
        for content in (DEAR, b'{"runs": "none"}'):
            place = folder / f"{name}{len(content)}"
            place.mkdir()
            (place / name).write_bytes(content)
            kept(sweep.run, folder, config, [], place, said=name)


@attack("results over files of others", quick=True)
def archives(folder, rng):
    """Records, and archives that took the place of drawn ones."""
    draw = functools.partial(write_archives, folder, train=1, val=1)
    (folder / "edges2shoes.json").write_bytes(DEAR)
    kept(draw, folder, said="edges2shoes.json")
    (folder / "edges2shoes.json").unlink()
    draw()
    (folder / "edges2shoes.tar.gz").write_bytes(DEAR)
    for number in (1, 2):
        kept(draw, folder, said="edges2shoes.tar.gz", train=number)


@attack("the same command again", quick=True)
def again(folder, rng):
    """One's own results are replaced without a flag."""
    source = picture(folder / "in" / "a.png")
    commands = [("report", run(), f"--out={folder / 'r.html'}")]
    commands += [("card", run(), f"--out={folder / 'card'}")]
    for name in ("out", "a.jpg", "a.tif"):
        words = "translate", run(), source, "--to=shoes", f"--out={folder / name}", "--grid"
        commands.append(words)
    for words in commands:
        for _ in range(2):
            code, _, err = discogan(*words)
            assert code == 0, (words, err)
    # Pages and runs of earlier versions, too.
    page = (folder / "r.html").read_text()
    start, _, end = page.partition('<meta name="generator"')
    (folder / "r.html").write_text(start + end.partition("\n")[2])
    assert discogan(*commands[0])[0] == 0
    workdir = folder / "run"
    shutil.copytree(run(), workdir)
    (workdir / layout.VERSIONS_FILE).unlink()
    runs_run.begin(workdir, layout.read_settings(workdir))
    # A run whose beginning was cut off, or whose config was removed.
    settings = layout.read_settings(workdir)
    (workdir / layout.CONFIG_FILE).unlink()
    runs_run.begin(workdir, settings)


@attack("places that take no file", quick=True)
def bad_places(folder, rng):
    """Names too long for a result, and folders that are files, among good ones."""
    inputs, out = folder / "in", folder / "out"
    names = ["x" * 251 + ".png", "y" * 255, "ü" * 125 + ".jpg", "deep/b.png", "c.png"]
    for i, name in enumerate(names):
        path = inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), i, np.uint8)).save(path, "PNG")
    (inputs / "loop.png").symlink_to("loop.png")
    (inputs / "dangling.png").symlink_to("nothing")
    out.mkdir()
    (out / "deep").write_bytes(DEAR)
    code, said, err = discogan("translate", run(), inputs, "--to=shoes", f"--out={out}")
    assert (code, err.count("\n")) == (1, 4), err
    assert "3 translated into" in said
    assert "4 skipped" in said
    assert {p.name for p in out.iterdir()} == {names[0], "ü" * 125 + ".png", "deep", "c.png"}


@attack("standard input that is named twice", quick=True)
def twice(folder, rng):
    data = io.BytesIO(picture(folder / "a.png").read_bytes())
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(data)):
        words = "translate", run(), "-", "-", "--to=shoes", f"--out={folder / 'out'}"
        code, said, err = discogan(*words)
    assert code == 0, err
    assert "1 translated" in said
    assert images.read(folder / "out" / "stdin.png").shape == (16, 16, 3)


@attack("a home folder", quick=True)
def home(folder, rng):
    """The tilde in every path that a command takes."""
    picture(folder / "a.png")
    (folder / "run").symlink_to(run())
    (folder / "c.py").write_text("from discogan_jax.configs.sample import get_config\n")
    (folder / "data").mkdir()
    with mock.patch.dict(os.environ, {"HOME": str(folder)}):
        for words in (
            ("report", "~/run", "--out=~/r.html"),
            ("card", "~/run", "--out=~/card"),
            ("translate", "~/run", "~/a.png", "--to=shoes", "--out=~/out"),
            ("translate", "~/run", "~/*.png", "--to=shoes", "--out=~/out"),
            ("verify", "~/run"),
            ("runs", "~/run"),
        ):
            code, _, err = discogan(*words)
            assert code == 0, (words, err)
        arguments = cli.parser(["train"]).parse_args(["train", "sample", "--workdir=~/w"])
        assert arguments.workdir == folder / "w"
        refused("evaluate", "~/run", "--inception=~/none.pt", named=folder / "none.pt")
        refused("train", "--config=~/none.py", named=folder / "none.py")
        refused("train", "--a=~/none", "--b=~/data", named=folder / "none")
        refused("train", "sample", "--workdir=~nosuchuser/x", named="~nosuchuser")
        words = "prepare", "--config=~/c.py", "--config.data.archives=~/data/none"
        refused(*words, "--config.data.source_a=archive:edges2shoes/photo", named=folder)
    assert {p.name for p in folder.iterdir()} - {".cache"} == {
        *("a.png", "run", "c.py", "data", "r.html", "card", "out"),
    }
