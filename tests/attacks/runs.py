"""Run directories of odd content: JSON, checkpoints, samples, and what lies in their places."""

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import faults
import jax.numpy as jnp
import pytest
import runs_here
import tiny
from PIL import Image

from attacks import attack, discogan, made, refused
from discogan_jax.config import build, schema
from discogan_jax.files import json_sha256
from discogan_jax.runs import checkpoint, layout, manifest
from discogan_jax.runs import run as runs_run
from discogan_jax.train import writers

ODD = (
    None, True, -1, 0.5, 10**400, 1e308, float("nan"), float("-inf"), "", "</script><b>\x1b[31m",
    "x" * 9000, [], {}, [[]], [None], {"": None}, {"a": {"b": []}}, "a\nb", 2**63, "\ud800", [1, 2],
)  # fmt: skip

ROW = {
    "name": "bags_to_shoes/psnr", "what": "psnr", "value": 1.0, "reference": 2.0, "beside": "input",
    "better": "higher", "interval": [0.5, 1.5], "reason": None,
}  # fmt: skip


@functools.cache
def finished():
    """Creates a run that needs no training any more, with every file that a run has."""
    data, workdir = runs_here.write_arrays(made() / "finished-data"), made() / "finished"
    settings = schema.from_config(runs_here.config(data, train__steps=2))
    gan, shape = build.gan(settings), build.image_shape(settings)
    runs_run.begin(workdir, settings, build.images(settings))
    with checkpoint.Checkpoints(workdir / layout.CHECKPOINTS, keep=9, keep_every=0) as saved:
        for step in (1, 2):
            state = tiny.state(gan, seed=step, shape=shape)
            saved.save(step, state.replace(step=jnp.int32(step)))
    lines = [
        {"step": i, "gen_loss": 1.0, "steps_per_second": 3.0, "eval/bags_to_shoes/psnr": 1.0}
        for i in (1, 2)
    ]
    changes = [
        {"step": 0, "init": {"from": "x", "step": 3, "digest": "ab", "taken": 3, "drawn": ["a"],
                             "optimizers": False}},
        {"step": 1, "pictures": {"bags": {"came": 1, "went": 2}}, "settings": {"seed": [1, 2]}},
    ]  # fmt: skip
    for name, several in ((layout.METRICS_FILE, lines), (layout.CHANGES_FILE, changes)):
        (workdir / name).write_text("".join(json.dumps(x) + "\n" for x in several))
    evaluation = {
        "step": 2, "parameters": "averaged", "held_out": {"bags": 8, "shoes": 8}, "rows": [ROW],
        "left_out": {"hue_error": "grey"}, "remarks": ["so"], "versions": {},
    }  # fmt: skip
    (workdir / layout.EVALUATION_FILE).write_text(json.dumps(evaluation))
    Image.new("RGB", (8, 8)).save(workdir / layout.SAMPLES / "00000002.png")
    Image.new("RGB", (8, 8)).save(made() / "picture.png")
    return workdir


def command(workdir, data=None, **changes):
    """Returns the words with which training goes on in a copy of `finished`."""
    fields = runs_here.fields(data or made() / "finished-data", **{"train__steps": 2} | changes)
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    return ["train", "official", f"--workdir={workdir}", *flags]


def readers(workdir):
    """Returns the words of all commands that read a run, by their names."""
    picture = made() / "picture.png"
    return {
        "runs": ["runs", workdir],
        "runs --json": ["runs", workdir, "--json"],
        "report": ["report", workdir],
        "card": ["card", workdir, "--out", workdir / "card", "--samples"],
        "verify": ["verify", workdir],
        "translate": ["translate", workdir, picture, "--to=shoes", "--out", workdir / "out"],
        "train": command(workdir),
    }


def places(value, where=()):
    """Yields the path of each place in a JSON value."""
    yield where
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*where, key))


def put(value, where, new):
    """Returns a JSON value with another one at a place; `...` removes it."""
    if not where:
        return [] if new is ... else new
    copy = value.copy()
    if len(where) == 1 and new is ...:
        del copy[where[0]]
    else:
        copy[where[0]] = put(copy[where[0]], where[1:], new)
    return copy


