"""The best step of a run: what it is, that its checkpoint stays, and how patience ends training."""

import json
import logging
from unittest import mock

import pytest
import runs_here
from runs_here import config, lines, steps_saved

from discogan_jax import cli, runs, train
from discogan_jax.config import measures
from discogan_jax.config.schema import from_config
from discogan_jax.errors import InputError
from discogan_jax.evaluation import evaluate, scores
from discogan_jax.export import open_translator
from discogan_jax.runs import best, checkpoint, manifest, overview, report
from discogan_jax.runs import run as run_directory
from discogan_jax.train import writers

ROUTES = (("bags", "shoes"), ("shoes", "bags"))
FIELDS = {
    "train__steps": 8,
    "train__log_every": 1,
    "train__sample_every": 0,
    "train__evaluate_every": 1,
    "train__checkpoint_every": 4,
    "train__keep": 2,
    "train__keep_every": 0,
    "train__keep_best": "kernel_distance",
}


def write_run(path, values, saved):
    """Writes the numbers of the evaluations of a run, by step, and empty checkpoints."""
    for step in saved:
        folder = path / "checkpoints" / str(step)
        folder.mkdir(parents=True)
        manifest.seal(folder, {})
    written = [
        {"step": step, "gen_loss": 0.5} | {f"eval/{name}": value for name, value in of.items()}
        for step, of in values.items()
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in written))
    return path


AB, BA = "bags_to_shoes", "shoes_to_bags"
VALUES = {
    1: {f"{AB}/kernel_distance": 0.1, f"{BA}/kernel_distance": 0.9, f"{AB}/ssim": 0.5},
    2: {f"{AB}/kernel_distance": 0.3, f"{BA}/kernel_distance": 0.3, f"{AB}/ssim": 0.7},
    3: {},
    4: {f"{AB}/kernel_distance": 0.2},
    5: {f"{AB}/kernel_distance": 0.3, f"{BA}/kernel_distance": 0.2, f"{AB}/ssim": None},
    6: {f"{AB}/kernel_distance": 0.0, f"{BA}/kernel_distance": 0.1, f"{AB}/ssim": 0.6},
}


@pytest.mark.parametrize(
    ("measure", "options", "expected"),
    [
        # Of two directions the worse one, of equal steps the first; undefined ones never win, and
        # step 6 has no checkpoint.
        ("kernel_distance", {}, (2, 0.3, 3)),
        ("kernel_distance", {"saving": 6}, (6, 0.1, 0)),
        ("kernel_distance", {"upto": 1}, (1, 0.9, 0)),
        (f"{AB}/kernel_distance", {}, (1, 0.1, 4)),
        (f"{BA}/kernel_distance", {}, (5, 0.2, 1)),
        ("ssim", {}, (2, 0.7, 3)),  # higher is better
        ("kernel_distance", {"upto": 0}, None),
        ("psnr", {}, None),
        ("diversity", {}, None),
        ("of a later version", {}, None),
        (None, {}, None),
    ],
)
def test_the_best_step_is_found_in_the_files(tmp_path, measure, options, expected):
    run = write_run(tmp_path, VALUES, saved=(1, 2, 3, 4, 5))
    found = best.find(run, measure, **options)
    assert (found and (found.step, found.value, found.ago)) == expected


def test_lines_that_cannot_be_read_are_counted(tmp_path, caplog):
    run = write_run(tmp_path, VALUES, saved=(1, 2, 3, 4, 5))
    assert best.find(run, "kernel_distance").damaged == 0
    for damage in ('{"step": 7, "eval/', "\0\0\0", '{"step": 8, "gen_l'):
        with (run / "metrics.jsonl").open("a") as file:
            file.write(damage + "\n")
    found = best.known(run, "kernel_distance")
    assert (found.step, found.damaged) == (2, 3)
    assert (
        "best step by kernel_distance: 2 (0.3), as far as metrics.jsonl can be read" in caplog.text
    )


def test_labels_of_measures_are_unique():
    labels = [*measures.HEADLINE.values(), *(what for what, _ in measures.MEASURES.values())]
    assert len({*labels}) == len(labels)
    assert measures.HEADLINE.keys() <= measures.MEASURES.keys()


