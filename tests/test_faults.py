"""After any fault a run resumes and ends in the same state as an uninterrupted one.

The short form of the faults; `make soak` has the long one.
"""

import contextlib
import errno
import json
import re
import shutil
import subprocess
from pathlib import Path

import attacks.runs as attacks_runs
import faults
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import runs_here
from PIL import Image

from discogan_jax import cli, files, host, runs, sharding, train
from discogan_jax.config import build, schema
from discogan_jax.errors import InputError
from discogan_jax.runs import checkpoint, layout, reading
from discogan_jax.runs import manifest as runs_manifest
from discogan_jax.train.setup import Setup


@pytest.fixture(scope="module")
def undisturbed(data, cache, tmp_path_factory):
    """Trains an uninterrupted run with the command."""
    trial = faults.Trial(data, cache, tmp_path_factory.mktemp("runs") / "undisturbed", None)
    trial.end(trial.start(), 0)
    return trial.workdir


@pytest.fixture(scope="module")
def made(data):
    return runs_here.config(data, **faults.SHORT)


@pytest.fixture(scope="module")
def base(made, tmp_path_factory):
    """Trains a short run in this process, with checkpoints 2, 4, 6 and 8."""
    workdir = tmp_path_factory.mktemp("runs") / "base"
    train.train_and_evaluate(made, workdir)
    return workdir


@pytest.fixture
def copy(base, tmp_path):
    return shutil.copytree(base, tmp_path / "run")


def newest(workdir, step=8):
    return workdir / layout.CHECKPOINTS / str(step)


def said(caplog):
    return [r.getMessage() for r in caplog.records if "be trusted" in r.getMessage()]


@pytest.mark.long
def test_one_run_survives_every_kill(data, cache, undisturbed, tmp_path):
    trial = faults.Trial(data, cache, tmp_path / "run", np.random.default_rng(5))
    # What a signal interrupts is random: `make soak` tries these many times.
    kills = [name for name in faults.PROCESS if name.startswith("SIGKILL")]
    for fault in (faults.sigkill, *map(faults.PROCESS.get, kills), faults.sigkill):
        trial.hit(fault)
    trial.finish(undisturbed)
    # A checkpoint that was committed but not sealed does not count.
    assert list((trial.workdir / layout.CHECKPOINTS).glob("*.damaged"))


@pytest.mark.long
def test_full_disk(data, cache, undisturbed, tmp_path):
    trial = faults.Trial(data, cache, tmp_path / "disk", np.random.default_rng(0))
    if not faults.full_disk(trial, undisturbed):
        pytest.skip("a small file system cannot be mounted here")


@pytest.mark.long
def test_read_only_run_directory(made, copy):
    if not faults.mounted("mount", "--bind", copy, copy):
        pytest.skip("nothing can be mounted here")
    try:
        assert faults.mounted("mount", "-o", "remount,ro,bind", copy)
        with pytest.raises(InputError, match=r"run cannot be written \(Read-only file system\)"):
            train.train_and_evaluate(made, copy)
        assert runs.open(copy).step == 8
    finally:
        subprocess.run(["umount", copy], check=True)


@pytest.mark.parametrize("name", faults.DAMAGE)
def test_damaged_checkpoint_is_set_aside_and_the_one_before_taken(
    made, base, copy, caplog, capsys, name
):
    faults.DAMAGE[name](newest(copy), np.random.default_rng(1))
    assert cli.main(["verify", str(copy)]) == 1
    *good, bad = capsys.readouterr().out.splitlines()
    assert good == ["2: whole", "4: whole", "6: whole"]
    assert bad.startswith("8: ")
    assert runs.open(copy).step == 6
    assert newest(copy).exists()  # readers do not rename anything
    caplog.clear()
    train.train_and_evaluate(made, copy)
    [message] = said(caplog)
    assert message.startswith(f"{newest(copy)} cannot be trusted: ")
    assert message.endswith("Renamed to 8.damaged; resuming from step 6.")
    faults.assert_same_run(copy, base, made)
    assert cli.main(["verify", str(copy)]) == 0


