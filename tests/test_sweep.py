"""Sweeps: the meaning of `--sweep`, what is repeated and what is not, and the final table."""

import json
import math
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import runs_here

from discogan_jax.config.schema import to_json
from discogan_jax.configs import ablation as ablation_config
from discogan_jax.configs import official, sample
from discogan_jax.errors import DivergedError, InputError, InterruptedRunError
from discogan_jax.files import write_json
from discogan_jax.runs import layout, manifest
from discogan_jax.train import sweep, variants
from discogan_jax.train.variants import Job, Variant
from experiments import ablation

RATE = "optim.learning_rate"
HUE, PSNR = "bags_to_shoes/hue_error", "bags_to_shoes_to_bags/psnr"
STEPS = 4


@pytest.mark.parametrize(
    ("texts", "changes", "seeds"),
    [
        ([f"{RATE}=1e-4,2e-4"], [{RATE: 1e-4}, {RATE: 2e-4}], None),
        (["seed=0,1"], [{}], [0, 1]),
        (
            ["data.flip=true,false", "seed=3", "loss.rate=none,1"],
            [{"data.flip": f, "loss.rate": r} for f in (True, False) for r in (None, 1.0)],
            [3],
        ),
        (
            ["model.recipe=book", "train.steps=5"],
            [{"model.recipe": "book", "train.steps": 5}],
            None,
        ),
        (["data.archives=none,a/b"], [{"data.archives": None}, {"data.archives": "a/b"}], None),
    ],
)
def test_texts_become_all_combinations_of_typed_values(texts, changes, seeds):
    found, found_seeds = variants.product(texts)
    assert [dict(v.changes) for v in found] == changes
    assert found_seeds == seeds
    for variant, expected in zip(found, changes, strict=True):
        assert [type(x) for x in variant.changes.values()] == [type(x) for x in expected.values()]
        again, _ = variants.product(variant.name.split(", ")) if expected else ([variant], None)
        assert again == [variant]  # `--sweep` accepts the parts of a name


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["optim.learning_rte=1"], "did you mean optim.learning_rate"),
        (["optim=1"], "config.optim is no single value"),
        (["domains=a,b"], "config.domains is no single value"),
        ([RATE], "look like --sweep=optim.learning_rate=1e-4,2e-4"),
        (["=3"], "look like"),
        ([f"{RATE}="], "look like"),
        ([f"{RATE}=1e-4,"], "a value is empty"),
        ([f"{RATE}=1e-4,fast"], "config.optim.learning_rate must be of type float, not 'fast'"),
        ([f"{RATE}=nan"], "must be of type float"),
        (["seed=1.5"], "config.seed must be of type int, not '1.5'"),
        (["data.flip=yes"], "config.data.flip must be one of true, false, not 'yes'"),
        (["model.recipe=cook"], "config.model.recipe must be one of book, official"),
        ([f"{RATE}=1e-4,0.0001"], "a value is given twice"),
        (["seed=1", "seed=2"], "seed has values already"),
    ],
)
def test_mistakes_name_the_text(texts, message):
    with pytest.raises(InputError) as error:
        variants.product(texts)
    assert str(error.value).startswith(f"--sweep={texts[-1]}: ")
    assert message in str(error.value)


def test_what_could_not_be_measured_is_not_trained(tmp_path):
    held_out = runs_here.write_arrays(tmp_path / "data") / "shoes" / "val.npy"
    np.save(held_out, np.load(held_out)[:1])
    config = runs_here.config(tmp_path / "data")
    with pytest.raises(InputError, match=r"a sweep measures its runs.* shoes: 1 held-out image"):
        sweep.run(config, [variants.Variant("one", {})], tmp_path / "sweep", train=pytest.fail)
    assert not (tmp_path / "sweep").exists()


