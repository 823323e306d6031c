"""A run's metrics: each step once, whatever happened to earlier processes."""

import importlib.util
import json
import threading

import numpy as np
import pytest
from absl import logging

from discogan_jax.errors import causes
from discogan_jax.train import writers


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_can_be_read_at_once(tmp_path, monkeypatch):
    forced = []
    monkeypatch.setattr(writers.os, "fsync", forced.append)
    path = tmp_path / "metrics.jsonl"
    lines = writers.JsonLines(path, 0)
    lines.write_scalars(2, {"gen_loss": np.float32(0.5), "count": 3})
    assert read(path) == [{"step": 2, "gen_loss": 0.5, "count": 3.0}]
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
    assert read(path) == [
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
        writer.write_scalars(step, {"gen_bags_loss": step / 8})
    writer.write_images(4, {"samples": picture})
    writer.write_histograms(4, {"gen/ab/kernel": values})
    writer.close()

    events = EventAccumulator(str(tmp_path), {"tensors": 0})
    events.Reload()

    def tensors(name):
        return [(e.step, tensorflow.make_ndarray(e.tensor_proto)) for e in events.Tensors(name)]

    assert tensors("gen_bags_loss") == [(2, 0.25), (4, 0.5)]
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