def test_commands_say_which_checkpoint_they_take_instead_of_a_damaged_one(copy, tmp_path, caplog):
    faults.truncate(newest(copy), np.random.default_rng(0))
    Image.new("RGB", (16, 16), "red").save(tmp_path / "red.png")
    words = ["translate", str(copy), str(tmp_path / "red.png"), "--to", "shoes"]
    assert cli.main([*words, "--out", str(tmp_path / "out.png")]) == 0
    [message] = said(caplog)
    assert message.startswith(f"{newest(copy)} cannot be trusted: ")
    assert message.endswith("Using step 6 instead.")
    # Who names a step gets that one or none.
    assert cli.main([*words, "--step", "8", "--out", str(tmp_path / "8.png")]) == 2
    assert not (tmp_path / "8.png").exists()


def test_empty_folder_with_the_name_of_a_step_is_no_checkpoint(made, base, copy, caplog):
    newest(copy, 100).mkdir()
    newest(copy, "100.damaged").mkdir()  # after an earlier occurrence
    state = train.train_and_evaluate(made, copy)
    assert int(state.step) == 8
    [message] = said(caplog)
    assert "an empty folder" in message
    assert "100.damaged1" in message
    faults.assert_same_run(copy, base, made)


def test_a_checkpoint_under_the_name_of_another_step_is_no_checkpoint(made, base, copy, caplog):
    shutil.copytree(newest(copy, 6), newest(copy, 20))
    train.train_and_evaluate(made, copy)
    [message] = said(caplog)
    assert "it is a copy of the checkpoint of step 6" in message
    faults.assert_same_run(copy, base, made)
    # Without its manifest it cannot be told from others before its state is read.
    unsealed = shutil.copytree(newest(copy, 6), newest(copy, 30))
    (unsealed / runs_manifest.MANIFEST_FILE).unlink()
    with pytest.raises(InputError, match=r"30 holds the state of step 6"):
        runs.open(copy, 30)


def test_paths_that_look_like_patterns(made, base, copy, tmp_path):
    directory = copy.rename(tmp_path / "[1] *really? \u00e9")
    shutil.rmtree(newest(directory))
    train.train_and_evaluate(made, directory)
    assert runs.open(directory).step == 8
    faults.assert_same_run(directory, base, made)


def test_no_whole_checkpoint_is_an_error_again_and_again(made, copy):
    for step in runs_manifest.steps(copy / layout.CHECKPOINTS):
        faults.truncate(newest(copy, step), np.random.default_rng(step))
    before = sorted(copy.rglob("*"))
    for _ in range(2):
        with pytest.raises(InputError, match=r"no checkpoint that is whole.*\n  8: default/.* has"):
            train.train_and_evaluate(made, copy)
    with pytest.raises(InputError, match=r"no checkpoint that is whole"):
        runs.open(copy)
    with pytest.raises(InputError, match=r"checkpoints/4 cannot be trusted: default/.* has"):
        runs.open(copy, 4)
    assert sorted(copy.rglob("*")) == before


def test_checkpoints_of_earlier_versions_are_taken_with_a_warning(made, base, copy, caplog):
    for manifest in copy.rglob(runs_manifest.MANIFEST_FILE):
        manifest.unlink()
    empty = newest(copy, 9)
    empty.mkdir()
    train.train_and_evaluate(made, copy)
    assert any("8 is taken as it is, unverified" in r.getMessage() for r in caplog.records)
    assert newest(copy, "9.damaged").exists()
    runs_here.assert_same(*(runs_here.saved(w, made) for w in (copy, base)))


def test_state_of_another_recipe_is_refused_with_the_difference(data, copy):
    s = schema.from_config(runs_here.config(data, **faults.SHORT | {"model__width": 8}))
    shapes = build.state_shapes(s, build.gan(s))
    where = sharding.replicated(sharding.data_mesh())
    with pytest.raises(InputError, match=r"8 holds another state .*\n  .*\[.* there, float32"):
        reading.read(copy / layout.CHECKPOINTS, shapes, where)


@pytest.mark.parametrize("name", faults.INJECTED)
def test_faults_from_inside(made, base, tmp_path, name):
    workdir = tmp_path / "run"
    faults.INJECTED[name](made, workdir, np.random.default_rng(4))
    train.train_and_evaluate(made, workdir)
    faults.assert_same_run(workdir, base, made)


def test_two_sealed_checkpoints_stay_and_a_damaged_manifest_does_not_count(tmp_path):
    folder = tmp_path / layout.CHECKPOINTS
    state = jax.device_put({"x": np.ones(3, np.float32)}, sharding.replicated(sharding.data_mesh()))
    with checkpoint.Checkpoints(folder, keep=1, keep_every=4) as checkpoints:
        for step in range(1, 8):
            checkpoints.save(step, state)
        checkpoints.wait()
        assert runs_manifest.steps(folder) == [4, 6, 7]


