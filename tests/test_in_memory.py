"""Pictures that are in memory are trained on, and what notebooks show of objects is short."""

import subprocess
import sys

import jax
import numpy as np
import pytest
import runs_here
from runs_here import SIZE

import discogan_jax
from discogan_jax import runs, train
from discogan_jax.config import schema
from discogan_jax.data import sources
from discogan_jax.errors import InputError
from discogan_jax.runs import report


def drawn(seed, count=40, size=SIZE):
    return np.random.default_rng(seed).integers(256, size=(count, size, size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two steps on arrays, its config and these arrays."""
    folder = tmp_path_factory.mktemp("memory")
    config = runs_here.config(folder, train__steps=2, train__sample_every=2)
    arrays = drawn(0), (drawn(1), drawn(2, 9))
    train.train_and_evaluate(config, folder / "run", arrays=arrays)
    return folder / "run", config, arrays


def test_arrays_are_trained_on_and_a_run_of_them_is_whole(made):
    path, config, (a, (b, b_val)) = made
    run = runs.open(path)
    images = run.images()
    both = np.concatenate([images["a"].train, images["a"].val])
    assert 0 < len(images["a"].val) < 8
    assert {x.tobytes() for x in both} == {x.tobytes() for x in a}
    np.testing.assert_array_equal(images["b"].train, b)
    np.testing.assert_array_equal(images["b"].val, b_val)
    assert [x.name for x in (path / "samples").iterdir()][-1:] == ["00000002.png"]
    assert report.write([path]).is_file()
    # The same call finds nothing more to do; other pictures are refused.
    assert int(train.train_and_evaluate(config, path, arrays=(a, (b, b_val))).step) == 2
    with pytest.raises(InputError, match=r"was trained on other pictures .*40 came, 40 went"):
        train.train_and_evaluate(config, path, arrays=(drawn(5), (b, b_val)))


def test_equal_pictures_are_never_on_both_sides(tmp_path):
    pictures = np.concatenate([drawn(3, 30)] * 3)
    source = sources.keep(pictures, data_dir=tmp_path, image_size=SIZE)
    assert source == sources.keep(pictures, data_dir=tmp_path, image_size=SIZE)
    found = sources.load(source, data_dir=tmp_path, image_size=SIZE)
    assert found.about["leaked"] == 0
    assert len(found.train) + len(found.val) == 90
    assert len(found.val) % 3 == 0


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ((drawn(0), drawn(1) / 255), r"shoes: .*uint8 \[N, H, W, C\].*not float64 .*to_uint8"),
        ((drawn(0), drawn(1)[0]), r"shoes: .*not uint8 \[16, 16, 3\]"),
        ((drawn(0, size=8), drawn(1)), r"bags: .*uint8 \[40, 8, 8, 3\], do not have .*=16 and"),
        ((drawn(0), drawn(1)[:1]), "shoes: two different pictures"),
        ((drawn(0), (drawn(1), drawn(1)[:0])), "shoes: two different pictures"),
        ((drawn(0), drawn(0)), "share the pictures of"),
        ((drawn(0),), "arrays of 2 domains are needed, not of 1"),
    ],
)
def test_what_is_no_such_array_is_refused(tmp_path, arrays, said):
    config = runs_here.config(tmp_path)
    with pytest.raises(InputError, match=said):
        train.train_and_evaluate(config, tmp_path / "run", arrays=arrays)
    assert not (tmp_path / "run").exists()


def test_what_a_notebook_shows_is_short(made):
    run = runs.open(made[0])
    shown = [repr(x) for x in (run, run.settings, run.gan, run.state, run.state.gen)]
    assert max(map(len, shown)) < 250, shown
    assert f"{made[0]}: bags → shoes, shoes → bags, step {run.step}" in shown[0]
    assert "bags and shoes, 16x16 px" in shown[1]
    networks = jax.tree.leaves((run.state.gen.params, run.state.dis.params))
    assert f"4 networks, {sum(x.size for x in networks):,} parameters" in shown[3]
    # Arrays that were donated, or are none at all, are described as well.
    assert repr(jax.eval_shape(lambda x: x, run.state)) == shown[3]


def test_modules_are_imported_when_they_are_used():
    code = (
        "import sys, discogan_jax; before = set(sys.modules); "
        "assert 'models' in dir(discogan_jax) and 'jax' not in before; "
        "print(discogan_jax.models.best_generator.__name__, discogan_jax.train.train_and_evaluate)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "best_generator" in done.stdout
    with pytest.raises(AttributeError, match="no attribute 'modells'"):
        discogan_jax.modells  # noqa: B018
    assert schema.Settings is discogan_jax.config.schema.Settings
