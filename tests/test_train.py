"""Training as a whole: the files of a run, and resuming after every kind of interruption."""

import errno
import json
import logging
import math
import os
import re
import shutil
import signal
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
import runs_here
from runs_here import assert_same, config, lines, saved, steps_saved

from discogan_jax import files, host, images, runs, sharding, steps, train
from discogan_jax.config.schema import from_config, to_json
from discogan_jax.data.feed import host_batches
from discogan_jax.errors import DivergedError, InputError, InterruptedRunError
from discogan_jax.evaluation import evaluate
from discogan_jax.evaluation.metrics.diversity import diversity_ratio
from discogan_jax.runs import manifest, overview, reading
from discogan_jax.runs.snapshot import tree_of
from discogan_jax.train import forecast, memory
from discogan_jax.train.recorder import Recorder
from discogan_jax.train.setup import Setup

# Enough steps for a signal to arrive in between, on a busy machine too: some seconds.
LONG = {"train__steps": 720, "train__print_every": 120, "train__sample_every": 240} | {
    "train__checkpoint_every": 240
}
SHORT = {"train__steps": 6, "train__log_every": 2, "train__print_every": 3} | {
    "train__sample_every": 4,
    "train__checkpoint_every": 3,
}
FEEDS = ["device", "tf"]
LOSSES = {f"{kind}_{d}_loss" for kind in ("gen", "disc", "const", "fm") for d in ("bags", "shoes")}
LOSSES |= {"gen_loss", "disc_loss"}
CONST = {"val_const_bags_loss", "val_const_shoes_loss"}
ONE_WAY = {"diversity_shoes", "collapse_alarm"}
HELD_OUT = CONST | ONE_WAY | {"diversity_bags"}


@pytest.fixture(scope="module")
def undisturbed(data, cache, tmp_path_factory):
    """Trains an uninterrupted run with the command."""
    workdir = tmp_path_factory.mktemp("runs") / "undisturbed"
    code, out, err = runs_here.run(runs_here.command(data, workdir, **LONG), cache)
    assert code == 0, err
    return workdir, out, err


@pytest.fixture(scope="module")
def short(data, tmp_path_factory):
    """Trains six steps in this process."""
    workdir = tmp_path_factory.mktemp("runs") / "short"
    return workdir, train.train_and_evaluate(config(data, **SHORT), workdir)


class Silent:
    """A writer that records which steps were written."""

    def __init__(self):
        self.steps = []
        self.closed = False

    def write_scalars(self, step, scalars):
        self.steps.append(step)

    def write_images(self, step, images):
        pass

    def write_histograms(self, step, arrays):
        pass

    def flush(self):
        pass

    def close(self):
        self.closed = True


def test_run_directory(data, undisturbed):
    workdir, out, err = undisturbed
    names = {p.name for p in workdir.iterdir()}
    events = {name for name in names if name.startswith("events.out.tfevents.")}
    assert len(events) == 1
    assert names - events == {
        ".lock", "config.json", "versions.json", "metrics.jsonl", "checkpoints", "samples",
        "report.html", "data.json", "digests.npz",
    }  # fmt: skip
    settings = from_config(config(data, **LONG))
    assert json.loads((workdir / "config.json").read_text()) == to_json(settings)
    versions = json.loads((workdir / "versions.json").read_text())
    assert {"jax", "flax", "numpy"} <= versions["packages"].keys()
    assert steps_saved(workdir) == [240, 480, 720]
    grids = sorted(p.name for p in (workdir / "samples").iterdir())
    assert grids == ["00000000.png", "00000240.png", "00000480.png", "00000720.png"]
    sizes = {images.read(workdir / "samples" / name).shape[1::-1] for name in grids}
    assert len(sizes) == 1
    # What is trained, a line every 120 steps, the paths of the results.
    assert re.match(r"config official, 720 steps, with .*\bdata\.batch_size=4\b", err)
    page = workdir / "report.html"
    assert f"Done. The run is in {workdir}, its page is {page}" in out
    assert page.read_text().count("data:image/webp") == 4
    printed = re.findall(r"^step +(\d+)/720  gen_loss \d.*images/s", err, re.MULTILINE)
    # More come by the clock.
    due = [step for step in printed if int(step) % 120 == 0]
    assert due == ["120", "240", "360", "480", "600", "720"]
    assert "Traceback" not in err
    # The forecast is what it takes at the most, small files included.
    assert 0.5 < files.folder_size(workdir) / sum(forecast.disk(settings).values()) < 1