def _halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


READ_BACK = {
    "truncated": _halve,
    "missing": Path.unlink,
    "flipped bit": lambda path: faults.flip(path, np.random.default_rng(3)),
    "whole": lambda path: None,
}


@pytest.mark.parametrize("name", READ_BACK)
def test_a_checkpoint_is_read_back_before_it_is_sealed(tmp_path, monkeypatch, name):
    folder, written = tmp_path / "pattern[1]", ocp.CheckpointManager.wait_until_finished

    def damaged(manager):
        written(manager)
        if (folder / "1").exists():
            files = [p for p in (folder / "1" / "default").rglob("*") if p.is_file()]
            READ_BACK[name](max(files, key=lambda p: p.stat().st_size))

    monkeypatch.setattr(ocp.CheckpointManager, "wait_until_finished", damaged)
    state = {"x": np.random.default_rng(0).random((50, 40), np.float32), "none": None}
    state = jax.device_put(state, sharding.replicated(sharding.data_mesh()))
    refused = pytest.raises(InputError, match=r"pattern\[1\]/1 does not hold what was saved \(.*x")
    ending = contextlib.nullcontext() if name == "whole" else refused
    with ending, checkpoint.Checkpoints(folder, keep=2, keep_every=0) as checkpoints:
        checkpoints.save(1, state)
    assert runs_manifest.sealed_steps(folder) == ([1] if name == "whole" else [])


def test_verify_names_a_directory_without_checkpoints(tmp_path, capsys):
    assert cli.main(["verify", str(tmp_path / "nosuch")]) == 2
    assert f"{tmp_path / 'nosuch'} has no checkpoints" in capsys.readouterr().err


def test_a_file_or_folder_is_there_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    """Whatever ends a process in the middle."""
    path, folder, write_text = tmp_path / "x.json", tmp_path / "folder", Path.write_text
    files.write_json(path, {"old": 1})
    folder.mkdir()

    def half(self, text):
        write_text(self, text[: len(text) // 2])
        raise KeyboardInterrupt

    def ended(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", half)
    monkeypatch.setattr(shutil, "rmtree", ended)
    for work in (lambda: files.write_json(path, {"new": 2}), lambda: files.remove_folder(folder)):
        with pytest.raises(KeyboardInterrupt):
            work()
    assert files.read_json(path) == {"old": 1}
    left = [x for x in tmp_path.iterdir() if x.name != path.name]
    assert [x.name.startswith(".folder.") for x in left] == [True]


def test_an_error_of_the_disk_names_the_file_that_people_know(tmp_path, monkeypatch):
    def full(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"x\.json'$") as raised:
        files.write_json(tmp_path / "x.json", {})
    assert raised.value.filename == str(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"n": 1, "pair": [1, 2.5]}, ""),
        ({"n": 1, "pair": None, "kind": "a"}, ""),
        ({"pair": None}, "it lacks n"),
        ({"n": True, "pair": None}, "n is true or false, not a whole number"),
        ({"n": 1 << 63, "pair": None}, "n is too large a number"),
        ({"n": 1, "pair": [1]}, "pair has 1 elements, not 2"),
        ({"n": 1, "pair": [1, "x"]}, "pair[1] is a text, not a number"),
        ({"n": 1, "pair": "x"}, "pair is a text, not a list or null"),
        ({"n": 1, "pair": None, "kind": "c"}, "kind is 'c', not one of a, b"),
        ({"n": 1, "pair": None, "kind": []}, "kind is a list, not one of a, b"),
    ],
)
def test_what_a_json_file_holds_has_a_shape(tmp_path, value, problem):
    shape = {"n": int, "pair": ([float, float], type(None)), "kind?": frozenset("ab")}
    (tmp_path / "x.json").write_text(json.dumps(value))
    ending = pytest.raises(ValueError, match=f"^{re.escape(problem)}$")
    with ending if problem else contextlib.nullcontext():
        files.read_json(tmp_path / "x.json", shape)


@pytest.mark.parametrize("what", ["a file", "a dangling link", "a link to itself", "a pipe"])
def test_checkpoints_that_cannot_be_written_are_refused_at_once(made, tmp_path, monkeypatch, what):
    def compiled(_):
        raise AssertionError("it compiles")

    monkeypatch.setattr(Setup, "lower_step", compiled)
    (tmp_path / "run").mkdir()
    files.write_json(tmp_path / "run" / layout.VERSIONS_FILE, host.versions())
    attacks_runs.IN_PLACE[what](tmp_path / "run" / layout.CHECKPOINTS)
    with pytest.raises(InputError, match=r"run/checkpoints cannot take checkpoints"):
        train.train_and_evaluate(made, tmp_path / "run")


