"""`discogan runs`: the status of runs from their files, in every state."""

import json
import os
import re
import time

import pytest

from discogan_jax import cli
from discogan_jax.commands import runs
from discogan_jax.configs import official
from discogan_jax.runs import lock, manifest, overview

STEPS = 2000


def write_run(path, *checkpoints, step=None, more=(), evaluation=None):
    """Writes a run directory as training leaves it, but without checkpoints."""
    path.mkdir(parents=True)
    config = official.get_config()
    config.train.steps = STEPS
    (path / "config.json").write_text(config.to_json())
    for saved in checkpoints:
        folder = path / "checkpoints" / str(saved)
        folder.mkdir(parents=True)
        (folder / "state").write_bytes(bytes(100))
        manifest.seal(folder, {})
    numbers = {"gen_loss": 0.5, "disc_loss": 1.25, "steps_per_second": 4.0}
    lines = [{"step": i, **numbers} for i in (10, step or max(checkpoints, default=20))]
    text = "".join(json.dumps(line) + "\n" for line in [*lines, *more])
    (path / "metrics.jsonl").write_text(text)
    if evaluation:
        rows = [{"name": name, "value": value} for name, value in evaluation.items()]
        (path / "evaluation.json").write_text(json.dumps({"step": 1000, "rows": rows}))
    return path


@pytest.fixture
def folder(tmp_path):
    """Writes runs in every state, and folders that are not runs."""
    top = tmp_path / "runs"
    measured = {
        "bags_to_shoes/hue_error": 5.0,
        "shoes_to_bags/hue_error": 7.5,
        "bags_to_shoes/diversity": 0.9,
        "shoes_to_bags/diversity": 0.95,
        "shoes_to_bags/pair_l1": None,
    }
    write_run(top / "done", 1000, STEPS, evaluation=measured)
    write_run(top / "half", 1000, step=1510)
    write_run(top / "lost", 1000, step=1510, more=[{"step": 1512, "diverged": 1.0}])
    write_run(top / "sweep" / "optim.learning_rate=0.0005,optim.b1=0.5,seed=0", STEPS)
    write_run(top / "sweep" / "optim.learning_rate=0.0005,optim.b1=0.5,seed=1", 500)
    write_run(top / "cut", 1000)
    (top / "cut" / "checkpoints" / "1000" / "state").write_bytes(bytes(99))
    write_run(top / "bent", 1000)
    (top / "bent" / "config.json").write_text('{"train": {"ste')
    (top / "notes" / "deep").mkdir(parents=True)
    (top / "notes.txt").write_text("no folder")
    return top


def told(folder):
    return {run.name: run for run in overview.find_runs(folder)}


def test_states(folder):
    with lock.claimed(folder / "live"):
        write_run(folder / "tmp", 500, step=700).rename(folder / "tmp2")
        for item in (folder / "tmp2").iterdir():
            item.rename(folder / "live" / item.name)
        (folder / "tmp2").rmdir()
        found = told(folder)
    sweep = "sweep/optim.learning_rate=0.0005,optim.b1=0.5,seed="
    assert {name: (run.state, run.step) for name, run in found.items()} == {
        "done": ("finished", STEPS),
        "half": ("stopped", 1510),
        "live": ("training", 700),
        "lost": ("diverged", 1512),
        f"{sweep}0": ("finished", STEPS),
        f"{sweep}1": ("stopped", 500),
        "cut": ("damaged", 1000),
        "bent": ("damaged", 1000),
        "notes": ("no run", None),
    }
    assert f"process {os.getpid()}" in found["live"].remarks[0]
    assert "99 bytes, 100 were written" in found["cut"].remarks[0]
    assert "config.json is damaged" in found["bent"].remarks[0]
    assert found["lost"].losses == {"gen_loss": 0.5, "disc_loss": 1.25}
    assert told(folder)["live"].state == "stopped"  # the lock is no longer held


def test_looking_keeps_nobody_from_training(folder, monkeypatch):
    """Training may start at the same moment as a check of whether a run is training."""
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: asking.close())
    with lock.claimed(folder / "done"):
        pass
    asking = (folder / "done" / lock.LOCK_FILE).open()
    assert lock.lock_descriptor(asking.fileno(), blocking=False)
    with lock.claimed(folder / "done"):
        assert lock.holder(folder / "done") == f"process {os.getpid()} on {os.uname().nodename}"
    assert asking.closed


