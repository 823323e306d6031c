"""`discogan evaluate`: the measures of a run, and the errors for anything that is not a run."""

import json
import logging
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from unittest import mock

import faults
import jax
import numpy as np
import pytest
import runs_here

from discogan_jax import cli, runs, train
from discogan_jax.config import build
from discogan_jax.data import sources
from discogan_jax.errors import InputError
from discogan_jax.evaluation import evaluate, probe, scores
from discogan_jax.evaluation.metrics import reconstruction
from discogan_jax.runs import layout

FIELDS = {"train__steps": 4, "train__checkpoint_every": 2, "train__sample_every": 0}


STEPS = 40  # of the judge's training: what it has learned matters to no test here


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "fit", partial(probe.fit, steps=STEPS))
        yield


@pytest.fixture(scope="module")
def workdir(data, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "run"
    train.train_and_evaluate(runs_here.config(data, **FIELDS), workdir)
    return workdir


@pytest.fixture(scope="module")
def references(workdir):
    s = runs.open(workdir).settings
    return evaluate.fit_references(s, build.images(s))


def measure(run, references):
    return {r.name: r.value for r in evaluate.measure(run, references)}


class InSmallBatches(runs.Run):
    def apply(self, images, direction, batch_size=3):
        return super().apply(images, direction, batch_size)


def test_a_run_opens_at_any_checkpoint_and_translates(data, workdir):
    run, earlier = runs.open(workdir), runs.open(workdir, 2)
    assert (run.step, earlier.step, run.domains) == (4, 2, ("bags", "shoes"))
    assert int(run.state.step) == 4
    assert int(earlier.state.step) == 2
    pictures = np.load(data / "bags" / "val.npy")
    shoes = run.translate(pictures, to="shoes")
    assert shoes.shape == pictures.shape
    # Any batch size, and any number that does not fill the batches.
    np.testing.assert_allclose(run.translate(pictures[:5], "shoes", 3), shoes[:5], atol=1e-5)
    assert np.abs(run.translate(pictures, to="bags") - shoes).max() > 1e-3
    with pytest.raises(InputError, match="translates to bags and shoes, not 'hats'"):
        run.translate(pictures, to="hats")


def test_rows_are_what_they_say_and_do_not_depend_on_the_batch_size(data, workdir, references):
    run = runs.open(workdir)
    found = measure(run, references)
    np.testing.assert_equal(measure(run, references), found)
    small = InSmallBatches(**vars(run))
    for name, value in measure(small, references).items():
        np.testing.assert_allclose(value, found[name], rtol=1e-3, atol=1e-4, err_msg=name)
    pictures = np.load(data / "bags" / "val.npy")
    again = run.translate(np.float32(run.translate(pictures, "shoes")), "bags")
    expected = reconstruction.paired(np.float32(pictures) / 255, again)["mse"].mean()
    np.testing.assert_allclose(found["bags_to_shoes_to_bags/mse"], expected, rtol=1e-4)
    assert not any("pair_" in name for name in found)
    assert measure(run.raw, references) != found
    # Raw are both, parameters and statistics.
    gen = run.state.gen
    own = replace(run, state=run.state.replace(ema=gen.params, ema_stats=gen.batch_stats))
    np.testing.assert_array_equal(
        run.raw.translate(pictures, "shoes"), own.translate(pictures, "shoes")
    )


def test_the_number_of_devices_changes_nothing(workdir, tmp_path, references):
    """Four devices in another process; a state spread over them is measured as one on one."""
    code = """
import dataclasses, functools, json, sys, jax
from discogan_jax import runs, sharding
from discogan_jax.evaluation import evaluate, probe
probe.fit = functools.partial(probe.fit, steps=int(sys.argv[2]))
run = runs.open(sys.argv[1])
mesh = sharding.data_mesh()
assert mesh.size == 4
state = jax.device_put(run.state, sharding.replicated(mesh))
found = evaluate.measure(dataclasses.replace(run, state=state))
json.dump({row.name: row.value for row in found}, sys.stdout)
"""
    env = runs_here.environment(tmp_path)
    env["XLA_FLAGS"] += " --xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-c", code, workdir, str(STEPS)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    four = json.loads(done.stdout)
    assert jax.device_count() == 1
    one = measure(runs.open(workdir), references)
    assert four.keys() == one.keys()
    for name, value in one.items():
        np.testing.assert_allclose(four[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_judge_learns_from_training_images_and_held_out_ones_are_measured(
    data, workdir, monkeypatch
):
    taught, fit = {}, probe.DomainClassifier.fit
    monkeypatch.setattr(
        probe.DomainClassifier, "fit", lambda train: (taught.update(train), fit(train))[1]
    )
    s = runs.open(workdir).settings
    references = evaluate.fit_references(s, build.images(s))
    for d, name in zip("ab", runs_here.DOMAINS, strict=True):
        np.testing.assert_array_equal(taught[d], np.load(data / name / "train.npy"))
        val = np.load(data / name / "val.npy")
        np.testing.assert_allclose(references.real[d], np.float32(val) / 255, atol=1e-6)


def test_training_evaluates_itself_and_says_the_same_as_the_command(
    data, tmp_path, workdir, caplog
):
    changes = FIELDS | {"train__evaluate_every": 2}
    with caplog.at_level(logging.INFO, "absl"):
        train.train_and_evaluate(runs_here.config(data, **changes), tmp_path)
    few = "few held-out pictures (8 of bags, 8 of shoes): below 50, most differences between"
    said = [i for i, text in enumerate(caplog.messages) if text.startswith(few)]
    compiling = [i for i, text in enumerate(caplog.messages) if "compiling" in text]
    assert len(said) == 1
    assert said < compiling  # while there is still time to stop
    lines = {line["step"]: line for line in runs_here.lines(tmp_path / "metrics.jsonl")}
    assert [step for step, line in lines.items() if "eval/bags_to_shoes/density" in line] == [2, 4]
    written = json.loads((tmp_path / layout.EVALUATION_FILE).read_text())
    assert written["step"] == 4
    assert cli.main(["evaluate", str(workdir)]) == 0
    assert json.loads((workdir / layout.EVALUATION_FILE).read_text()) == written


def test_edges_and_photos_of_one_archive_are_measured_against_their_pairs():
    edges, photos = "archive:edges2shoes/edges/first", "archive:edges2shoes/photo/second"
    assert sources.are_pairs(edges, photos)
    assert not sources.are_pairs(photos, photos)
    assert not sources.are_pairs("archive:edges2handbags/photo", photos)
    assert not sources.are_pairs("folder:a/edges", "folder:a/photo")
    truth = np.random.default_rng(0).random((6, 16, 16, 3), np.float32)
    for row in scores.measure_pairs(scores.Translations(("edges", "photos"), truth, truth, truth)):
        assert row.value != row.reference
        assert (row.value > row.reference) == (row.better == "higher")


def test_the_command_prints_the_main_measures_and_writes_all(workdir, tmp_path, capsys):
    run = shutil.copytree(workdir, tmp_path / "run")
    assert cli.main(["evaluate", str(run)]) == 0
    out, err = capsys.readouterr()
    # Noise has no hue: the rows of colours are left out.
    lines = [line.split("  ") for line in out.splitlines()[1:9]]
    labels = ["textures look real", "comes back", "varies"]
    assert [next(filter(None, cells)) for cells in lines] == [
        "bags → shoes", *labels, "shoes → bags", *labels
    ]  # fmt: skip
    names = [cells[-1].strip() for cells in lines[1:4]]
    assert names == ["sliced_wasserstein", "psnr", "diversity"]
    assert all("  ".join(cells).count("other inputs") == 1 for cells in (lines[2], lines[6]))
    assert err.splitlines() == [
        "opening the pictures of the run",
        "training a network to tell bags and shoes apart",
        "translating and measuring bags → shoes, 8 held-out pictures",
        "translating and measuring shoes → bags, 8 held-out pictures",
    ]
    path, page = run / "evaluation.json", run / "report.html"
    assert out.endswith(f"step 4: all 25 measures are in {path}, {page} shows them\n")
    found = json.loads(path.read_text())
    assert (found["step"], found["parameters"]) == (4, "averaged")
    assert len(found["rows"]) == len({row["name"] for row in found["rows"]}) == 25
    assert out.count("few held-out pictures (8 of bags, 8 of shoes): below 50") == 1
    assert "left out: kernel_distance (its error is too large below 20 images; there are 8)" in out
    assert all(r["value"] is None or math.isfinite(r["value"]) for r in found["rows"])


def test_another_step_and_raw_parameters_have_files_of_their_own(workdir, tmp_path, capsys):
    run = shutil.copytree(workdir, tmp_path / "run")
    (run / "evaluation.json").write_text("{}")
    for flags, name, step, parameters in (
        (["--step=2"], "evaluation-step-2.json", 2, "averaged"),
        (["--raw", "--all"], "evaluation-raw.json", 4, "raw"),
    ):
        assert cli.main(["evaluate", str(run), *flags]) == 0
        found = json.loads((run / name).read_text())
        assert (found["step"], found["parameters"]) == (step, parameters)
    assert "bags → shoes: diversity of outputs / inputs" in capsys.readouterr().out
    assert (run / "evaluation.json").read_text() == "{}"
    page = (run / "report.html").read_text()
    assert '"title":"step 2"' in page
    assert '"title":"step 4, raw parameters"' in page


def test_other_pictures_than_in_training_are_reported(tmp_path, capsys):
    data = runs_here.write_arrays(tmp_path / "data")
    made = runs_here.config(data, **FIELDS)
    train.train_and_evaluate(made, tmp_path / "run")
    val, trained = (data / "bags" / f"{split}.npy" for split in ("val", "train"))
    np.save(val, np.concatenate([np.load(val)[1:], np.load(trained)[:1]]))
    capsys.readouterr()
    assert cli.main(["evaluate", str(tmp_path / "run")]) == 0
    line = (
        "bags: other pictures than in training (0 came, 1 went); of 8 held-out ones: 1 not held "
        "out then, 1 trained on"
    )
    assert capsys.readouterr().out.count(line) == 1
    written = json.loads((tmp_path / "run" / layout.EVALUATION_FILE).read_text())
    assert line in written["remarks"]
    assert written["other_pictures"] == [line]


def test_what_cannot_be_written_is_refused_before_anything_is_measured(
    workdir, tmp_path, capsys, monkeypatch
):
    run = shutil.copytree(workdir, tmp_path / "run")
    path = run / layout.EVALUATION_FILE
    path.unlink(missing_ok=True)
    measure = mock.Mock(side_effect=AssertionError)

    def refused(*flags):
        with monkeypatch.context() as patch:
            patch.setattr(evaluate, "references_of", measure)
            assert cli.main(["evaluate", str(run), *flags]) == 2
        return capsys.readouterr().err

    path.mkdir()
    assert refused().startswith(f"{path} cannot be written (it is a folder): name another file")
    path.rmdir()
    notes = tmp_path / "notes.json"
    notes.write_text("{}")
    for other in (notes, run / "config.json", run / "metrics.jsonl", run / "report.html"):
        said = refused("--out", str(other))
        assert said.startswith(f"{other} is there and was not written by this")
    if not faults.mounted("mount", "--bind", run, run):
        pytest.skip("nothing can be mounted here")
    try:
        assert faults.mounted("mount", "-o", "remount,ro,bind", run)
        assert refused().startswith(f"{path} cannot be written (Read-only file system): name ")
        assert cli.main(["evaluate", str(run), "--out", str(tmp_path / "new.json")]) == 0
        assert json.loads((tmp_path / "new.json").read_text())["step"] == 4
    finally:
        subprocess.run(["umount", run], check=True)


def test_a_single_held_out_image_stops_the_command_but_not_the_training(tmp_path, caplog):
    data = runs_here.write_arrays(tmp_path / "data")
    for domain in runs_here.DOMAINS:
        np.save(data / domain / "val.npy", np.load(data / domain / "val.npy")[:1])
    made = runs_here.config(data, **FIELDS, train__evaluate_every=4)
    with caplog.at_level(logging.WARNING, "absl"):
        train.train_and_evaluate(made, tmp_path / "run")
    message = "bags: 1 held-out image; measuring needs 2"
    assert f"step 4 is not evaluated: {message}" in caplog.text
    with pytest.raises(InputError, match=message):
        evaluate.measure(runs.open(tmp_path / "run"))


def test_what_is_no_run_gets_one_line(workdir, tmp_path, capsys):
    for arguments, message in (
        ([str(tmp_path)], f"{tmp_path} is no run directory"),
        ([str(tmp_path / "nowhere")], "is no run directory"),
        ([str(workdir), "--step", "3"], "has no checkpoint 3; it has 2, 4"),
    ):
        assert cli.main(["evaluate", *arguments]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert "Traceback" not in err