class Fake:
    """A fake training that only writes the files that mark a run as trained and measured."""

    def __init__(self):
        self.trained, self.measured, self.said = [], [], []
        self.ends = {}  # by directory: the error that its training raises
        self.values = {}  # by directory: measures

    def train(self, settings, directory):
        self.trained.append(directory.name)
        (directory / layout.CHECKPOINTS / "2").mkdir(parents=True, exist_ok=True)
        write_json(directory / layout.CONFIG_FILE, to_json(settings))
        if directory.name in self.ends:
            raise self.ends[directory.name]
        (directory / layout.CHECKPOINTS / str(settings.train.steps)).mkdir(exist_ok=True)

    def measure(self, directory):
        self.measured.append(directory.name)
        found = self.values.get(directory.name, {HUE: 9.5, PSNR: math.nan})
        rows = [{"name": k, "value": v if math.isfinite(v) else None} for k, v in found.items()]
        report = {"step": STEPS, "parameters": "raw", "rows": rows}
        write_json(directory / "evaluation.json", report)
        return found

    def run(self, folder, found, seeds=None, **changes):
        for log in (self.trained, self.measured, self.said):
            log.clear()
        config = official.get_config()
        config.update_from_flattened_dict({"train.steps": STEPS} | changes)
        fakes = {"train": self.train, "measure": self.measure, "say": self.said.append}
        return sweep.run(config, found, folder, seeds=seeds, **fakes)


RATES = [Variant(f"{RATE}={r}", {RATE: r}) for r in (0.001, 0.002)]
NAMES = [f"{RATE}={rate},seed={seed}" for seed in (0, 1) for rate in ("0.001", "0.002")]


def test_finished_runs_are_skipped_and_the_others_go_on(tmp_path):
    fake = Fake()
    fake.ends = {NAMES[2]: InterruptedRunError("SIGTERM: saved", signal.SIGTERM)}
    with pytest.raises(InterruptedRunError, match="SIGTERM: saved"):
        fake.run(tmp_path, RATES, [0, 1])
    assert fake.trained == NAMES[:3]
    assert fake.said[1] == f"run 2 of 4: {RATE}=0.002, seed=0"
    first, all_of_it = (tmp_path / "sweep.md").read_text().split("<details>")
    assert "| colour kept (hue_error) | comes back (psnr) | remark |" in first
    assert all_of_it.count("seed 1: not finished yet") == 2

    fake.ends = {}
    first = fake.run(tmp_path, RATES, [0, 1])
    assert fake.trained == fake.measured == NAMES[2:]
    assert fake.said[:2] == [
        f"run {i + 1} of 4: {RATE}=0.00{i + 1}, seed=0: finished before, skipped" for i in (0, 1)
    ]
    assert [o.job.directory.name for o in first] == NAMES
    assert [o.seconds is None for o in first] == [False, False, True, False]
    again = fake.run(tmp_path, RATES, [0, 1])
    assert fake.trained == fake.measured == []
    assert sweep.table(again) == sweep.table(first)
    assert [o.seconds for o in again] == [o.seconds for o in first]

    # More steps, or an evaluation of something else: only what is missing is done.
    (tmp_path / NAMES[0] / "evaluation.json").unlink()
    report = json.loads((tmp_path / NAMES[1] / "evaluation.json").read_text())
    write_json(tmp_path / NAMES[1] / "evaluation.json", report | {"parameters": "averaged"})
    fake.run(tmp_path, RATES, [0, 1])
    assert fake.measured == NAMES[:2]
    (tmp_path / NAMES[0] / "evaluation.json").unlink()
    write_json(tmp_path / NAMES[1] / "evaluation.json", report | {"step": 2})
    fake.run(tmp_path, RATES, [0, 1])
    assert fake.measured == NAMES[:2]
    fake.run(tmp_path, RATES, [0, 1], **{"train.steps": STEPS + 1})
    assert fake.trained == NAMES


