"""What two folders are trained with by default, and what a run that is there goes on with."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs_here

from discogan_jax import cli, images, models, steps
from discogan_jax.commands import train
from discogan_jax.config import build
from discogan_jax.config.schema import flat, from_config, to_json
from discogan_jax.configs import best, folders
from discogan_jax.images import Size
from discogan_jax.runs import run
from discogan_jax.state import create_state

FOLDERS = ["train", "--a=cats", "--b=dogs"]


@pytest.fixture
def trained(monkeypatch):
    """Collects what would be trained: settings and title of each run."""
    found = []
    monkeypatch.setattr(
        "discogan_jax.train.train_and_evaluate",
        lambda s, workdir, change, title: found.append((s, title)),
    )
    return found


def test_folders_have_the_recommended_recipe():
    ours, recommended = (flat(to_json(from_config(x.get_config()))) for x in (folders, best))
    assert {name for name, x in ours.items() if x != recommended[name]} == {
        "domains", "data.source_a", "data.source_b", "data.image_size", "train.keep_every",
    }  # fmt: skip
    assert (ours["data.image_size"], ours["data.flip"], ours["data.batch_size"]) == (32, False, 16)


@pytest.mark.parametrize(
    ("backend", "typed", "size", "said"),
    [
        (
            "cpu",
            [],
            32,
            "a new run on a CPU: pictures of 32 px (64 px on an accelerator); --config",
        ),
        ("gpu", [], 64, "a new run on an accelerator: pictures of 64 px (less on a CPU); --config"),
        ("gpu", ["--config.data.image_size=96"], 96, ""),
    ],
)
def test_a_new_run_has_a_size_that_the_machine_can_do(
    backend, typed, size, said, trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert cli.main([*FOLDERS, *typed, f"--workdir={tmp_path / 'run'}"]) == 0
    [(settings, _)] = trained
    assert settings.data.image_size == Size(size, size)
    assert settings.domains == ("cats", "dogs")
    out = capsys.readouterr().out
    assert out.startswith(said)
    assert bool(said) == ("a new run" in out)


def test_a_run_goes_on_with_its_own_settings(data, trained, tmp_path, monkeypatch, capsys):
    """That of an earlier config, or of another machine."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    old = from_config(runs_here.config(data, domains=("cats", "dogs")))
    run.begin(tmp_path, old)
    steps = [f"--config.train.steps={n}" for n in (7, 9)]
    assert cli.main([*FOLDERS, f"--workdir={tmp_path}", *steps]) == 0
    [(settings, title)] = trained
    sources = replace(old.data, source_a="folder:cats", source_b="folder:dogs")
    assert settings == replace(old, data=sources, train=replace(old.train, steps=9))
    assert title == f"the run's own settings, 9 steps, with train.steps=9; in {tmp_path}"
    assert "a new run" not in capsys.readouterr().out


def test_a_sweep_goes_on_with_the_settings_of_its_runs(data, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(train, "_compare", lambda config, *_: found.append(from_config(config)))
    old = runs_here.config(data, seed=1, domains=("cats", "dogs"))
    run.begin(tmp_path / "seed=1", from_config(old))
    assert cli.main([*FOLDERS, f"--workdir={tmp_path}", "--sweep=seed=0,1"]) == 0
    assert [s.data.image_size for s in found] == [Size(runs_here.SIZE, runs_here.SIZE)]


def test_no_run_begins_among_its_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / name / "train").mkdir(parents=True)
        images.save(tmp_path / name / "train" / "0.png", np.zeros((16, 16, 3), np.uint8))
    typed = ["train", "--a=a", "--b=b"]
    for place in ("a/train", "b/train/deep/run"):
        assert cli.main([*typed, f"--workdir={place}"]) == 2
        assert "name another --workdir" in capsys.readouterr().err
        assert not (tmp_path / place / "config.json").exists()


def on_white(seed, number=32, size=32):
    """Draws a coloured square on white, 6% of the picture."""
    rng = np.random.default_rng(seed)
    pictures = np.full((number, size, size, 3), 255, np.uint8)
    for picture in pictures:
        row, column = rng.integers(4, size - 12, 2)
        picture[row : row + 8, column : column + 8] = rng.integers(0, 200, 3)
    return pictures


def test_mostly_white_pictures_do_not_make_it_white_for_good():
    """As those of a catalogue did, in three of three runs of 1,000 steps."""
    s = from_config(best.get_config())
    gan = build.gan(
        replace(s, model=replace(s.model, width=16), data=replace(s.data, image_size=Size(32, 32)))
    )
    state = create_state(jax.random.key(0), gan, (32, 32, 3))
    pictures, rng = {"a": on_white(1), "b": on_white(2)}, np.random.default_rng(0)
    for _ in range(60):
        batches = {d: x[rng.choice(len(x), (3, 16))] for d, x in pictures.items()}
        state, _ = steps.train_step_jit(gan, state, batches)
    for direction in gan.directions:
        # Not the averages, which lag behind.
        raw = replace(state, ema=None, ema_stats=None)
        made = np.asarray(steps.translate(gan, raw, pictures[direction[0]], direction))
        real = images.to_unit(pictures[direction[1]])
        assert made.std(0).mean() > 0.3 * real.std(0).mean()


def test_a_leak_leads_back_from_white_and_black_alone():
    x = jnp.array([-100.0, -100.0, 100.0, 100.0, 0.0, 0.0])
    cotangent = jnp.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    y, pull = jax.vjp(lambda x: models.leaky_sigmoid(x, 0.1), x)
    np.testing.assert_array_equal(y, jax.nn.sigmoid(x))
    # Descent moves against the gradient: black becomes lighter, white darker.
    np.testing.assert_allclose(pull(cotangent)[0], [0, -0.1, 0.1, 0, 0.25, -0.25], atol=1e-9)

    images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
    closed, leaking = (models.best_generator(16, width=4, leak=leak) for leak in (0.0, 0.1))
    variables = closed.init(jax.random.key(1), images, True)
    np.testing.assert_array_equal(*(m.apply(variables, images, True) for m in (closed, leaking)))