def test_what_is_estimated_below_0_is_no_better_than_0(tmp_path):
    values = {
        step: {f"{AB}/kernel_distance": value, f"{AB}/lightness_correlation": value}
        for step, value in ((1, 0.2), (2, -0.1), (3, -0.9))
    }
    found = best.find(write_run(tmp_path, values, saved=(1, 2, 3)), "kernel_distance")
    assert (found.step, found.value, found.ago) == (2, 0, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train__keep_best": "kernel_distence"}, "did you mean 'kernel_distance'?"),
        ({"train__keep_best": "shoe_to_bags/coverage"}, "'shoes_to_bags/coverage'?"),
        ({"train__keep_best": "judge"}, "there is no measure 'judge'"),
        ({"train__keep_best": "diversity"}, "diversity has no best value, it should be near"),
        ({"train__evaluate_every": 0}, "train.keep_best needs evaluations: train.evaluate_every"),
        ({"train__keep_best": None, "train__patience": 2}, "train.patience needs train.keep_best"),
    ],
)
def test_settings_that_cannot_be(data, changes, said):
    with pytest.raises(InputError) as raised:
        from_config(config(data, **FIELDS | changes))
    assert said in str(raised.value)


def test_measures_that_may_choose_are_measured(data):
    known = {*measures.of_translations(*runs_here.DOMAINS)}
    assert {"psnr", "hue_error", "bags_to_shoes/hue_error", "bags_to_shoes_to_bags/psnr"} <= known
    assert "bags_to_shoes/warmth_correlation" in known
    assert not known & {"density", "neutral_chroma", "border_chroma"}
    assert not known & {"judge", "read_hue_error", "bags_to_shoes/psnr"}


@pytest.fixture
def scripted(monkeypatch):
    """Scripts the kernel distance of the evaluations, in place of measuring it: by step."""
    values = {}

    def measure(run, references):
        if (value := values[run.step]) is None:
            raise InputError("shoes: 1 held-out image")
        other = scores.row(ROUTES[0], "coverage", 0.5)
        return [other, *(scores.row(route, "kernel_distance", value) for route in ROUTES)]

    empty = {"real": {}, "left_out": {}, "remarks": [], "other_pictures": []}
    nothing = mock.Mock(spec=evaluate.References, **empty)
    monkeypatch.setattr(evaluate, "fit_references", lambda *_: nothing)
    monkeypatch.setattr(evaluate, "measure", measure)
    return values


def json_lines(folder, start):
    """Opens the one writer that needs no TensorFlow."""
    return writers.JsonLines(folder / "metrics.jsonl", start)


def trained(made, workdir):
    return train.train_and_evaluate(made, workdir, open_writer=json_lines)


def script(values, *numbers):
    values.clear()
    values.update(enumerate(numbers, 1))


NAN = float("nan")


def test_the_checkpoint_of_the_best_step_stays(data, scripted, tmp_path, capsys):
    made, run = config(data, **FIELDS), tmp_path / "run"
    # Saved when they are found: 1, 2 and 3. The other ones are due.
    script(scripted, 0.5, 0.4, 0.3, 0.6, 0.7, 0.3, NAN, 0.4)
    trained(made, run)
    assert steps_saved(run) == [3, 4, 8]
    opened = runs.open(run, "best")
    assert (opened.step, int(opened.state.step)) == (3, 3)
    assert open_translator(run, "best").step == 3
    runs_here.assert_same(opened.state, runs_here.saved(run, made, 3))

    # Everybody names it.
    (status,) = overview.find_runs(run)
    assert (status.state, status.remarks) == ("finished", [])
    assert status.best == best.Best("kernel_distance", 3, 0.3, 5)
    assert cli.main(["runs", str(run)]) == 0
    table = capsys.readouterr().out
    assert "best step" in table
    assert "3 (0.3)" in table
    page = report.read_run(run, "run")
    assert "best step by kernel_distance: 3 (0.3)" in page["facts"]
    marked = {chart["title"] for chart in page["families"] if chart["about"] == "best step: 3"}
    assert marked == {"bags → shoes: kernel distance", "shoes → bags: kernel distance"}
    cards = []
    for step in ("best", "8"):
        assert cli.main(["card", str(run), "--step", step, "--out", str(tmp_path / step)]) == 0
        cards.append((tmp_path / step / "README.md").read_text())
    said = "of 8 steps, the best of its evaluated steps by `kernel_distance`."
    assert [said in card for card in cards] == [True, False]
    said = "* Its step was chosen by kernel_distance on the held-out images"
    assert [said in card for card in cards] == [True, False]

    # A better one takes its place, and what it was is removed like any other.
    script(scripted, *[1.0] * 8, 0.2, 0.3, 0.4, 0.5, 0.6)
    trained(config(data, **FIELDS | {"train__steps": 13}), run)
    assert steps_saved(run) == [9, 12, 13]