def test_no_sweep_takes_rows_from_the_table_of_another(tmp_path):
    fake = Fake()
    fake.run(tmp_path, RATES, [0])
    table = (tmp_path / "sweep.json").read_text()
    for variants_, seeds in ((RATES, [1]), (RATES[:1], [0])):
        with pytest.raises(InputError, match=r"sweep\.json has runs of another sweep \(optim"):
            fake.run(tmp_path, variants_, seeds)
    with pytest.raises(InputError, match="is a run, no folder of several"):
        fake.run(tmp_path / NAMES[0], RATES, [0])
    assert fake.trained == []
    assert (tmp_path / "sweep.json").read_text() == table
    assert len(fake.run(tmp_path, RATES, [0, 1])) == 4  # more of the same go on there
    assert (tmp_path / NAMES[0] / "report.html").exists()


def test_a_run_that_patience_ended_is_finished(tmp_path):
    fake = Fake()

    def train(settings, directory):
        fake.trained.append(directory.name)
        for step in (2, STEPS):
            folder = directory / layout.CHECKPOINTS / str(step)
            folder.mkdir(parents=True, exist_ok=True)
            manifest.seal(folder, {})
        values = {2: 10.0, STEPS: 20.0}
        lines = [{"step": step, f"eval/{HUE}": value} for step, value in values.items()]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (directory / layout.METRICS_FILE).write_text(text)
        write_json(directory / layout.CONFIG_FILE, to_json(settings))

    fake.train = train
    measure = {"train.steps": 9, "train.evaluate_every": 2, "train.keep_best": "hue_error"}
    for patience, again in ((1, []), (2, [RATES[0].name])):
        first = fake.run(
            tmp_path / str(patience), RATES[:1], **measure, **{"train.patience": patience}
        )
        assert [o.measures[HUE] for o in first] == [9.5]
        fake.run(tmp_path / str(patience), RATES[:1], **measure, **{"train.patience": patience})
        assert fake.trained == again


def test_a_diverged_run_is_remarked_and_stays_so(tmp_path):
    fake = Fake()
    diverged = DivergedError("step 3: gen_loss is nan. Stopped without saving that state")
    fake.ends = {NAMES[1]: diverged}
    outcomes = fake.run(tmp_path, RATES, [0, 1])
    assert fake.trained == NAMES
    assert str(diverged) in fake.said
    assert [o.error for o in outcomes] == ["", "diverged at step 3", "", ""]
    assert "seed 0: diverged at step 3" in sweep.table(outcomes)
    fake.ends = {NAMES[1]: InterruptedRunError("SIGINT: saved", signal.SIGINT)}
    with pytest.raises(InterruptedRunError):
        fake.run(tmp_path, RATES, [0, 1])
    records = json.loads((tmp_path / "sweep.json").read_text())["runs"]
    assert [r["why"] for r in records] == ["", "diverged at step 3", "", ""]
    assert records[0]["changes"] == {RATE: 0.001}
    assert records[0]["measures"] == {HUE: 9.5, PSNR: None}
    assert records[0]["directory"] == NAMES[0]


def test_a_run_whose_translations_are_not_finite_does_not_end_the_sweep(tmp_path):
    def measure(directory):
        if directory.name == NAMES[1]:
            raise DivergedError("step 9: translations bags → shoes are not finite")
        write(directory)

    fake = Fake()
    write, fake.measure = fake.measure, measure
    outcomes = fake.run(tmp_path, RATES, [0, 1])
    assert [o.error for o in outcomes] == ["", "diverged at step 9", "", ""]


@pytest.mark.parametrize("text", ["[]", '{"runs": [5]}', '{"runs": [{"directory": []}]}', "{"])
def test_damaged_results_are_made_anew(tmp_path, text):
    fake = Fake()
    # Without runs of the sweep the file is somebody else's.
    (tmp_path / "sweep.json").write_text(text)
    problem = r"sweep\.json is there and was not written by this command, or has changed since"
    with pytest.raises(InputError, match=problem):
        fake.run(tmp_path, RATES)
    (tmp_path / "sweep.json").unlink()
    fake.run(tmp_path, RATES)
    (tmp_path / "sweep.json").write_text(text)
    assert [o.error for o in fake.run(tmp_path, RATES)] == ["", ""]


