"""A run goes on with other settings if that is asked for, and its files say from which step on."""

import json
import shutil

import jax
import pytest
import runs_here
from runs_here import assert_same, config, lines, saved, steps_saved

from discogan_jax import cli, files, train
from discogan_jax.config import build, schema
from discogan_jax.config.schema import from_config
from discogan_jax.errors import InputError
from discogan_jax.runs import changes, pictures, run
from discogan_jax.train.setup import Setup

BEFORE = {"train__steps": 3, "train__log_every": 1, "train__checkpoint_every": 1} | {
    "train__sample_every": 0,
    "train__keep_every": 0,
}
AFTER = (
    BEFORE
    | {"train__steps": 5, "data__batch_size": 2, "loss__identity": 0.5}
    | {
        "optim__learning_rate": 1e-3,
        "optim__schedule": "linear",
        "optim__decay_steps": 4,
    }
)
CHANGED = {
    "data.batch_size": [4, 2],
    "loss.identity": [0.0, 0.5],
    "optim.decay_steps": [None, 4],
    "optim.learning_rate": [2e-4, 1e-3],
    "optim.schedule": ["constant", "linear"],
    "train.steps": [3, 5],
}


@pytest.fixture(scope="module")
def begun(data, tmp_path_factory):
    """Trains three steps before anything changes."""
    workdir = tmp_path_factory.mktemp("runs") / "begun"
    train.train_and_evaluate(config(data, **BEFORE), workdir)
    return workdir


def settings(data, **fields):
    return from_config(config(data, **fields))


def in_force(directory):
    return json.loads((directory / "config.json").read_text())["optim"]["learning_rate"]


def test_a_run_goes_on_with_other_settings_if_that_is_asked_for(data, begun, tmp_path):
    directory = shutil.copytree(begun, tmp_path / "run")
    other = config(data, **AFTER)
    with pytest.raises(InputError) as raised:
        train.train_and_evaluate(other, directory)
    for part in ("another config", "--change goes on with", "  data.batch_size: 4 there, 2 now"):
        assert part in str(raised.value)
    state = train.train_and_evaluate(other, directory, change=True)

    # The files tell what happened, and when.
    assert changes.read(directory) == [{"step": 3, "settings": CHANGED}]
    rates = {line["step"]: line["learning_rate"] for line in lines(directory / "metrics.jsonl")}
    # The rate falls over the last four of five steps: at step 4 three of them were finished.
    expected = {1: 2e-4, 2: 2e-4, 3: 2e-4, 4: 1e-3 * 2 / 4, 5: 1e-3 * 1 / 4}
    assert rates == pytest.approx(expected)

    # It follows from them: the state of step 3, then the batches of the new settings from there on.
    setup = Setup(from_config(json.loads((directory / "config.json").read_text())))
    again = saved(directory, config(data, **BEFORE), 3)
    batches = setup.batches(3)
    for _ in range(2):
        again, _ = setup.train_step(
            setup.gan, jax.device_put(again, setup.shardings), next(batches)
        )
    assert_same(again, state)

    # From now on these are its settings, with or without the flag.
    for change in (False, True):
        assert_same(train.train_and_evaluate(other, directory, change=change), state)
    assert len(changes.read(directory)) == 1
    with pytest.raises(InputError, match=r"optim\.learning_rate: 0\.001 there, 0\.0002 now"):
        train.train_and_evaluate(config(data, **BEFORE), directory)
    # A run at the end of its schedule is made longer.
    longer = config(data, **AFTER | {"train__steps": 6})
    with pytest.raises(InputError, match=r"train\.steps: 5 there, 6 now"):
        train.train_and_evaluate(longer, directory)
    assert int(train.train_and_evaluate(longer, directory, change=True).step) == 6
    assert changes.read(directory)[1:] == [{"step": 5, "settings": {"train.steps": [5, 6]}}]


def test_a_change_counts_from_the_checkpoint_that_is_whole(data, begun, tmp_path):
    directory = shutil.copytree(begun, tmp_path / "run")
    (directory / "checkpoints" / "3" / "manifest.json").unlink()
    shutil.rmtree(directory / "checkpoints" / "3" / "default")
    train.train_and_evaluate(config(data, **AFTER), directory, change=True)
    assert changes.read(directory) == [{"step": 2, "settings": CHANGED}]
    assert steps_saved(directory)[-1] == 5


class Killed(BaseException):
    """The process ends at this point."""


def kill_at(monkeypatch, owner, name):
    def killed(*_, **__):
        raise Killed

    monkeypatch.setattr(owner, name, killed)


def test_a_kill_between_record_and_config_loses_nothing(data, tmp_path, monkeypatch):
    old, new = settings(data), settings(data, optim__learning_rate=0.5)
    for directory in (tmp_path / "same", tmp_path / "other"):
        run.begin(directory, old)
        with monkeypatch.context() as patched:
            kill_at(patched, files, "write_json")
            with pytest.raises(Killed):
                run.begin(directory, new, change=True, step=7)
        assert in_force(directory) == 2e-4
    change = {"step": 7, "settings": {"optim.learning_rate": [2e-4, 0.5]}}
    # The same command goes on.
    run.begin(tmp_path / "same", new, change=True, step=7)
    assert changes.read(tmp_path / "same") == [change]
    assert in_force(tmp_path / "same") == 0.5
    # Or the old one, and the change was never in force.
    run.begin(tmp_path / "other", old, step=7)
    assert changes.read(tmp_path / "other") == []


