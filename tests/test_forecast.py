"""How long a run takes and how much disk, said in time and in words that people use."""

import contextlib
import io
import logging
import re
import shlex
import shutil
import signal
from collections import namedtuple
from types import SimpleNamespace

import pytest
import runs_here

from discogan_jax import cli, files, sharding, train, units
from discogan_jax.config import flags
from discogan_jax.config.schema import from_config
from discogan_jax.configs import best, folders
from discogan_jax.errors import InterruptedRunError
from discogan_jax.runs import checkpoint, layout
from discogan_jax.train import forecast
from discogan_jax.train.pace import Pace
from discogan_jax.train.progress import Progress


def test_times_and_sizes_in_words():
    times = {0.2: "0 seconds", 1: "1 second", 40: "40 seconds", 700: "about 12 minutes"}
    times |= {90: "about 1.5 minutes", 5399: "about 90 minutes", 5400: "about 1.5 hours"}
    times |= {75_000: "about 21 hours", 9 * 86400: "about 9 days", 1e8: "about 1,200 days"}
    assert {seconds: units.duration(seconds) for seconds in times} == times
    sizes = {900: "900 bytes", 1.2 * 2**20: "1.2 MiB", 340 << 20: "340 MiB", 2 << 40: "2.0 TiB"}
    assert {count: units.size(count) for count in sizes} == sizes


def test_pace_leaves_compiling_out_and_counts_what_interrupts():
    clock = SimpleNamespace(now=0.0)
    pace = Pace(lambda: clock.now, 1000, {"save": 100, "sample": 0})
    clock.now = 300.0  # compiled
    pace.reached(501)
    assert (pace.left(501), pace.speed) == (None, None)
    for step in range(502, 600):
        clock.now += 2
        pace.reached(step)
    assert pace.left(600) == pytest.approx(400 * 2)
    # The first save compiles something, the next ones are what further ones will take.
    for seconds in (60, 5):
        with pace.interrupted("save"):
            clock.now += seconds
    with pace.interrupted("sample"):
        clock.now += 7
    assert pace.left(600) == pytest.approx(400 * 2 + 4 * 5 + 7)
    # The pace changes: half as fast for a few hundred steps.
    for step in range(600, 1000):
        clock.now += 4
        pace.reached(step)
    assert pace.left(900) == pytest.approx(100 * 4 + 5 + 7, rel=0.05)


def test_metrics_say_how_fast_the_steps_since_the_last_record_were():
    clock = SimpleNamespace(now=0.0)
    pace = Pace(lambda: clock.now, 1000, {})
    clock.now = 300.0  # a first picture of samples
    pace.lap(500)
    with pace.waiting():
        clock.now += 1
    with pace.interrupted():
        clock.now += 100
    clock.now += 1
    assert pace.lap(504) == {"steps_per_second": 2.0, "data_wait_fraction": 0.5}
    clock.now += 4
    assert pace.lap(506) == {"steps_per_second": 0.5, "data_wait_fraction": 0.0}


@pytest.fixture
def slow(monkeypatch):
    """Lets the first step of a run take a minute, further ones 4 seconds of a clock."""
    clock = SimpleNamespace(now=0.0, stop=6)
    made = sharding.train_step_for

    def train_step_for(shardings):
        real = made(shardings)
        left = [60.0] + [4.0] * (clock.stop - 2)

        def step(*args):
            if not left:
                signal.raise_signal(signal.SIGTERM)
            clock.now += left.pop(0) if left else 4.0
            return real(*args)

        step.lower = real.lower
        return step

    monkeypatch.setattr(sharding, "train_step_for", train_step_for)
    return clock