def test_ctrl_c_while_measuring_ends_the_sweep_with_a_message(tmp_path):
    def pressed(directory):
        raise KeyboardInterrupt

    fake = Fake()
    fake.measure = pressed
    with pytest.raises(InterruptedRunError, match="the same command goes on") as error:
        fake.run(tmp_path, RATES)
    assert error.value.signal == signal.SIGINT


def test_all_is_checked_before_anything_is_trained(tmp_path):
    fake = Fake()
    for found, message in (
        ([*RATES, Variant("bad", {RATE: -1.0})], r"bad: config.optim.learning_rate must be above"),
        ([*RATES, Variant("bad", {"optim.lr": 1.0})], r"bad: there is no field config.optim.lr"),
        ([*RATES, RATES[0]], "two runs of the sweep"),
    ):
        with pytest.raises(InputError, match=message):
            fake.run(tmp_path / "new", found)
        assert fake.trained == []
    assert not (tmp_path / "new").exists()
    fake.run(tmp_path, RATES[1:])
    there = (
        r"another config.*\nA sweep changes none of its runs:\n  loss.identity: 0.0 there, 1.0 now"
    )
    with pytest.raises(InputError, match=there):
        fake.run(tmp_path, RATES, **{"loss.identity": 1.0})
    assert fake.trained == []


def outcome(name, changes, seed, error="", **measures):
    named = {k.replace("__", "/"): v for k, v in measures.items()}
    return sweep.Outcome(Job(name, Variant(name, changes), seed, Path(name), {}), named, error)


def test_seeds_become_one_line():
    outcomes = [
        outcome(f"{RATE}=0.1", {RATE: 0.1}, 0, x__psnr=20.0, x__mse=1.0),
        outcome(f"{RATE}=0.1", {RATE: 0.1}, 1, x__psnr=21.0, x__mse=math.nan),
        outcome(f"{RATE}=0.1", {RATE: 0.1}, 2, x__psnr=25.0, x__mse=1.0),
        outcome(f"{RATE}=0.2", {RATE: 0.2}, 0, x__psnr=30.0, x__mse=2.0),
        outcome(f"{RATE}=0.2", {RATE: 0.2}, 1, "diverged at step 7"),
    ]
    deviation = np.std([20, 21, 25], ddof=1)
    assert sweep.markdown(outcomes).splitlines() == [
        f"| {RATE} | n | x/psnr | x/mse | remark |",
        "|---|---|---|---|---|",
        f"| 0.1 | 3 | 22 ± {deviation:.2g} | – |  |",
        "| 0.2 | 1 | 30 | 2 | seed 1: diverged at step 7 |",
        "",
        "±: standard deviation over seeds",
    ]
    known = [replace(outcomes[1], reasons={"x/mse": "no pixel", "y": "not shown"}), *outcomes[2:]]
    note = "undefined (–): x/mse (no pixel)"
    assert sweep.table(known).splitlines()[-1] == sweep.markdown(known).splitlines()[-1] == note
    assert sweep.table(outcomes[:4], ["x/psnr"]).splitlines() == [
        "                        x",
        f"{RATE}  n  psnr",
        "0.1                  3  22 ± 2.6",
        "0.2                  1  30",
        "±: standard deviation over seeds",
    ]


def test_seeds_are_those_of_the_runs():
    jobs = variants.plan(sample.get_config(), [Variant("x", {RATE: 0.5})], "nowhere", seeds=[3, 4])
    found = [(job.settings.seed, job.settings.optim.learning_rate) for job in jobs]
    assert found == [(3, 0.5), (4, 0.5)]


def test_distances_below_0_and_numbers_of_pictures_are_noted():
    name = "a_to_b/kernel_distance"
    first, second = (
        replace(outcome(str(x), {RATE: x}, None), measures={name: x}, held_out=held_out)
        for x, held_out in ((-0.2, {"a": 30, "b": 40}), (0.5, {"a": 9, "b": 40}))
    )
    one, two = sweep.table([first, replace(second, held_out=first.held_out)]).splitlines()[-3:-1]
    assert one.endswith("  about 0")
    assert two.endswith("  0.5")
    said = "held-out pictures: 30 a, 40 b"
    assert sweep.table([first]).splitlines()[-1] == said
    more = f"{said}; 9 a, 40 b. Distances of sets fall with their numbers: compare equal ones"
    assert sweep.table([first, second]).splitlines()[-1] == more