def test_a_kill_while_other_pictures_are_recorded_records_them_once(tmp_path, monkeypatch):
    s = settings(runs_here.write_arrays(tmp_path / "data"))
    directory, loaded = tmp_path / "run", build.images(s)
    run.begin(directory, s, loaded)
    other = {"a": loaded["b"], "b": loaded["a"]}
    with monkeypatch.context() as patched:
        kill_at(patched, pictures.cache, "write_digests")
        with pytest.raises(Killed):
            run.begin(directory, s, other, change=True, step=7)
    run.begin(directory, s, other, change=True, step=7)
    came = {"came": 32, "went": 32}
    (change,) = changes.read(directory)
    assert change["pictures"] == {"bags": came, "shoes": came}
    assert (directory / change["digests"]).is_file()


def test_a_run_that_goes_back_changes_where_it_goes_back_to(data, tmp_path, caplog):
    old, new = settings(data), settings(data, optim__learning_rate=0.5)
    run.begin(tmp_path, old)
    run.begin(tmp_path, new, change=True, step=10)
    run.begin(tmp_path, new, step=12)
    assert [x["step"] for x in changes.read(tmp_path)] == [10]
    # The checkpoints from 5 on are damaged: what was trained with the old rate after it is lost.
    run.begin(tmp_path, new, step=4)
    (change,) = changes.read(tmp_path)
    assert change["step"] == 4
    assert "changed at step 10 does so at step 4 now, to which the run goes back" in caplog.text
    (text,) = changes.describe(change)
    assert text == "from step 4 on: optim.learning_rate 0.5 instead of 0.0002"


def test_what_cannot_change_names_the_way_to_a_new_run(data, tmp_path):
    run.begin(tmp_path, settings(data))
    changed = {"optim__learning_rate": 0.5, "optim__ema_decay": 0.0}
    new, wider = settings(data, **changed), settings(data, **changed, model__width=8)
    fixed = "starts from its weights with another:\n  optim.ema_decay: 0.9 there, 0.0 now"
    wanted = "--change goes on with another:\n  optim.learning_rate: 0.0002 there, 0.5 now\n"
    for change in (False, True):
        with pytest.raises(InputError) as raised:
            run.check_resumable(tmp_path, new, change=change)
        assert f"--init_from={tmp_path} in another --workdir {fixed}" in str(raised.value)
        assert (wanted in str(raised.value)) == (not change)
    # What would be refused next is no advice.
    with pytest.raises(
        InputError, match=r"Only a new run has another:\n  model.width: 4"
    ) as raised:
        run.check_resumable(tmp_path, wider, alone=False)
    assert "--init_from" not in str(raised.value)
    assert "--change" not in str(raised.value)
    with pytest.raises(InputError) as raised:
        run.check_resumable(tmp_path, settings(data, train__init_from="there"))
    start = (
        "It goes on only with the start that it had:\n  train.init_from: None there, 'there' now"
    )
    assert str(raised.value).endswith(f"another --workdir.\n{start}")
    assert schema.differences(new, new) == ({}, {})


@pytest.mark.parametrize(
    "damaged", [{"settings": 3}, {"settings": {"x": 3}}, {"init": 3}, {"pictures": {"a": 1}}, {}]
)
def test_damaged_lines_are_left_out(tmp_path, caplog, damaged):
    good = {"step": 3, "settings": {"optim.learning_rate": [1, 2]}}
    text = "".join(json.dumps(x) + "\n" for x in (good, {"step": 5, **damaged}))
    (tmp_path / "changes.jsonl").write_text(text)
    assert changes.read(tmp_path) == [good]
    assert "changes.jsonl: 1 lines are damaged: ignored" in caplog.text


def test_no_run_is_started_among_runs(data, tmp_path):
    run.begin(tmp_path / "runs" / "sweep" / "one", settings(data))
    (tmp_path / "runs" / "sweep" / "one" / "checkpoints").mkdir()
    for folder in (tmp_path / "runs", tmp_path / "runs" / "sweep"):
        with pytest.raises(InputError, match=r"folder of runs \(.*one is one\), no run itself"):
            run.check_resumable(folder, settings(data))
    run.check_resumable(tmp_path / "runs" / "sweep" / "two", settings(data))


def test_a_sweep_compares_what_never_changed(tmp_path, capsys):
    arguments = ["train", "sample", "--change", "--sweep=seed=0,1", f"--workdir={tmp_path}"]
    assert cli.main(arguments) == 2
    assert "--change goes on with one run" in capsys.readouterr().err


def test_folders_of_other_names_leave_a_run_its_own(data, tmp_path, monkeypatch, capsys):
    found = []
    monkeypatch.setattr(train, "train_and_evaluate", lambda s, *_, **__: found.append(s.domains))
    directory = tmp_path / "run"
    run.begin(directory, settings(data))
    folders = ["train", "folders", f"--a={tmp_path / 'moved'}", f"--b={tmp_path / 'shoes'}"]
    named = "--config.domains=('moved', 'shoes')"
    for more in ([], [named]):
        assert cli.main([*folders, f"--workdir={directory}", *more]) == 0
    assert found == [("bags", "shoes"), ("moved", "shoes")]
    assert f"{directory} keeps the names of its domains: bags and shoes" in capsys.readouterr().out