def test_patience_ends_a_run(data, scripted, tmp_path, capsys, caplog):
    fields, run = FIELDS | {"train__patience": 2}, tmp_path / "run"
    said = (
        "ended at step 4 of 8: no better kernel_distance in the last 2 evaluations; the best is "
        "step 2 (0.4)"
    )
    script(scripted, 0.5, 0.4, 0.6, 0.7)
    state = trained(config(data, **fields), run)
    assert int(state.step) == 4
    assert steps_saved(run)[-1] == 4
    assert capsys.readouterr().err.splitlines()[-1] == said
    (status,) = overview.find_runs(run)
    assert (status.state, status.step, status.remarks) == ("finished", 4, [said])

    # The same command does not train on, and says why.
    before = (run / "metrics.jsonl").read_bytes()
    with caplog.at_level(logging.INFO, "absl"):
        runs_here.assert_same(trained(config(data, **fields), run), state)
    assert f"{run} {said}. With a higher train.patience it goes on" in caplog.messages
    assert (run / "metrics.jsonl").read_bytes() == before

    # With more of it, the run goes on, to its last step at most.
    script(scripted, *[1.0] * 4, 0.5, 0.3, 0.4, 0.4)
    state = trained(config(data, **fields | {"train__patience": 4}), run)
    assert int(state.step) == 8
    assert best.find(run, "kernel_distance").step == 6
    assert overview.find_runs(run)[0].remarks == []


def test_killed_between_the_numbers_and_the_checkpoint(data, scripted, tmp_path, monkeypatch):
    """Whatever comes between, the best step is one that is there, and the next start repairs it."""
    made, run = config(data, **FIELDS), tmp_path / "run"
    script(scripted, 0.5, 0.6, 0.7, 0.8, 0.9, 0.2, 0.4, 0.4)
    save = checkpoint.Checkpoints.save

    def killed(checkpoints, step, state):
        if step == 6:
            checkpoints.wait()
            raise SystemExit
        save(checkpoints, step, state)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Checkpoints, "save", killed)
        with pytest.raises(SystemExit):
            trained(made, run)
    assert lines(run / "metrics.jsonl")[-1]["step"] == 6
    assert runs.open(run, "best").step == 1
    trained(made, run)
    assert [line["step"] for line in lines(run / "metrics.jsonl")] == [*range(1, 9)]
    assert runs.open(run, "best").step == 6
    assert steps_saved(run) == [6, 8]


@pytest.mark.parametrize("value", [NAN, None], ids=["undefined", "not evaluated"])
def test_a_best_that_cannot_be_known_is_said_once(data, scripted, tmp_path, caplog, value):
    made, run = config(data, **FIELDS | {"train__patience": 1}), tmp_path / "run"
    script(scripted, *[value] * 8)
    with caplog.at_level(logging.WARNING, "absl"):
        assert int(trained(made, run).step) == 8
    (said,) = (text for text in caplog.messages if "keep_best" in text)
    assert said.startswith("step 1: no evaluation so far has a value of kernel_distance, so that")
    with pytest.raises(InputError, match="no step with a checkpoint has a value of kernel_dist"):
        runs.open(run, "best")


def test_a_run_without_a_best_step(data, tmp_path, capsys):
    run = tmp_path / "run"
    run_directory.begin(run, from_config(config(data)))
    for command in ("translate", "evaluate", "export", "card"):
        more = ["x", "--to=shoes", f"--out={tmp_path / 'out'}"] if command == "translate" else []
        assert cli.main([command, str(run), *more, "--step=best"]) == 2
        assert "its train.keep_best names no measure, such as" in capsys.readouterr().err
    assert cli.main(["evaluate", str(run), "--step=last"]) == 2
    assert "'last' is neither a step nor best" in capsys.readouterr().err
