"""A short rotation study, from drawings to table and figure; and where points are drawn."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from discogan_jax.config import build
from discogan_jax.configs import rotation
from discogan_jax.data import catalogue
from discogan_jax.errors import DivergedError, InputError
from discogan_jax.losses import LossWeights
from discogan_jax.train import variants
from experiments import plots
from experiments.rotation import figure
from experiments.rotation import study as experiment

CONFIG = rotation.get_config


def smaller(config):
    config.data.image_size = 16
    config.data.batch_size = 4
    config.model.width = 4
    config.model.bottleneck = 3
    config.loss.feature_skip = 0  # there is but one map at this size
    return config


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Runs a short study; returns its files, its output, and a function that repeats it."""
    folder = tmp_path_factory.mktemp("study")
    fit, fitted = experiment.evaluate.fit_references, []

    def fit_once(*arguments):  # the same for all runs here: in half of the time
        if not fitted:
            fitted.append(fit(*arguments))
        return fitted[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment.rotation, "get_config", lambda: smaller(CONFIG()))
        patch.setattr(experiment.evaluate, "fit_references", fit_once)

        def again():
            said = []
            folders = folder / "run", folder / "data"
            experiment.compare(*folders, 1, 2, drawings=(24, 8), say=said.append)
            return "\n".join(said)

        yield folder, again(), again


@pytest.mark.long
def test_the_study_in_short(study):
    folder, said, _ = study
    names = ["gan", "recongan", "discogan"]
    assert [n for n in names if f"run {names.index(n) + 1} of 3: {n}, seed=0" in said] == names
    heads, parts, *lines = said[said.index("      ") :].strip("\n").splitlines()[:5]
    assert heads.split()[:2] == ["angle", "by"]
    assert parts.split()[:4] == ["variant", "n", "correlation", "correlation"]
    assert [line.split()[0] for line in lines] == names
    assert len(lines[0].split()) == len(lines[1].split()) - 1  # gan has no reconstruction
    with Image.open(folder / "run" / "rotation.png") as picture:
        width = plots.LEFT + plots.SIDE + plots.RIGHT
        assert picture.size == (3 * width, plots.TOP + plots.SIDE + plots.BOTTOM)


@pytest.mark.long
def test_drawings_are_turned_widely_and_the_table_has_what_was_measured(study):
    folder, said, _ = study
    items = catalogue.recorded_items(folder / "data" / "rotation" / "edges2shoes.tar.gz")
    tilts = [item.tilt for item in items["train"]]
    assert (len(tilts), len(items["val"])) == (24, 8)
    assert -75 <= min(tilts) < -50 < 50 < max(tilts) <= 75
    report = json.loads((folder / "run" / "discogan,seed=0" / "evaluation.json").read_text())
    rows = {row["name"]: row for row in report["rows"]}
    tilt = rows["bags_to_shoes/true_tilt_error"]
    line = next(line for line in said.splitlines() if line.startswith("discogan "))
    assert line.split()[4:6] == [f"{tilt[which]:.4g}" for which in ("value", "reference")]


@pytest.mark.long
def test_what_is_finished_is_skipped(study):
    folder, said, again = study
    before = (folder / "run" / "rotation.png").read_bytes()
    second = again()
    assert second.count("finished before, skipped") == 3
    assert second.endswith(said[said.index("      ") :])
    assert (folder / "run" / "rotation.png").read_bytes() == before


@pytest.mark.long
def test_a_diverged_run_is_told_after_the_table(study, monkeypatch):
    folder, _, again = study

    def diverges(config, variants, where, *, seeds, say):
        found = outcomes(config, variants, where, seeds=seeds, say=say)
        return [*found[:2], experiment.replace(found[2], measures={}, error="diverged at step 1")]

    outcomes = experiment.sweep.run
    monkeypatch.setattr(experiment.sweep, "run", diverges)
    with pytest.raises(DivergedError, match="1 of 3 runs"):
        again()
    with Image.open(folder / "run" / "rotation.png") as picture:
        assert picture.width == 2 * (plots.LEFT + plots.SIDE + plots.RIGHT)


def test_networks_and_losses_are_those_of_the_published_rotation_tasks(tmp_path):
    """All but the first feature map, a rate of 0.9 throughout, and a GAN without any of that."""
    weights = LossWeights(0.1, 0.9, 1.0, 0.0, 0.5, feature_skip=1, rate=0.9, rate_start=0.9)
    plain = replace(weights, adversarial=1.0, feature=0.0)
    jobs = variants.plan(CONFIG(), experiment.VARIANTS, tmp_path)
    assert [job.variant.name for job in jobs] == ["gan", "recongan", "discogan"]
    for job in jobs:
        gan = build.gan(job.settings)
        assert (gan.generator.bottleneck, gan.objective) == (100, job.variant.name)
        assert gan.weights == (plain if gan.objective == "gan" else weights)


def pixel(panel, x, y):
    """Returns the colour at angles in degrees."""
    scale = plots.SIDE / (2 * figure.EXTENT)
    right, down = (figure.EXTENT + x) * scale, (figure.EXTENT - y) * scale
    return tuple(panel[plots.TOP + round(down), plots.LEFT + round(right)])


def test_points_lie_at_their_angles_and_those_far_off_at_the_border():
    blue, white = plots.COLOURS[0], (255, 255, 255)
    empty = figure.panel("x", np.zeros(2), np.zeros(2))
    panel = figure.panel("x", np.array([-60.0, 20.0]), np.array([30.0, 200.0]))
    assert pixel(panel, -60, 30) == pixel(panel, 20, 89.5) == blue
    assert pixel(empty, -60, 30) == pixel(empty, 20, 89.5) == white
    assert pixel(panel, 30, -60) == pixel(panel, 60, 30) == pixel(panel, 20, 80) == white
    for at in ((45, 45), (-45, 45), (45, -45), (-45, -45)):  # the diagonals
        assert max(pixel(panel, *at)) < 255


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--steps=0", "--steps=0: at least 1"),
        ("--steps=many", "--steps: invalid int"),
    ],
)
def test_bad_flags_give_one_line(flag, words, tmp_path):
    folders = [f"--workdir={tmp_path}/x", f"--data_dir={tmp_path}/x"]
    command = [sys.executable, "-m", "experiments.rotation", *folders, flag]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_mistakes_are_named_before_anything_is_done(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        experiment.compare(tmp_path / "run", tmp_path / "file", seeds=1, steps=1)
    with pytest.raises(InputError, match="--seeds=0: at least 1"):
        experiment.compare(tmp_path / "run", tmp_path, seeds=0, steps=1)