def test_numbers_carry_the_domains_names(undisturbed):
    written = lines(undisturbed[0] / "metrics.jsonl")
    assert [line["step"] for line in written] == list(range(10, 721, 10))
    about = {"step", "time", "learning_rate", "d_learning_rate", "steps_per_second"}
    about |= {"data_wait_fraction"}
    for line in written:
        assert line.keys() == LOSSES | about | (HELD_OUT if line["step"] % 240 == 0 else set())
        assert all(math.isfinite(value) for value in line.values())
        assert 0 <= line["data_wait_fraction"] <= 1
        assert line["disc_loss"] == pytest.approx(line["disc_bags_loss"] + line["disc_shoes_loss"])


@pytest.mark.long
def test_signals_save_and_the_same_command_goes_on(data, cache, undisturbed, tmp_path):
    """Four processes, two feeds and three signals make the run that one process makes."""
    workdir, numbers = tmp_path / "run", tmp_path / "run" / "metrics.jsonl"
    stops = []
    for number, feed, after in (
        (signal.SIGTERM, "device", 20),
        (signal.SIGINT, "tf", 260),
        (signal.SIGHUP, "device", 420),
    ):
        arguments = runs_here.command(data, workdir, **LONG, data__feed=feed)
        process = runs_here.start(arguments, cache)
        runs_here.wait_for_line(numbers, after, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 128 + number, err
        stops.append(max(steps_saved(workdir)))
        assert f"{number.name}: saved step {stops[-1]} of 720 in {workdir}" in err
        assert "Traceback" not in err
        assert after <= stops[-1] < 720
        assert [p for p in workdir.rglob("*") if "tmp" in p.name] == []
    arguments = runs_here.command(data, workdir, **LONG, data__feed="tf")
    code, _, err = runs_here.run(arguments, cache)
    assert code == 0, err
    assert f"resuming {workdir} at step {stops[-1]}" in err

    made = config(data, **LONG)
    assert_same(saved(workdir, made), saved(undisturbed[0], made))
    written, expected = lines(numbers), lines(undisturbed[0] / "metrics.jsonl")
    assert [line["step"] for line in written] == [line["step"] for line in expected]
    for one, other in zip(written, expected, strict=True):
        assert {k: one[k] for k in LOSSES} == {k: other[k] for k in LOSSES}
    assert set(steps_saved(workdir)) == {240, 480, 720, *stops}
    assert [p for p in workdir.rglob("*") if "tmp" in p.name] == []
    last = "samples/00000720.png"
    assert (workdir / last).read_bytes() == (undisturbed[0] / last).read_bytes()


def test_each_signal_saves_and_the_same_call_goes_on(data, short, tmp_path):
    class Signalling(Silent):
        def __init__(self, number, step):
            super().__init__()
            self.number, self.step = number, step

        def write_scalars(self, step, scalars):
            if step == self.step:
                os.kill(os.getpid(), self.number)

    made = config(data, **SHORT | {"train__log_every": 1})
    for step, number in ((2, signal.SIGHUP), (3, signal.SIGTERM), (5, signal.SIGINT)):
        writer = Signalling(number, step)
        message = rf"{number.name}: saved step {step} of 6 in .*; the same command goes on"
        with pytest.raises(InterruptedRunError, match=message) as raised:
            train.train_and_evaluate(made, tmp_path, open_writer=lambda *_, w=writer: w)
        assert raised.value.signal == number
        assert writer.closed
    assert_same(train.train_and_evaluate(made, tmp_path), short[1])
    assert steps_saved(tmp_path) == [2, 3, 5, 6]


@pytest.mark.parametrize("feed", FEEDS)
def test_more_steps_continue_a_finished_run(data, short, tmp_path, feed):
    if feed == "tf":
        pytest.importorskip("tensorflow")
    fields = SHORT | {"data__feed": feed, "train__sample_every": 0}
    half = train.train_and_evaluate(config(data, **fields | {"train__steps": 3}), tmp_path)
    assert int(half.step) == 3
    whole = train.train_and_evaluate(config(data, **fields), tmp_path)
    assert_same(whole, short[1])
    assert_same(saved(tmp_path, config(data, **fields)), short[1])
    assert [line["step"] for line in lines(tmp_path / "metrics.jsonl")] == [2, 3, 4, 6]
    assert steps_saved(tmp_path) == [3, 6]
    assert list((tmp_path / "samples").iterdir()) == []
    # And nothing is left to do.
    assert_same(train.train_and_evaluate(config(data, **fields), tmp_path), whole)


def test_results_in_the_place_of_inputs_count_once(data):
    found = mock.Mock(
        argument_size_in_bytes=20, output_size_in_bytes=10, alias_size_in_bytes=8,
        temp_size_in_bytes=5,
    )  # fmt: skip
    compiled = mock.Mock(spec=jax.stages.Compiled, memory_analysis=lambda: found)
    of_step = memory.StepMemory(Setup(from_config(config(data, **SHORT))))
    of_step.check(compiled)
    assert of_step.step == of_step._sharing * (20 + 10 - 8 + 5)


def test_initial_weights_and_either_feed_follow_the_seed(data):
    pytest.importorskip("tensorflow")
    setup = Setup(from_config(config(data, **SHORT)))
    states, batches = {}, {}
    for seed in (0, 1):
        for feed in FEEDS:
            changes = {"seed": seed, "data__feed": feed}
            setup.settings = from_config(config(data, **SHORT | changes))
            batches[seed, feed] = next(setup.batches(0))
        assert_same(*(batches[seed, feed] for feed in FEEDS))
        states[seed] = setup.create_state()
    for d in "ab":
        assert not np.array_equal(batches[0, "tf"][d], batches[1, "tf"][d])
    for side in ("gen", "dis"):
        kernels = (jax.tree.leaves(getattr(states[seed], side).params) for seed in (0, 1))
        for zero, one in zip(*kernels, strict=True):
            assert zero.ndim == 1 or not np.array_equal(zero, one)


def test_a_run_from_before_statistics_were_averaged_opens_and_goes_on(data, short, tmp_path):
    state, folder = short[1], tmp_path / "checkpoints" / "6"
    shutil.copytree(short[0], tmp_path, dirs_exist_ok=True)
    shutil.rmtree(folder)
    earlier = {name: x for name, x in vars(state).items() if name != "ema_stats"}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "default", earlier)
    manifest.seal(folder, tree_of(earlier))
    running = state.replace(ema_stats=state.gen.batch_stats)
    assert_same(runs.open(tmp_path).state, running)
    more = train.train_and_evaluate(config(data, **SHORT | {"train__steps": 7}), tmp_path)
    assert int(more.step) == 7
    # Without averages there is nothing to begin with.
    plain = {**earlier, "ema": None}
    shutil.rmtree(folder)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "default", plain)
    shapes = jax.eval_shape(lambda: state.replace(ema=None, ema_stats=None))
    manifest.seal(folder, tree_of(plain))
    where = sharding.replicated(sharding.data_mesh())
    _, read = reading.read(folder.parent, shapes, where, 6)
    assert_same(read, state.replace(ema=None, ema_stats=None))