def test_variants_of_the_ablation_are_what_their_names_say():
    jobs = variants.plan(ablation_config.get_config(), ablation.variants(), "nowhere")
    assert len({str(to_json(job.settings)) for job in jobs}) == len(jobs) == 18
    for job in (job for job in jobs if not job.label.startswith("book")):
        objective, *parts = job.label.split("+")
        s = job.settings
        updates = s.train.steps * (s.train.d_updates + s.train.g_updates)
        curriculum = s.loss.rate_start != s.loss.rate and 0 < s.loss.rate_updates < updates / 2
        found = {"features": s.loss.feature, "curriculum": curriculum, "identity": s.loss.identity}
        assert s.loss.objective == objective
        assert [part for part, there in found.items() if there] == parts


def test_variants_with_names_of_their_own_are_called_so():
    outcomes = [outcome("as published", {}, None, x=1.0), outcome("a|b", {RATE: 1.0}, None, x=2.0)]
    assert sweep.markdown(outcomes).splitlines()[2:] == ["| as published | 1 |", r"| a\|b | 2 |"]


@pytest.mark.long
def test_the_command_trains_measures_and_compares(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    data = runs_here.write_arrays(tmp_path / "data")
    folder, cache = tmp_path / "sweep", tmp_path / "xla"
    arguments = runs_here.command(data, folder, train__print_every=0, train__sample_every=0)
    arguments += ["--sweep", "train.steps=1,2", "--sweep=seed=7"]
    code, out, err = runs_here.run([*arguments, "--dry_run"], cache)
    assert code == 0, err
    assert "run 2 of 2: train.steps=2, seed=7\n" in out
    assert re.search(r"^generator +[\d,]+ parameters", out, re.MULTILINE)
    assert re.search(r"^disk +about [\d.]+ [KM]iB for 2 runs: ", out, re.MULTILINE)
    assert re.search(r"^training 2 runs takes .* on \d+ CPU cores?$", out, re.MULTILINE)
    assert not folder.exists()

    code, out, err = runs_here.run(arguments, cache)
    assert code == 0, err
    assert re.search(r"^train.steps +n +sliced_wasserstein +psnr +diversity$", out, re.MULTILINE)
    names = ["train.steps=1,seed=7", "train.steps=2,seed=7"]
    records = json.loads((folder / "sweep.json").read_text())["runs"]
    assert [r["directory"] for r in records] == names
    for name, record in zip(names, records, strict=True):
        report = json.loads((folder / name / "evaluation.json").read_text())
        assert report["step"] == record["changes"]["train.steps"]
        assert record["measures"] == {row["name"]: row["value"] for row in report["rows"]}
        assert json.loads((folder / name / "config.json").read_text())["seed"] == 7
        events = EventAccumulator(str(folder / name))
        events.Reload()
        start = metadata.parse_session_start_info_plugin_data(
            events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        )
        assert start.hparams["train.steps"].number_value == report["step"]
        assert start.hparams["seed"].number_value == 7
        tags = set(events.Tags()["tensors"])
        assert {f"eval/{k}" for k, v in record["measures"].items() if v is not None} <= tags

    code, again, err = runs_here.run(arguments, cache)
    assert code == 0, err
    assert again.count(": finished before, skipped") == 2
    assert again.endswith(out[out.index("\nbags → shoes\n") :])


def test_mistakes_on_the_command_line_get_one_message(tmp_path):
    arguments = ["--config=configs/sample.py", f"--workdir={tmp_path}", "--sweep=train.stpes=1"]
    code, out, err = runs_here.run(arguments, tmp_path / "xla")
    assert (code, out) == (2, "")
    assert err == (
        "--sweep=train.stpes=1: there is no field config.train.stpes: did you mean train.steps? "
        'See docs/training.md, "Training".\n'
    )
