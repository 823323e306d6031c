"""A run's metrics: each step once, whatever happened to earlier processes."""

import importlib.util
import json
import sys
import threading
import time

import numpy as np
import pytest
from absl import logging

from discogan_jax.config import schema
from discogan_jax.configs import sample
from discogan_jax.errors import InputError, causes
from discogan_jax.train import writers


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_can_be_read_at_once(tmp_path, monkeypatch):
    forced = []
    monkeypatch.setattr(writers.os, "fsync", forced.append)
    path = tmp_path / "metrics.jsonl"
    lines = writers.JsonLines(path, 0)
    lines.write_scalars(2, {"gen_loss": np.float32(0.5), "count": 3})
    [line] = read(path)
    assert abs(line.pop("time") - time.time()) < 60
    assert line == {"step": 2, "gen_loss": 0.5, "count": 3.0}
    lines.write_images(2, {})
    lines.write_histograms(2, {})
    assert forced == []
    lines.flush()
    assert forced == [lines._file.fileno()]  # a power cut takes none of them
    lines.close()
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_resuming_drops_the_lost_future_and_a_torn_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = "".join(json.dumps({"step": step, "x": 1.0}) + "\n" for step in (2, 4, 5, 8))
    path.write_text(whole + '{"step": 10, "x": 0.')
    lines = writers.JsonLines(path, 4)
    lines.write_scalars(6, {"x": 2.0})
    lines.close()
    assert [{"step": x["step"], "x": x["x"]} for x in read(path)] == [
        {"step": 2, "x": 1.0},
        {"step": 4, "x": 1.0},
        {"step": 6, "x": 2.0},
    ]


@pytest.mark.parametrize("torn", ['{"step": 4', "4", "{}", '{"step": "4"}', "\x00\x00"])
def test_what_is_no_line_of_ours_is_dropped(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 2}\n' + torn)
    writers.JsonLines(path, 4).close()
    assert read(path) == [{"step": 2}]


def test_tensorboard_reads_what_was_written(tmp_path):
    pytest.importorskip("clu")
    tensorflow = pytest.importorskip("tensorflow")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = writers.open_writer(tmp_path, 0)
    picture = np.full((1, 6, 5, 3), 7, np.uint8)
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    for step in (2, 4):
        named = {"gen_bags_loss": step / 8, "val_const_bags_loss": 1, "eval/bags/mse": 2}
        writer.write_scalars(step, named)
    writer.write_images(4, {"samples": picture})
    writer.write_histograms(4, {"gen/ab/kernel": values})
    writer.close()

    events = EventAccumulator(str(tmp_path), {"tensors": 0})
    events.Reload()

    def tensors(name):
        return [(e.step, tensorflow.make_ndarray(e.tensor_proto)) for e in events.Tensors(name)]

    assert tensors("train/gen_bags_loss") == [(2, 0.25), (4, 0.5)]
    assert {"val/const_bags_loss", "eval/bags/mse"} < {*events.Tags()["tensors"]}
    [(step, (_, _, png))] = tensors("samples")
    assert step == 4
    np.testing.assert_array_equal(tensorflow.image.decode_png(png).numpy(), picture[0])
    [(step, buckets)] = tensors("gen/ab/kernel")
    assert step == 4
    assert buckets[:, 2].sum() == values.size
    assert (buckets[0, 0], buckets[-1, 1]) == (0, 7)
    assert [line["step"] for line in read(tmp_path / "metrics.jsonl")] == [2, 4]


@pytest.mark.parametrize("missing", ["clu", "tensorflow"])
def test_without_clu_or_tensorflow_there_are_lines_alone(tmp_path, monkeypatch, missing):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == missing else found(name, *a)
    )
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: said.append(text % args))
    writer = writers.open_writer(tmp_path, 0)
    writer.write_scalars(1, {"x": 1})
    writer.write_images(1, {})
    writer.close()
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]
    assert said == [f"{missing} not installed: no TensorBoard events, only metrics.jsonl"]


def test_background_writer_opens_and_writes_in_order_elsewhere():
    pytest.importorskip("clu")
    calls, opened = [], threading.Event()

    class Noting:
        def __getattr__(self, method):
            return lambda *args: calls.append((threading.current_thread().name, method, *args))

    def open_it():
        assert opened.wait(60)
        return Noting()

    writer = writers.InBackground(open_it)
    writer.write_scalars(1, {"x": 1})
    writer.write_images(2, {})
    writer.write_histograms(3, {})
    assert not calls
    opened.set()
    writer.flush()
    assert [call[1] for call in calls] == [
        "write_scalars",
        "write_images",
        "write_histograms",
        "flush",
    ]
    writer.close()
    assert calls[-1][1] == "close"
    assert all(call[0].startswith("writer") for call in calls)