def test_first_losses_and_the_time_come_within_seconds(slow, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(forecast, "_operations", lambda s: None)  # of a backend that counts none
    changes = {"train__steps": 2000, "train__sample_every": 0, "train__log_every": 1000}
    made = runs_here.config(data, **changes)
    with pytest.raises(InterruptedRunError):
        train.train_and_evaluate(made, tmp_path, clock=lambda: slow.now)
    said = capsys.readouterr().err.splitlines()
    # A step that was compiled in the same minute says nothing about the others.
    first, late = [line for line in said if line.startswith("step ")]
    assert re.fullmatch(r"step    1/2000  gen_loss [\d.]+  disc_loss [\d.]+", first)
    where = forecast.machine(sharding.data_mesh())
    # After 20 seconds without a line there is one, of what is finished.
    assert late.startswith("step    5/2000  gen_loss")
    assert said[said.index(first) + 1] == f"2,000 steps take about 2.2 hours on {where}"


def test_the_bar_shows_the_time_left():
    stream = io.StringIO()
    stream.isatty = lambda: True
    with contextlib.closing(Progress(500, 1000, 96, stream)) as progress:
        progress.advance(None)
        progress.report(501, 2.0, {"gen_loss": 0.5})
        progress.advance(700.0)
    shown = stream.getvalue().split("\r")[-1]
    assert (
        "502/1000 [00:00, about 12 minutes left  gen_loss 0.500  2 steps/s  192 images/s]" in shown
    )


FOLDERS = {"data.source_a": "folder:in/my cats", "data.source_b": "folder:in/dogs"}
ARRAYS = {"data.source_a": "arrays:x", "data.source_b": "arrays:y"}


@pytest.mark.parametrize(
    ("changes", "images", "command"),
    [
        (
            FOLDERS | {"domains": ("my cats", "dogs")},
            90,
            "best '--a=in/my cats' --b=in/dogs --config.data.image_size=32",
        ),
        (
            FOLDERS | {"data.image_size": "96x64", "data.range": "0,4095", "data.jitter": 0.5},
            9,
            "best '--a=in/my cats' --b=in/dogs "
            """--config.domains='["a", "b"]' --config.data.image_size=48x32 """
            "--config.data.range=0,4095 --config.data.batch_size=9",
        ),
        (
            ARRAYS | {"data.image_size": 128, "domains": ("bags", "shoes")},
            90,
            "best --config.data.source_a=arrays:x --config.data.source_b=arrays:y "
            "--config.data.image_size=128",
        ),
    ],
)  # fmt: skip
def test_a_shorter_run_is_a_command_that_works(changes, images, command):
    config = folders.get_config()
    config.update_from_flattened_dict(changes)
    s = from_config(config)
    said, other = forecast.shorter(s, images)
    _, program, *words = shlex.split(said)
    parsed = cli.parser([program]).parse_args([program, *words])
    assert from_config(flags.read(parsed)) == other
    assert words == shlex.split(command)
    assert other.domains == s.domains
    assert (other.model.recipe, other.train.steps) == ("best", best.get_config().train.steps)


def test_a_long_run_names_a_shorter_one(data, monkeypatch):
    config = runs_here.config(data, train__steps=100_000)
    setup = train.loop.Setup(from_config(config))
    monkeypatch.setattr(forecast, "_operations", lambda s: 4e9 if s.model.recipe == "best" else 1e9)
    where = forecast.machine(setup.mesh)
    assert forecast.time_of(setup, 3000) == f"100,000 steps take about 50 minutes on {where}"
    rest = forecast.time_of(setup, 3000, 40_000)
    assert rest == f"the remaining 60,000 steps take about 50 minutes on {where}"
    said = forecast.time_of(setup, 75_000)
    assert said.startswith(
        f"100,000 steps take about 21 hours on {where}; about 2.1 hours at 16 px with: "
        "discogan train best --config.data.source_a=arrays:"
    )
    # Not where it would hardly be shorter.
    monkeypatch.setattr(
        forecast, "_operations", lambda s: 99e9 if s.model.recipe == "best" else 1e9
    )
    assert forecast.time_of(setup, 75_000) == f"100,000 steps take about 21 hours on {where}"


def test_operations_are_those_of_the_step():
    config = folders.get_config()
    config.update_from_flattened_dict({"data.image_size": 16, "model.width": 4})
    s = from_config(config)
    config.data.batch_size *= 2
    config.optim.learning_rate *= 2  # needs no other count
    assert forecast.relative(from_config(config), s) == pytest.approx(2, rel=0.1)
    assert forecast.relative(s, s) == 1


@pytest.mark.parametrize(
    ("steps", "every", "keep", "keep_every"),
    [
        (1000, 500, 3, 0),
        (30_000, 1000, 3, 10_000),
        (2500, 250, 3, 250),
        (7, 0, 3, 10),
        (10, 3, 1, 6),
    ],
)
def test_as_many_checkpoints_as_are_kept(steps, every, keep, keep_every):
    made = folders.get_config()
    fields = {"steps": steps, "checkpoint_every": every, "keep": keep, "keep_every": keep_every}
    made.train.update(fields)
    there, most = [], 0
    for step in range(1, steps + 1):
        if step == steps or (every and step % every == 0):
            there.append(step)
            most = max(most, len(there))
            last = there[-max(keep, checkpoint.LEAST_KEPT) :]
            there = [x for x in there if x in last or (keep_every and x % keep_every == 0)]
    assert checkpoint.most_kept(from_config(made).train) == most
    # The best step may be none of these.
    made.train.update(evaluate_every=1, keep_best="kernel_distance")
    assert checkpoint.most_kept(from_config(made).train) == most + 1


def test_too_little_room_is_said_before_training(data, tmp_path, monkeypatch, caplog):
    s = from_config(runs_here.config(data, train__steps=9000))
    needed = forecast.disk(s)["checkpoints"]
    there = tmp_path / layout.CHECKPOINTS / "1"
    there.mkdir(parents=True)
    (there / "state").write_bytes(bytes(1000))
    usage = namedtuple("usage", ("total", "used", "free"))
    for free, warned in ((needed - 1000, False), (needed - 1001, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(2 * free, free, free))
        forecast.warn_of_little_room(s, tmp_path)
        assert any(record.levelno == logging.WARNING for record in caplog.records) == warned
    assert f"{tmp_path}, where {units.size(needed - 1001)} are free" in caplog.text


def test_the_size_of_a_folder_leaves_links_out(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside / "deep", outside):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(5000))
    (inside / "folder").symlink_to(outside)
    (inside / "link").symlink_to(outside / "file")
    assert 5000 <= files.folder_size(inside) < 6000
    assert files.folder_size(tmp_path / "nowhere") == 0