def odd_text(text, rng):
    """Returns the text of a JSON file with something odd at a place, or wholly another one."""
    kind = rng.integers(12)
    whole = [
        b"",
        b"\xff\xfe\x00",
        text.encode()[: rng.integers(len(text))],
        b"[" * 20_000,
        b"1" * 9999,
    ]
    if kind < len(whole):
        return whole[kind]
    value = json.loads(text)
    where = [*places(value)]
    new = ... if kind < 7 else ODD[rng.integers(len(ODD))]
    return json.dumps(put(value, where[rng.integers(len(where))], new)).encode()


FILES = (
    layout.CONFIG_FILE, layout.METRICS_FILE, layout.EVALUATION_FILE, layout.VERSIONS_FILE,
    layout.DATA_FILE, layout.CHANGES_FILE, "checkpoints/2/manifest.json",
)  # fmt: skip


def make_odd(path, rng):
    """Puts something odd into a file of JSON, or of lines of it."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    i = rng.integers(len(lines))
    new = [line.encode() for line in lines]
    new[i] = odd_text(lines[i], rng)
    if path.name == manifest.MANIFEST_FILE and rng.integers(2):
        new[i] = _with_right_digest(new[i])
    path.write_bytes(b"\n".join(new))


def _with_right_digest(text):
    try:
        body = json.loads(text)
        del body["sha256"]
        return json.dumps(body | {"sha256": json_sha256(body)}).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        return text


def check(words):
    """Runs a command, which must end with a message if it cannot do its work."""
    code, out, err = discogan(*words)
    assert code in (0, 1, 2), err
    assert code != 2 or err.strip(), words
    return code, out, err


QUICK = ("runs", "report", "verify")


@attack("JSON of a run in odd shapes", tries=20, quick=True)
def odd_json(folder, rng, names=QUICK):
    workdir = folder / "run"
    for name in FILES:
        shutil.copytree(finished(), workdir)
        make_odd(workdir / name, rng)
        for reader in names:
            check(readers(workdir)[reader])
        shutil.rmtree(workdir)


@attack("JSON of a run in odd shapes", tries=20)
def odd_json_for_all(folder, rng):
    odd_json(folder, rng, readers(folder))


@contextlib.contextmanager
def at_most(seconds=60):
    """Raises an error in what waits longer, such as for the writer of a pipe."""

    def late(*_):
        raise AssertionError(f"it took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _gone(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _filled(path):
    path.mkdir()
    (path / "x").write_text("x")


def _elsewhere(path):
    path.symlink_to(path.parent.parent / f"elsewhere-{path.name}")


IN_PLACE = {
    "nothing": lambda path: None,
    "a pipe": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)),
    "a folder": _filled,
    "an empty folder": Path.mkdir,
    "a file": lambda path: path.write_text("x"),
    "an empty file": Path.touch,
    "a dangling link": _elsewhere,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "what cannot be read": lambda path: path.symlink_to("/proc/self/mem"),
}  # fmt: skip

PLACES = (
    *FILES, layout.DIGESTS_FILE, layout.CHECKPOINTS, "checkpoints/1", "checkpoints/2",
    "checkpoints/2/default", "checkpoints/2/_CHECKPOINT_METADATA",
    "checkpoints/2/default/_METADATA", "checkpoints/2/default/manifest.ocdbt", "checkpoints/3",
    "checkpoints/2.damaged", layout.SAMPLES, "samples/00000002.png", "samples/00000003.png",
    ".lock",
)  # fmt: skip


def put_in_place(workdir, place, what):
    """Puts something else into a place of a run."""
    path = workdir / place
    _gone(path)
    IN_PLACE[what](path)


@attack("something else in a place of a run", tries=10)
def odd_places(folder, rng, kinds=tuple(IN_PLACE), names=None):
    workdir = folder / "run"
    for place in PLACES:
        shutil.copytree(finished(), workdir)
        put_in_place(workdir, place, kinds[rng.integers(len(kinds))])
        for name in names or readers(workdir):
            with at_most():
                check(readers(workdir)[name])
        shutil.rmtree(workdir)


@attack("something else in a place of a run", quick=True)
def pipes(folder, rng):
    odd_places(folder, rng, ["a pipe"], QUICK)


def _moved(path):
    path.rename(path.with_name(f"{path.name}-moved"))


def _linked(path):
    elsewhere = path.parents[1] / f"{path.name}-elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _dangling(path):
    _gone(path)
    _elsewhere(path)


DAMAGE = {"moved": _moved, "removed": _gone, "linked": _linked, "a dangling link": _dangling}
BESIDE = ("", "checkpoints", "checkpoints/1", "checkpoints/2", "samples", "metrics.jsonl", ".lock",
          "config.json")  # fmt: skip


def train_beside(workdir, steps, beside, *more):
    """Trains in a copy of `finished`; something happens beside it after the third step."""
    before = writers.JsonLines.write_scalars

    def write(self, step, scalars):
        before(self, step, scalars)
        if step == 3:
            beside()

    changes = {"train__steps": steps, "train__keep": 2, "train__log_every": 1}
    changes |= {"train__checkpoint_every": 1, "train__sample_every": 4, "train__keep_every": 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writers.JsonLines, "write_scalars", write)
        with at_most(120):
            return check([*command(workdir, **changes), *more])


@attack("a run that changes while it is used", tries=40)
def beside_training(folder, rng):
    place, damage = (one[rng.integers(len(one))] for one in (BESIDE, [*DAMAGE.values()]))
    workdir = shutil.copytree(finished(), folder / "runs" / "run")
    train_beside(workdir, 6, lambda: damage(workdir / place))


@attack("a run that changes while it is used", tries=10, quick=True)
def beside_pruning(folder, rng):
    workdir, ended = shutil.copytree(finished(), folder / "run"), threading.Event()

    def prune():
        """Takes one of the checkpoints away for a moment, but never both."""
        while not ended.is_set():
            step = workdir / "checkpoints" / ("1", "2")[rng.integers(2)]
            step.rename(step.with_name(".gone"))
            time.sleep(rng.uniform(0.3, 0.6))
            step.with_name(".gone").rename(step)
            time.sleep(rng.uniform(0, 0.1))

    thread = threading.Thread(target=prune)
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            # In a process of their own, commands do not show what TensorStore says besides.
            patch.setattr(sys, "unraisablehook", lambda _: None)
            for name in ("runs", "report", "verify", "translate", "card"):
                check(readers(workdir)[name])
    finally:
        ended.set()
        thread.join()


PATTERN = "[1] *really? \u00e9"


def in_patterns(folder):
    """Returns a copy of `finished` and of its pictures, in folders named like patterns."""
    workdir = shutil.copytree(finished(), folder / PATTERN / "[r]un*")
    return workdir, shutil.copytree(made() / "finished-data", folder / PATTERN / "{d}ata?")


@attack("folders named like patterns", quick=True)
def patterns(folder, rng):
    workdir, data = in_patterns(folder)
    (workdir / layout.REPORT_FILE).unlink(missing_ok=True)
    words = {**readers(workdir), "train": command(workdir, data)}
    for name in ("verify", "report", "translate", "train"):
        code, _, err = discogan(*words[name])
        assert code == 0, err


@attack("folders named like patterns")
def patterns_that_are_written(folder, rng):
    workdir, data = in_patterns(folder)
    for words in (
        command(workdir, data, train__steps=3),
        ["evaluate", workdir],
        ["export", workdir],
        ["card", workdir],
        [*command(workdir.with_name("[s]weep"), data, train__steps=1), "--sweep=optim.b1=0.4,0.5"],
        ["verify", workdir],
    ):
        code, _, err = discogan(*words)
        assert code == 0, err


@attack("a full disk", tries=2, quick=True)
def full_disk(folder, rng):
    """Where nothing can be mounted, nothing is tried."""
    target = folder / "disk"
    target.mkdir()
    if not faults.mounted("mount", "-t", "tmpfs", "tmpfs", target, "-o", "size=2m"):
        return
    try:
        workdir = shutil.copytree(finished(), target / "run")
        with contextlib.suppress(OSError), (target / "rest").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))
        sweep = [*command(target / "sweep"), "--sweep=optim.b1=0.4,0.5"]
        new, evaluation = command(target / "new"), ["evaluate", workdir]
        for words in (command(workdir), new, sweep, ["report", workdir], evaluation):
            refused(*words, named="No space left on device")
    finally:
        subprocess.run(["umount", "--lazy", target], check=True)
