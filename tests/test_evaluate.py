"""`discogan evaluate`: what it measures of a run, and what it says of what is no run."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import runs_here

from discogan_jax import cli, evaluate, runs, train
from discogan_jax.errors import InputError
from discogan_jax.measures import reconstruction


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return runs_here.write_arrays(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def workdir(data, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "run"
    fields = {"train__steps": 4, "train__checkpoint_every": 2, "train__sample_every": 0}
    train.train_and_evaluate(runs_here.config(data, **fields), workdir)
    return workdir


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


def test_rows_are_what_they_say_and_do_not_depend_on_the_batch_size(data, workdir):
    run = runs.open(workdir)
    rows = evaluate.evaluate(run)
    assert evaluate.table(rows) == evaluate.table(evaluate.evaluate(run))
    for one, other in zip(rows, evaluate.evaluate(run, batch_size=3), strict=True):
        assert one.what == other.what
        np.testing.assert_allclose(one.value, other.value, rtol=1e-3, atol=1e-4)
    by_name = {row.what: row for row in rows}
    pictures = np.load(data / "bags" / "val.npy")
    again = run.translate(np.float32(run.translate(pictures, "shoes")), "bags")
    expected = reconstruction.mse(pictures.astype(np.float32) / 255, again).mean()
    np.testing.assert_allclose(by_name["bags → shoes → bags: mse"].value, expected, rtol=1e-4)
    assert {row.better for row in rows} == {"higher", "lower", "nearer"}
    assert not any("true pair" in name for name in by_name)
    raw = evaluate.evaluate(run, raw=True)
    assert [r.value for r in raw] != [r.value for r in rows]


def test_edges_and_photos_of_one_archive_are_measured_against_their_pairs(workdir):
    run = runs.open(workdir)

    def with_sources(a, b):
        data = replace(run.settings.data, source_a=a, source_b=b)
        return replace(run, settings=replace(run.settings, data=data))

    edges, photos = "archive:edges2shoes/edges/first", "archive:edges2shoes/photo/second"
    assert evaluate._are_pairs(with_sources(edges, photos))
    assert not evaluate._are_pairs(with_sources(photos, photos))
    assert not evaluate._are_pairs(with_sources("archive:edges2handbags/photo", photos))
    assert not evaluate._are_pairs(with_sources("folder:a/edges", "folder:a/photo"))
    rng = np.random.default_rng(0)
    truth = rng.random((6, 16, 16, 3), np.float32)
    for row in evaluate._against_truth(truth, truth, "edges → photos"):
        assert row.value != row.reference
        assert (row.value > row.reference) == (row.better == "higher")


def test_the_command_prints_a_table_and_writes_json(workdir, capsys):
    assert cli.main(["evaluate", str(workdir), "--step", "2"]) == 0
    out = capsys.readouterr().out
    assert "bags → shoes: diversity of outputs / inputs" in out
    assert f"step 2; written to {workdir / 'evaluation.json'}" in out
    found = json.loads((workdir / "evaluation.json").read_text())
    assert (found["step"], found["parameters"]) == (2, "averaged")
    assert len(found["rows"]) == 16
    assert all(r["value"] is None or math.isfinite(r["value"]) for r in found["rows"])
    assert cli.main(["evaluate", str(workdir), "--raw"]) == 0
    assert json.loads((workdir / "evaluation.json").read_text())["parameters"] == "raw"


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


def test_help_does_not_wait_for_jax():
    code = (
        "import sys\nfrom discogan_jax import cli\n"
        "try: cli.main(['evaluate', '--help'])\n"
        "except SystemExit as e: assert e.code == 0\n"
        "assert not {'jax', 'numpy', 'tensorflow'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--raw" in done.stdout