def test_random_cuts_of_larger_images_are_resumed_by_either_feed(tmp_path):
    pytest.importorskip("tensorflow")
    rng, places = np.random.default_rng(0), {}
    for d in "ab":
        (tmp_path / d).mkdir()
        for i in range(12):
            images.save(tmp_path / d / f"{i:02}.png", rng.integers(0, 256, (40, 40, 3), np.uint8))
        places[f"data__source_{d}"] = f"folder:{tmp_path / d}"
    fields = SHORT | places | {"data__jitter": 0.25, "train__sample_every": 0}
    made = config(tmp_path, **fields)
    whole = train.train_and_evaluate(made, tmp_path / "whole")
    half = config(tmp_path, **fields | {"train__steps": 3, "data__feed": "tf"})
    train.train_and_evaluate(half, tmp_path / "resumed")
    assert_same(train.train_and_evaluate(made, tmp_path / "resumed"), whole)
    # The images that are trained on are larger than those that are evaluated, and counted so.
    setup = Setup(from_config(made))
    assert setup.train_images["a"].shape[1:] == (20, 20, 3)
    assert {x.shape[1:] for x in setup.held_out.values()} == {(16, 16, 3)}
    assert setup.order.margin == (4, 4)


def test_a_jitter_that_cannot_be_had_is_refused(data, tmp_path):
    with pytest.raises(InputError, match=r"data.jitter is 0.01, not a pixel of 16: use 0, or"):
        Setup(from_config(config(data, data__jitter=0.01)))
    with pytest.raises(InputError, match=r"data.jitter is 0.25, which needs .* of 20, too: .*npy"):
        Setup(from_config(config(data, data__jitter=0.25)))