@pytest.mark.parametrize("width", [40, 80, 120, 1000])
def test_the_table_fits(folder, width):
    found = [run for run in overview.find_runs(folder) if run.state != "no run"]
    table = runs.lines(found, width, time.time())[: len(found) + 1]
    assert max(map(len, table)) <= width
    rows = [line.split() for line in table]
    assert rows[0][:3] == ["run", "state", "step"]
    assert [row[1] for row in rows[1:]] == [run.state for run in found]
    assert len({row[0] for row in rows}) == len(rows)  # truncated names stay distinct
    done = dict(zip(rows[0], next(row for row in rows if row[0] == "done"), strict=False))
    assert done["step"] == "2,000/2,000"
    if width >= 80:
        assert (done["steps/s"], done["gen_loss"], done["disc_loss"]) == ("4", "0.5", "1.25")
        assert done["written"] == "0"  # its unit is split off
    if width >= 120:
        row = next(line for line in table if line.startswith("done"))
        assert re.search(r" 0 s  +[\d.]+ KiB$", row)
        assert (done["hue_error"], done["diversity"]) == ("7.5", "0.9")  # the worse direction


def test_the_best_step_is_marked_where_it_is_evaluated(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    run = write_run(tmp_path / "run", 1000, STEPS, evaluation={"bags_to_shoes/hue_error": 5.0})
    config = json.loads((run / "config.json").read_text())
    config["train"] |= {"keep_best": "hue_error", "evaluate_every": 500}
    (run / "config.json").write_text(json.dumps(config))
    values = {1000: 7.0, STEPS: 4.0}
    lines = [{"step": step, "eval/bags_to_shoes/hue_error": x} for step, x in values.items()]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name, marked in ((None, False), (f"evaluation-step-{STEPS}.json", True)):
        if name:
            (run / name).write_text("{}")
        assert cli.main(["runs", str(run)]) == 0
        assert ("2,000 (4), evaluated" in capsys.readouterr().out) == marked


def test_for_programs_and_exit_codes(folder, capsys):
    assert cli.main(["runs", str(folder), "--json"]) == 1  # for a damaged run
    found = {run["name"]: run for run in json.loads(capsys.readouterr().out)}
    assert found["done"]["evaluation"]["bags_to_shoes/hue_error"] == 5.0
    assert "shoes_to_bags/pair_l1" not in found["done"]["evaluation"]
    assert found["done"]["checkpoint"] == STEPS
    files = [path for path in (folder / "done").rglob("*") if path.is_file()]
    assert found["done"]["disk"] == sum(path.stat().st_size for path in files)
    assert cli.main(["runs", str(folder / "half"), str(folder / "done")]) == 0
    assert "no run is in" not in capsys.readouterr().out
    assert cli.main(["runs", str(folder)]) == 1
    assert "no run is in: notes" in capsys.readouterr().out
    for wrong, said in (("nowhere", "is not there"), ("notes.txt", "is no folder")):
        assert cli.main(["runs", str(folder / wrong)]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.json", "[]"),
        ("config.json", '{"train": 3}'),
        ("config.json", '{"train": {"steps": "many"}}'),
        ("config.json", "\x00\xff"),
        ("metrics.jsonl", "\x00\xff\n[1]\n{}\n"),
        ("config.json", '{"train": {"steps": Infinity}}'),
        ("metrics.jsonl", '{"step": 3, "gen_loss": 1' + "0" * 400 + "}"),
        ("metrics.jsonl", '{"step": 3, "gen_loss": 1' + "0" * 5000 + "}"),
        ("metrics.jsonl", '{"step": 3, "gen_loss": NaN, "steps_per_second": "fast"}'),
        ("evaluation.json", "[]"),
        ("evaluation.json", '{"step": 3, "rows": [5]}'),
        ("evaluation.json", '{"step": 3, "rows": [{"name": "a/psnr", "value": "high"}]}'),
        ("checkpoints/2000/manifest.json", '{"files": 5}'),
    ],
)
def test_whatever_a_file_holds(tmp_path, file, text, capsys):
    run = write_run(tmp_path / "run", STEPS)
    (run / file).write_text(text, encoding="latin-1")
    code = cli.main(["runs", str(tmp_path)])
    assert (code == 1) == ("damaged" in capsys.readouterr().out)
    assert cli.main(["runs", str(tmp_path), "--json"]) == code
    json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
