"""The toy experiment: counting is exact, and training uses the library's steps."""

import json
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from discogan_jax import steps
from discogan_jax.errors import InputError
from experiments.toy import study as experiment
from experiments.toy import system


def at(*modes):
    """Returns translations at the centres of modes of B; None is a point between modes."""
    return np.stack([system.MODES_B[m] if m is not None else np.zeros(2) for m in modes])


def counted(*groups):
    points = np.stack([at(*group) for group in groups])
    return system.coverage(system.mode_counts(points), points.shape[1])


def test_modes_stand_apart_and_points_belong_to_one_at_most():
    for modes in (system.MODES_A, system.MODES_B):
        distances = np.linalg.norm(modes[:, None] - modes, axis=-1)
        assert distances[~np.eye(len(modes), dtype=bool)].min() > 2 * system.REACH
    assert system.MODES_A.shape == (5, 2)
    assert system.MODES_B.shape == (10, 2)


def test_every_point_within_reach_is_counted():
    just_in, just_out = (np.array([0, r * system.REACH]) for r in (0.999, 1.001))
    points = system.MODES_B[7] + np.stack([[just_in, just_out, -just_in, -just_out, 0 * just_in]])
    expected = np.zeros((1, 10), int)
    expected[0, 7] = 3
    np.testing.assert_array_equal(system.mode_counts(points), expected)


def test_a_bijection_covers_everything_and_keeps_modes_apart():
    groups = [[2 * m] * 10 + [2 * m + 1] * 10 for m in range(5)]
    assert counted(*groups) == system.ModeCoverage(covered=1.0, landed=1.0, purity=1.0, shared=0)


def test_a_collapse_covers_one_mode_and_is_as_pure_as_chance():
    assert counted(*[[3] * 20] * 5) == system.ModeCoverage(
        covered=0.1, landed=1.0, purity=0.2, shared=10
    )


def test_points_between_modes_count_as_lost():
    assert counted(*[[None] * 20] * 5) == system.ModeCoverage(
        covered=0, landed=0, purity=0, shared=0
    )
    half = counted(*[[m] * 10 + [None] * 10 for m in range(5)])
    assert half == system.ModeCoverage(covered=0.5, landed=0.5, purity=1.0, shared=0)


def test_thresholds_are_exact():
    # 100 translations, ten modes: half of an equal share is 5.
    five, four = [0] * 5 + [1] * 15, [0] * 4 + [1] * 16
    others = [[m] * 20 for m in (2, 3, 4, 5)]
    assert counted(five, *others).covered == 0.6
    assert counted(four, *others).covered == 0.5
    # Two modes of A meet if a tenth of the points of each does: 2 of 20.
    two, one = [0] * 2 + [1] * 18, [0] * 1 + [1] * 19
    others = [[0] * 20, *[[m] * 20 for m in (2, 3, 4)]]
    assert counted(two, *others).shared == 1
    assert counted(one, *others).shared == 0
    assert counted(two, *others).purity == 0.98


def test_points_are_those_of_the_mixture():
    points = np.asarray(system.draw(jax.random.key(0), system.MODES_B, (2, 5000)))
    share = system.mode_counts(points).sum(0) / 10000
    np.testing.assert_allclose(share, 0.0989, atol=0.01)
    each = np.asarray(system.draw_each(jax.random.key(0), system.MODES_A, 5000))
    np.testing.assert_allclose(each.mean(1), system.MODES_A, atol=0.01)
    np.testing.assert_allclose(each.std(1), system.SPREAD, rtol=0.05)


def test_one_cycle_is_the_librarys():
    small = {
        "generator": system.DenseGenerator((8,)),
        "discriminator": system.DenseDiscriminator((8,)),
    }
    gan = replace(experiment.system("recongan"), **small)
    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    states = system.create(gan, keys)
    alone = jax.tree.map(lambda x: jnp.copy(x[1]), states)
    trained, _ = system.train(gan, 8, states, keys, jnp.int32(1))
    key_a, key_b = jax.random.split(jax.random.fold_in(keys[1], 0))
    shape = (gan.updates, 8)
    batches = {
        "a": system.draw(key_a, system.MODES_A, shape),
        "b": system.draw(key_b, system.MODES_B, shape),
    }
    alone, _ = steps.train_step_jit(gan, alone, batches)
    for x, y in zip(*map(jax.tree.leaves, (trained.gen.params, alone.gen.params)), strict=True):
        np.testing.assert_allclose(x[1], y, atol=1e-4)
    # What is measured is a distance of points, not its square.
    points = experiment.HeldOut(*(batches[d][:1] for d in "ab"))
    there, errors = experiment._measure(gan, alone, points)
    back = steps.translate(gan, alone, there[0], "ba")
    expected = jnp.sqrt(jnp.square(back - points.a[0]).mean())
    np.testing.assert_allclose(errors["rmse_a"], expected, rtol=1e-5)


@pytest.mark.long
def test_the_experiment_in_short(tmp_path):
    said = []
    experiment.compare(tmp_path / "run", seeds=1, cycles=60, say=said.append)
    report = json.loads((tmp_path / "run" / "toy.json").read_text())
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["toy.json", "toy.png"]
    with Image.open(tmp_path / "run" / "toy.png") as picture:
        assert picture.width > 3 * picture.height
    finals = {name: found["end"] for name, found in report["objectives"].items()}
    assert set(finals) == {"gan", "recongan", "discogan"}
    assert finals["gan"]["rmse_a"] is None
    history = report["objectives"]["discogan"]["history"]
    errors = [check["seeds"][0]["rmse_a"] for check in history]
    assert errors[-1] < errors[0]
    assert [check["cycle"] for check in history][-1] == 60
    assert report["versions"]["packages"]["jax"]
    assert "recongan" in "".join(said)


@pytest.mark.parametrize(
    ("flag", "words"),
    [("--seeds=0", "at least 1"), ("--cycles=-3", "at least 1"), ("--cycles=many", "many")],
)
def test_bad_flags_give_one_line(flag, words, tmp_path):
    command = [sys.executable, "-m", "experiments.toy", f"--workdir={tmp_path}/x", flag]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert flag.split("=")[0][2:] in done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        experiment.compare(tmp_path / "file" / "run", seeds=1, cycles=1)