@pytest.mark.parametrize("feed", FEEDS)
def test_first_step_finds_its_program_compiled_beside_the_samples(
    data, tmp_path, monkeypatch, caplog, feed
):
    if feed == "tf":
        pytest.importorskip("tensorflow")
    traced, loss = [], steps.generator_loss

    def noting(*args, **kw):
        ours = Path(train.__file__).parents[1]
        stack = traceback.extract_stack()
        traced.append([f.name for f in stack if ours in Path(f.filename).parents])
        return loss(*args, **kw)

    monkeypatch.setattr(steps, "generator_loss", noting)
    jax.clear_caches()
    jax.config.update("jax_log_compiles", True)  # the context manager does not reach other threads
    try:
        train.train_and_evaluate(config(data, **SHORT | {"data__feed": feed}), tmp_path)
    finally:
        jax.config.update("jax_log_compiles", False)
    done = "Finished XLA compilation of jit(train_step) "
    [compiled] = [r for r in caplog.records if r.getMessage().startswith(done)]
    assert compiled.threadName != threading.main_thread().name
    # The loop is close to the loss.
    assert traced[0] == ["train_and_evaluate", "lower_step", "train_step", "g_step"]


def test_what_follows_the_last_checkpoint_of_a_killed_run_is_done_again(data, short, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(short[0], workdir)
    shutil.rmtree(workdir / "checkpoints" / "6")
    (workdir / "checkpoints" / "6.orbax-checkpoint-tmp-1").mkdir()  # an interrupted save
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "gen_lo')
    state = train.train_and_evaluate(config(data, **SHORT), workdir)
    assert_same(state, short[1])
    assert [line["step"] for line in lines(workdir / "metrics.jsonl")] == [2, 4, 6]
    assert steps_saved(workdir) == [3, 6]


def test_another_config_is_refused(data, cache, undisturbed):
    workdir = undisturbed[0]
    before = (workdir / "config.json").read_bytes()
    other = LONG | {"optim__learning_rate": 0.5, "loss__identity": 0.25, "train__steps": 900}
    code, _, err = runs_here.run(runs_here.command(data, workdir, **other), cache)
    assert code == 2
    assert f"{workdir} holds the run of another config" in err
    assert "  loss.identity: 0.0 there, 0.25 now\n" in err
    assert "  optim.learning_rate: 0.0002 there, 0.5 now\n" in err
    assert "train.steps" not in err
    assert "Traceback" not in err
    assert (workdir / "config.json").read_bytes() == before


def test_damaged_config_file_is_named(data, tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        train.train_and_evaluate(config(data, **SHORT), tmp_path)


def test_divergence_ends_with_code_1(data, cache, tmp_path):
    fields = SHORT | {"optim__learning_rate": 1e30, "train__sample_every": 0}
    fields |= {"optim__ema_decay": 0.0, "train__log_every": 1}
    code, _, err = runs_here.run(runs_here.command(data, tmp_path / "run", **fields), cache)
    assert code == 1, err
    assert "step 1: " in err
    assert "gen_loss is nan" in err
    assert f"in {tmp_path / 'run'} there is no checkpoint yet" in err
    assert "optim.learning_rate" in err
    assert "Traceback" not in err
    assert steps_saved(tmp_path / "run") == []


def spoil(monkeypatch, at, change):
    """Alters the result of one step."""
    step_before = steps.train_step_jit

    def spoilt(gan, state, batches):
        state, metrics = step_before(gan, state, batches)
        return change(state, metrics) if int(state.step) == at else (state, metrics)

    spoilt.lower = step_before.lower
    monkeypatch.setattr(steps, "train_step_jit", spoilt)


def nan_loss(state, metrics):
    return state, metrics | {"gen_a_loss": jnp.asarray(jnp.nan)}


def nan_parameter(state, metrics):
    params = jax.tree.map(lambda x: x * jnp.nan, state.dis.params)
    return replace(state, dis=replace(state.dis, params=params)), metrics


def huge_average(state, metrics):
    """Numbers that are finite, and translate to some that are not."""
    return replace(state, ema=jax.tree.map(lambda x: x * jnp.float32(1e30), state.ema)), metrics


@pytest.mark.parametrize(
    ("change", "at", "named"),
    [
        (huge_average, 6, "step 6: translations bags → shoes are not finite"),
        (nan_loss, 5, "step 5: gen_bags_loss is nan"),
        (nan_loss, 6, "step 6: gen_bags_loss is nan"),
        (nan_parameter, 6, "step 6: parameters or statistics are not finite"),
    ],
)
def test_divergence_keeps_the_last_good_checkpoint(
    data, short, tmp_path, monkeypatch, change, at, named
):
    spoil(monkeypatch, at, change)
    with pytest.raises(DivergedError, match=named) as raised:
        train.train_and_evaluate(config(data, **SHORT), tmp_path)
    assert "the last checkpoint is 3" in str(raised.value)
    assert steps_saved(tmp_path) == [3]
    monkeypatch.undo()
    assert_same(train.train_and_evaluate(config(data, **SHORT), tmp_path), short[1])


def test_save_that_fails_in_the_background_ends_the_run_at_the_next_step(
    data, tmp_path, monkeypatch
):
    failed = threading.Event()

    def fail(*_):
        failed.set()
        raise OSError(errno.EIO, "worn out")

    monkeypatch.setattr(manifest, "seal", fail)
    seen = []
    step_before = steps.train_step_jit

    def step(*args):
        seen.append(1)
        if len(seen) == 4:
            assert failed.wait(60)
            time.sleep(0.2)
        return step_before(*args)

    step.lower = step_before.lower
    monkeypatch.setattr(steps, "train_step_jit", step)
    writer = Silent()
    made = config(data, **SHORT | {"train__log_every": 0, "train__steps": 50})
    with pytest.raises(OSError, match="worn out"):
        train.train_and_evaluate(made, tmp_path, open_writer=lambda *_: writer)
    assert len(seen) == 4
    assert writer.closed


def test_the_numbers_of_a_step_are_on_the_disk_before_its_checkpoint():
    recorder = mock.Mock(step=3)
    Recorder._save(recorder, {"x": jnp.zeros(())})
    assert [name for name, *_ in recorder.mock_calls] == ["writer.flush", "checkpoints.save"]


@pytest.mark.parametrize("kind", ["device", "tf"])
def test_the_seed_orders_the_images_of_either_feed(data, kind):
    setup = Setup(from_config(config(data, seed=3, data__feed=kind)))
    for step, batches in zip((5, 6), setup.batches(5), strict=False):
        expected = host_batches(setup.train_images, setup.order, 3, step)
        jax.tree.map(np.testing.assert_array_equal, batches, expected)


def test_save_that_cannot_be_written_ends_the_run(data, tmp_path):
    class Breaking(Silent):
        def write_scalars(self, step, scalars):
            if step == 2:
                shutil.rmtree(tmp_path / "checkpoints")
                (tmp_path / "checkpoints").write_text("in the way")

    made = config(data, **SHORT | {"train__steps": 50})
    with pytest.raises(Exception, match="checkpoints"):
        train.train_and_evaluate(made, tmp_path, open_writer=lambda *_: Breaking())


def test_writer_that_fails_ends_the_run(data, tmp_path, monkeypatch):
    class Full(Silent):
        def write_scalars(self, step, scalars):
            raise OSError("disk full")

    writer = Full()
    with pytest.raises(OSError, match="disk full"):
        train.train_and_evaluate(
            config(data, **SHORT), tmp_path / "own", open_writer=lambda *_: writer
        )
    assert writer.closed

    metric_writers = pytest.importorskip("clu.metric_writers")
    monkeypatch.setattr(metric_writers.SummaryWriter, "write_scalars", Full.write_scalars)
    with pytest.raises(Exception, match="disk full"):
        train.train_and_evaluate(config(data, **SHORT), tmp_path / "clu")


def test_trains_where_tensorflow_and_clu_are_not_installed(data, cache, short, tmp_path):
    arguments = runs_here.command(data, tmp_path / "run", **SHORT)
    code, _, err = runs_here.run(arguments, cache, program=runs_here.bare())
    assert code == 0, err
    assert err.count("clu and tensorflow not installed: no TensorBoard events") == 1
    assert not list((tmp_path / "run").glob("events*"))
    made = config(data, **SHORT)
    assert_same(saved(tmp_path / "run", made), short[1])
    written = lines(tmp_path / "run" / "metrics.jsonl")
    assert [line["step"] for line in written] == [2, 4, 6]


@pytest.mark.parametrize(
    ("fields", "losses", "held_out", "pictures"),
    [
        (
            {"loss__objective": "recongan", "train__precision": "bfloat16", "loss__identity": 0.5},
            {"gen_shoes_loss", "fm_shoes_loss", "const_bags_loss", "identity_shoes_loss"},
            CONST | ONE_WAY,
            3,
        ),
        (
            {"loss__objective": "gan", "optim__schedule": "linear"},
            {"gen_shoes_loss", "fm_shoes_loss"},
            ONE_WAY,
            2,
        ),
        (
            {"model__recipe": "book", "model__literal": True, "loss__feature": 0.0},
            {n for n in LOSSES if n.startswith(("gen_", "const_"))} - {"gen_loss"},
            HELD_OUT,
            6,
        ),
    ],
    ids=["recongan-bfloat16", "gan", "book-literal"],
)
def test_other_objectives_and_recipes_train(
    data, tmp_path, monkeypatch, fields, losses, held_out, pictures
):
    drawn = []
    grid = images.grid
    monkeypatch.setattr(images, "grid", lambda columns: (drawn.append(columns), grid(columns))[1])
    made = config(data, **SHORT | {"train__steps": 2, "train__sample_every": 2} | fields)
    state = train.train_and_evaluate(made, tmp_path)
    assert_same(saved(tmp_path, made), state)
    assert {x.dtype for x in jax.tree.leaves((state.gen.params, state.gen.batch_stats))} == {
        np.dtype(np.float32)
    }
    [line] = lines(tmp_path / "metrics.jsonl")
    judged = {f"disc_{d}_loss" for d in ("bags", "shoes") if f"gen_{d}_loss" in losses}
    about = {"step", "time", "learning_rate", "d_learning_rate", "steps_per_second"}
    about |= {"data_wait_fraction"}
    about |= {"gen_loss", "disc_loss"}
    assert line.keys() == losses | judged | about | held_out
    # That of the second of two steps, at whose end it would be 0.
    factor = 0.5 if "optim__schedule" in fields else 1
    assert line["learning_rate"] == pytest.approx(factor * made.optim.learning_rate)
    assert [len(columns) for columns in drawn] == [pictures, pictures]
    assert images.read(tmp_path / "samples" / "00000002.png").ndim == 3

    # What is drawn and measured are the held-out images.
    val = {
        d: np.load(data / name / "val.npy") for d, name in zip("ab", runs_here.DOMAINS, strict=True)
    }
    gan = Setup(from_config(made)).gan
    found = steps.eval_step_jit(gan, state, val)
    paths = gan.cycles or gan.directions
    for i, path in enumerate(paths):
        np.testing.assert_array_equal(drawn[-1][i * pictures // len(paths)][1], val[path[0]])
    for d, name in zip("ab", runs_here.DOMAINS, strict=True):
        if f"val_const_{name}_loss" in line:
            expected = found[f"const_{d}_sum"] / found[f"const_{d}_count"]
            np.testing.assert_allclose(line[f"val_const_{name}_loss"], expected, rtol=1e-4)
    shoes = np.asarray(steps.translate(gan, state, val["a"], "ab"))
    expected = diversity_ratio(shoes, np.float32(val["b"]) / 255)
    np.testing.assert_allclose(line["diversity_shoes"], expected, rtol=1e-4)


def test_a_collapse_is_said_in_the_log_and_in_the_numbers(data, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(steps, "translate", lambda gan, state, x, way: jnp.full(x.shape, 0.5))
    gan = {"loss__objective": "gan", "train__steps": 8, "train__sample_every": 2}
    with caplog.at_level(logging.WARNING, "absl"):
        train.train_and_evaluate(config(data, **gan), tmp_path)
    said = [r.getMessage() for r in caplog.records if "hardly differ" in r.getMessage()]
    assert [message.split(":")[0] for message in said] == ["step 6", "step 8"]  # from the third on
    assert all("translations to shoes" in message for message in said)
    written = lines(tmp_path / "metrics.jsonl")
    alarms = {line["step"]: line["collapse_alarm"] for line in written}
    assert alarms == {2: 0, 4: 0, 6: 1, 8: 1}


def test_a_run_that_does_not_fit_is_refused_with_the_batch_that_does(data, tmp_path, monkeypatch):
    """And that batch may then be trained in the same folder."""
    fields = SHORT | {"train__sample_every": 0}
    setup = Setup(from_config(config(data, **fields)))
    whole = memory.StepMemory(setup)
    whole.check(setup.lower_step().compile())
    assert whole.step > whole.state > 0

    def room(n):
        monkeypatch.setattr(host, "memory", lambda: host.Memory(n, 0, "a limit"))

    room(whole.state - 1)  # known before anything is compiled
    with pytest.raises(InputError, match="does not fit into memory: networks and optimizers take"):
        train.train_and_evaluate(config(data, **fields), tmp_path)
    assert not (tmp_path / "config.json").exists()
    room(whole.step - 1)
    refused = tmp_path / "refused"
    with pytest.raises(InputError, match=r"\(a limit\).* about config\.data\.batch_size=[123] wo"):
        train.train_and_evaluate(config(data, **fields), refused)
    assert [run.state for run in overview.find_runs(tmp_path)] == ["no run"]
    room(whole.step)
    for batch in (4, 2):
        changed = fields | {"data__batch_size": batch, "train__steps": 1}
        train.train_and_evaluate(config(data, **changed), tmp_path / str(batch))
    made = config(data, **fields | {"data__batch_size": 2, "train__steps": 1})
    assert train.train_and_evaluate(made, refused).step == 1


def test_memory_that_ends_during_a_step_is_said_with_numbers(data, tmp_path, monkeypatch):
    def step(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.")

    monkeypatch.setattr(Recorder, "after_step", step)
    with pytest.raises(InputError) as raised:
        train.train_and_evaluate(config(data, **SHORT), tmp_path)
    for part in ("allocating 7 bytes", "a step needs about", "config.data.batch_size=2", "has no"):
        assert part in str(raised.value)
    assert not (tmp_path / "config.json").exists()


def test_a_state_is_gathered_once_a_step(data, tmp_path, monkeypatch):
    """A sharded one is gathered for samples, measures and evaluation together."""
    gathered, whole = [], sharding.gathered
    monkeypatch.setattr(
        sharding, "gathered", lambda tree: (gathered.append(int(tree.step)), whole(tree))[1]
    )
    nothing = {"real": {}, "left_out": {}, "remarks": [], "other_pictures": []}
    none = mock.Mock(spec=evaluate.References, **nothing)
    monkeypatch.setattr(evaluate, "fit_references", lambda *_: none)
    monkeypatch.setattr(evaluate, "measure", lambda *_: [])
    every = {"train__steps": 3, "train__sample_every": 2, "train__evaluate_every": 2}
    train.train_and_evaluate(config(data, **SHORT | every), tmp_path)
    assert gathered == [0, 2, 3]
    second, third = lines(tmp_path / "metrics.jsonl")
    assert CONST | {"diversity_bags"} <= second.keys() & third.keys()
    assert json.loads((tmp_path / "evaluation.json").read_text())["step"] == 3