@pytest.mark.parametrize("what", ["a file", "a dangling link", "a pipe"])
def test_the_name_of_a_step_is_made_free_of_what_is_no_checkpoint(made, copy, caplog, what):
    attacks_runs.IN_PLACE[what](newest(copy, 9))
    state = jax.device_put({"x": np.ones(3, np.float32)}, sharding.replicated(sharding.data_mesh()))
    with checkpoint.Checkpoints(copy / layout.CHECKPOINTS, keep=9, keep_every=0) as checkpoints:
        assert checkpoints._choose() == 8
        checkpoints.save(9, state)
    assert "it is no folder. Renamed to 9.damaged; resuming from step 8" in caplog.text
    assert runs_manifest.sealed_steps(copy / layout.CHECKPOINTS)[-1] == 9


def test_an_old_checkpoint_that_is_a_link_goes_without_what_it_leads_to(tmp_path):
    folder, elsewhere = tmp_path / layout.CHECKPOINTS, tmp_path / "elsewhere"
    state = jax.device_put({"x": np.ones(3, np.float32)}, sharding.replicated(sharding.data_mesh()))
    with checkpoint.Checkpoints(folder, keep=2, keep_every=0) as checkpoints:
        for step in range(1, 4):
            checkpoints.save(step, state)
            checkpoints.wait()
            if step == 1:
                (folder / "1").rename(elsewhere)
                (folder / "1").symlink_to(elsewhere)
    assert runs_manifest.steps(folder) == [2, 3]
    assert runs_manifest.is_sealed(elsewhere)


def test_readers_beside_pruning_take_the_next_checkpoint(copy, monkeypatch, capsys):
    load, verify = reading.load, runs_manifest.verify

    def pruned(function):
        def call(folder, *rest):
            if folder.name in "48":
                shutil.rmtree(folder, ignore_errors=True)
            return function(folder, *rest)

        return call

    monkeypatch.setattr(reading, "load", pruned(load))
    assert runs.open(copy).step == 6
    with pytest.raises(InputError, match="checkpoints/4 was removed meanwhile: name another step"):
        runs.open(copy, 4)
    newest(copy, 2).rename(newest(copy, 4))
    monkeypatch.setattr(runs_manifest, "verify", pruned(verify))
    assert cli.main(["verify", str(copy)]) == 0
    assert capsys.readouterr().out == "6: whole\n"


def test_a_checkpoint_and_another_step_contradict_each_other(copy):
    with pytest.raises(InputError, match=r"checkpoints/4 is one checkpoint, and 6 another"):
        runs.open(newest(copy, 4), 6)
    assert runs.open(newest(copy, 4), 4).step == 4


def test_leftovers_of_dead_processes_go_and_nothing_else(made, copy):
    hexadecimal = "0123456789abcdef" * 2
    dead = [copy / f".config.json.{hexadecimal}.tmp", newest(copy) / f".m.json.{hexadecimal}.tmp"]
    dead += [copy / "samples" / f".1.png.{hexadecimal}.tmp"]
    mine = [copy / ".notes.tmp", copy / "notes.tmp", copy / "samples" / ".1.png.0.tmp"]
    for path in dead + mine:
        path.write_text("x")
    folders = [newest(copy, "10.orbax-checkpoint-tmp"), newest(copy, f".2.{hexadecimal}.tmp")]
    for folder in folders:
        folder.mkdir()
        (folder / "x").write_text("x")
    train.train_and_evaluate(made, copy)
    assert [p for p in dead + folders if p.exists()] == []
    assert all(p.exists() for p in mine)


def test_a_lock_that_is_a_link_is_refused_and_its_target_kept(made, copy, tmp_path):
    (tmp_path / "mine").write_text("mine")
    (copy / faults.lock.LOCK_FILE).unlink()
    (copy / faults.lock.LOCK_FILE).symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=r"\.lock must not be a link"):
        train.train_and_evaluate(made, copy)
    assert (tmp_path / "mine").read_text() == "mine"


def test_readers_do_not_wait_for_who_trains(copy):
    with faults.lock.claimed(copy):
        assert runs.open(copy).step == 8
        assert cli.main(["verify", str(copy)]) == 0