@pytest.mark.parametrize("when", ["open", "write"])
def test_what_fails_on_the_thread_is_raised_by_a_later_call(tmp_path, monkeypatch, when):
    metric_writers = pytest.importorskip("clu.metric_writers")

    def fail(*_):
        raise OSError("disk full")

    name = "__init__" if when == "open" else "write_scalars"
    monkeypatch.setattr(metric_writers.SummaryWriter, name, fail)
    writer = writers.open_writer(tmp_path, 0)
    with pytest.raises(Exception, match="disk full") as raised:  # noqa: PT012
        writer.write_scalars(1, {})
        writer.flush()
    assert any(isinstance(error, OSError) for error in causes(raised.value))
    if when == "open":
        with pytest.raises(Exception, match="disk full"):
            writer.close()
    else:
        writer.close()
    assert not any(t.name.startswith("writer") for t in threading.enumerate())


# As much of W&B as is used; it writes down what it is told.
FAKE = """
import json, pathlib

class Error(Exception): ...
class Run:
    def __init__(self, dir, id, name, resume, settings):
        folder = f"offline-run-20260101_0000{len(said):02}-{id or 'abc12345'}"
        pathlib.Path(dir, "wandb", folder).mkdir(parents=True)
        said.append(["init", id, name, resume])
    def log(self, numbers): said.append(["log", numbers])
    def define_metric(self, *names, **step): said.append(["define", *names, step])
    def finish(self): said.append(["finish"])
    config = type("Config", (), {"update": lambda self, x, **_: said.append(["config", x])})()
said = []
def init(**fields):
    if fields["name"] == "refused":
        raise Error("no API key")
    return Run(**fields)
Image = Histogram = lambda x: list(x.shape)
Settings = lambda **_: None
"""


def test_weights_and_biases_gets_one_run_a_directory(tmp_path, monkeypatch):
    pytest.importorskip("clu")
    (tmp_path / "wandb.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    directory, chosen = tmp_path / "run", ("wandb",)
    directory.mkdir()
    for start in (0, 2):
        writer = writers.open_writer(directory, start, chosen)
        writer.write_scalars(start + 1, {"gen_loss": 0.5})
        writer.write_images(start + 1, {"samples": np.zeros((1, 6, 5, 3), np.uint8)})
        writer.close()
    writers.write_hparams(directory, {"seed": 7}, 3, {"eval/x": 1.0}, chosen)
    again = [["init", "abc12345", "run", "allow"], ["define", "*", {"step_metric": "step"}]]
    begin = [["init", None, "run", "allow"], again[1]]

    def logged(step):
        numbers = {"step": step, "train/gen_loss": 0.5}
        return [["log", numbers], ["log", {"step": step, "samples": [[6, 5, 3]]}], ["finish"]]

    assert sys.modules["wandb"].said == [
        *begin, *logged(1), *again, *logged(3),
        *again, ["config", {"seed": 7}], ["log", {"step": 3, "eval/x": 1.0}], ["finish"],
    ]  # fmt: skip
    assert [line["step"] for line in read(directory / "metrics.jsonl")] == [1, 3]
    assert not [*directory.glob("events*")]
    with pytest.raises(InputError, match=r"\(no API key\): log in .* WANDB_MODE=offline"):
        writers.open_writer(tmp_path / "refused", 0, chosen)


def test_trackers_are_chosen_by_the_config(monkeypatch):
    config = sample.get_config()
    assert schema.from_config(config).train.trackers == ("tensorboard",)
    before = schema.to_json(schema.from_config(config))
    del before["train"]["trackers"]
    assert schema.from_config(before).train.trackers == ("tensorboard",)
    for chosen in ("tensorboard,wandb", ["tensorboard", "wandb"], ("tensorboard", "wandb")):
        before["train"]["trackers"] = chosen
        settings = schema.from_config(before)
        assert settings.train.trackers == ("tensorboard", "wandb")
        assert schema.from_config(schema.to_json(settings)) == settings
    for wrong in ("mlflow", ["tensorboard", 3], 3, None):
        before["train"]["trackers"] = wrong
        with pytest.raises(InputError, match=r"config\.train\.trackers must be"):
            schema.from_config(before)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    writers.check(("tensorboard",))
    with pytest.raises(InputError, match="wandb, which is not installed: pip install wandb"):
        writers.check(("tensorboard", "wandb"))
