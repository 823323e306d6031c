"""One run on several processes, on this machine: two with two devices each, four with one each."""

import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import runs_here
from runs_here import assert_same, config, lines, saved, steps_saved

from discogan_jax import multihost
from discogan_jax.config.schema import from_config
from discogan_jax.errors import InputError
from discogan_jax.runs import best, run

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[3-4]",
    "SLURM_NTASKS": "16",
    "SLURM_PROCID": "9",
    "SLURM_LOCALID": "1",
}
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3"}
KUBERNETES = {"JOB_COMPLETION_INDEX": "2", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
NOTHING = (None, None, None)
FIELDS = {
    "data__batch_size": 8,
    "train__steps": 24,
    "train__log_every": 2,
    "train__print_every": 6,
    "train__sample_every": 12,
    "train__checkpoint_every": 6,
}
# Ours, after an error in Python, or JAX's, which aborts the process without one.
MESSAGES = ("cannot reach the others", "another task died")
BOUND = 3 * multihost.HEARTBEAT_SECONDS


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        (NOTHING, {}, None),
        (NOTHING, SLURM, multihost.ProcessInfo(None, 16, 9, "slurm")),
        (NOTHING, SLURM | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        # `sbatch` and `salloc` without `srun`: no job step, one process.
        (NOTHING, {k: v for k, v in SLURM.items() if "STEP" not in k}, None),
        (
            NOTHING,
            OPEN_MPI | {"OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1"},
            multihost.ProcessInfo(None, 4, 3, "ompi"),
        ),
        (("h:1", None, None), OPEN_MPI, multihost.ProcessInfo("h:1", 4, 3, "deactivate")),
        (NOTHING, KUBERNETES, None),
        (("h:1", 3, None), KUBERNETES, multihost.ProcessInfo("h:1", 3, 2, "deactivate")),
        (("h:1", 2, 0), {}, multihost.ProcessInfo("h:1", 2, 0, "deactivate")),
        (("[::1]:80", 2, 1), SLURM, multihost.ProcessInfo("[::1]:80", 2, 1, "deactivate")),
        (("h:1", 1, 0), {}, None),
    ],
)
def test_a_process_is_identified(flags, environment, expected):
    assert multihost.process_info(*flags, environment) == expected


@pytest.mark.parametrize(
    ("flags", "environment", "named"),
    [
        (("h:1", None, None), {}, "missing: --processes, --process"),
        ((None, 2, 0), {}, "missing: --coordinator"),
        ((None, None, 0), {}, "missing: --coordinator, --processes"),
        (("h:1", None, None), KUBERNETES, "missing: --processes"),
        (("h", 2, 0), {}, "--coordinator=h: it must be HOST:PORT"),
        (("h:99999", 2, 0), {}, "--coordinator=h:99999: it must be HOST:PORT"),
        (("h:1", 2, 2), {}, "--processes=2 --process=2"),
        (("h:1", 0, 0), {}, "--processes=0 --process=0"),
        (NOTHING, OPEN_MPI, "--coordinator=HOST:PORT"),
        (NOTHING, SLURM | {"SLURM_NTASKS": "2(x2)"}, "SLURM_NTASKS='2(x2)', which is no number"),
        (NOTHING, SLURM | {"SLURM_PROCID": ""}, "SLURM_PROCID='', which is no number"),
        (("h:1", None, None), {"OMPI_COMM_WORLD_SIZE": "4"}, "OMPI_COMM_WORLD_RANK=''"),
        (("h:1", 2, None), {"JOB_COMPLETION_INDEX": "one"}, "JOB_COMPLETION_INDEX='one'"),
    ],
)
def test_half_given_flags_are_refused(flags, environment, named):
    with pytest.raises(InputError) as raised:
        multihost.process_info(*flags, environment)
    assert named in str(raised.value)


def test_processes_agree_on_what_one_of_them_has_found(monkeypatch):
    """This is the second of two, whose first has found something."""
    monkeypatch.setattr(multihost.multihost_utils, "process_allgather", lambda x: np.stack([5, x]))
    assert (multihost.all_max(2), multihost.all_max(7)) == (5, 7)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with pytest.raises(InputError, match="process 0 has refused the run"):
        multihost.on_process_0_first(lambda: pytest.fail("it is refused"))


def start(arguments, cache, devices, flags=(), program=None):
    """Starts the experiment with some devices, and without TensorFlow, which saves seconds."""
    env = runs_here.environment(cache)
    env["XLA_FLAGS"] += f" --xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, *(program or runs_here.bare()), *arguments, *flags],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_several(arguments, cache, count, devices, **kw):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    shared = (f"--coordinator=localhost:{port}", f"--processes={count}")
    each = [(*shared, f"--process={i}") for i in range(count)]
    return [start(arguments, cache, devices, flags, **kw) for flags in each]


def start_two(arguments, cache, **kw):
    return start_several(arguments, cache, 2, 2, **kw)


def end(processes, timeout=300):
    """Waits for all processes; returns exit code, standard output and standard error of each."""
    ended = []
    for process in processes:
        out, err = process.communicate(timeout=timeout)
        ended.append((process.returncode, out, err))
    return ended


@pytest.fixture(scope="module")
def of_one(data, cache, tmp_path_factory):
    """Trains a run with one process and four devices."""
    workdir = tmp_path_factory.mktemp("runs") / "one"
    [(code, _, err)] = end([start(runs_here.command(data, workdir, **FIELDS), cache, 4)])
    assert code == 0, err
    return workdir


@pytest.fixture(scope="module")
def of_two(data, cache, tmp_path_factory):
    """Trains the same run with two processes and two devices each."""
    workdir = tmp_path_factory.mktemp("runs") / "two"
    arguments = runs_here.command(data, workdir, **FIELDS, data__feed="tf")
    ended = end(start_two(arguments, cache, program=("-m", "experiments.bags_shoes")))
    assert [code for code, _, _ in ended] == [0, 0], ended
    return workdir, ended


@pytest.mark.long
def test_two_processes_make_the_run_of_one(data, of_one, of_two):
    workdir, ended = of_two
    names = {p.name for p in workdir.iterdir() if "tfevents" not in p.name}
    assert names == {p.name for p in of_one.iterdir()}
    assert len(list(workdir.glob("*tfevents*"))) == 1
    assert steps_saved(workdir) == [6, 12, 18, 24]
    # Only one process prints.
    assert "24 steps" in ended[0][2]
    assert "24 steps" not in ended[1][2]
    assert "Done. The run is in" in ended[0][1]
    assert "gen_loss" in ended[0][2]
    said = [line for line in ended[1][1].splitlines() if not line.startswith("[Gloo]")]  # XLA's
    assert said == []
    assert "gen_loss" not in ended[1][2]

    assert_same_run(data, of_one, workdir)


def assert_same_run(data, of_one, workdir):
    one, several = (lines(w / "metrics.jsonl") for w in (of_one, workdir))
    assert [line["step"] for line in several] == list(range(2, 25, 2))
    # Sums over processes are added in a different order: equal except for rounding, which Adam and
    # the adversarial game amplify from step to step.
    for a, b in zip(one[:3], several[:3], strict=True):
        losses = [name for name in a if name.endswith("_loss")]
        assert [b[name] for name in losses] == pytest.approx([a[name] for name in losses], rel=1e-3)
    made = config(data, **FIELDS)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=0.02),
        saved(workdir, made, 6).gen.params,
        saved(of_one, made, 6).gen.params,
    )


@pytest.mark.long
def test_four_processes_make_the_run_of_one(data, cache, of_one, tmp_path):
    arguments = runs_here.command(data, tmp_path / "run", **FIELDS)
    ended = end(start_several(arguments, cache, count=4, devices=1))
    assert [code for code, _, _ in ended] == [0] * 4, ended
    assert ["gen_loss" in err for _, _, err in ended] == [True, False, False, False]
    assert_same_run(data, of_one, tmp_path / "run")


@pytest.fixture(scope="module")
def of_two_split(data, cache, tmp_path_factory):
    """Trains the same run with half of the state in each process."""
    workdir = tmp_path_factory.mktemp("runs") / "split"
    arguments = runs_here.command(data, workdir, **FIELDS, train__shard_state=True)
    ended = end(start_two(arguments, cache))
    assert [code for code, _, _ in ended] == [0, 0], ended
    return workdir, ended


@pytest.mark.long
@pytest.mark.parametrize(("victim", "undisturbed"), [(0, "of_two"), (1, "of_two_split")])
def test_a_killed_process_ends_the_others_and_the_restart_goes_on(
    data, cache, request, tmp_path, victim, undisturbed
):
    whole, _ = request.getfixturevalue(undisturbed)
    workdir = tmp_path / "run"
    numbers = workdir / "metrics.jsonl"
    fields = FIELDS | {"train__shard_state": undisturbed == "of_two_split"}
    arguments = runs_here.command(data, workdir, **fields)
    processes = start_two(arguments, cache)
    runs_here.wait_for_line(numbers, 8, processes[0])
    processes[victim].kill()
    begun = time.monotonic()
    code, _, err = end(processes, timeout=BOUND)[1 - victim]
    assert time.monotonic() - begun < BOUND
    assert code not in (0, None)
    # This process and JAX's own thread may both notice: the thread may abort between the message of
    # this process and its exit.
    counts = [err.count(message) for message in MESSAGES]
    assert max(counts) == 1, err
    assert "Traceback" not in err
    before = steps_saved(workdir)[-1]

    ended = end(start_two(arguments, cache))
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert f"resuming {workdir} at step {before}" in ended[0][2]
    assert [line["step"] for line in lines(numbers)] == list(range(2, 25, 2))
    made = config(data, **FIELDS)
    assert_same(saved(workdir, made), saved(whole, made))
    assert [p for p in workdir.rglob("*") if "tmp" in p.name] == []


@pytest.mark.long
def test_a_signal_to_one_process_stops_all(data, cache, tmp_path):
    workdir = tmp_path / "run"
    processes = start_two(runs_here.command(data, workdir, **FIELDS), cache)
    runs_here.wait_for_line(workdir / "metrics.jsonl", 8, processes[0])
    processes[1].send_signal(signal.SIGTERM)
    ended = end(processes)
    assert [code for code, _, _ in ended] == [128 + signal.SIGTERM] * 2, ended
    assert f"SIGTERM: saved step {steps_saved(workdir)[-1]} of 24" in ended[0][2]
    assert not any(message in ended[0][2] + ended[1][2] for message in MESSAGES)
    assert "Traceback" not in ended[0][2] + ended[1][2]


@pytest.mark.long
def test_two_processes_go_on_with_the_run_of_one(data, cache, of_one, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(of_one, workdir)
    longer = FIELDS | {"train__steps": 26, "train__evaluate_every": 26}
    ended = end(start_two(runs_here.command(data, workdir, **longer), cache))
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert f"resuming {workdir} at step 24" in ended[0][2]
    assert steps_saved(workdir)[-1] == 26
    last = lines(workdir / "metrics.jsonl")[-1]
    assert any(name.startswith("eval/") for name in last)
    assert (workdir / "evaluation.json").exists()


@pytest.mark.long
def test_two_processes_keep_the_best_step_and_end_together(data, cache, of_one, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(of_one, workdir)
    patient = {"train__evaluate_every": 2, "train__keep_best": "domain_test"}
    fields = FIELDS | patient | {"train__steps": 60, "train__patience": 2}
    ended = end(start_two(runs_here.command(data, workdir, **fields), cache))
    assert [code for code, _, _ in ended] == [0, 0], ended
    found = best.find(workdir, "domain_test")
    last = steps_saved(workdir)[-1]
    assert (last < 60, found.ago) == (True, 2)
    assert found.step in steps_saved(workdir)
    said = f"ended at step {last} of 60: no better domain_test in the last 2 evaluations"
    assert [said in err for _, _, err in ended] == [True, False]
    # The same command says so on process 0, and ends on both.
    ended = end(start_two(runs_here.command(data, workdir, **fields), cache))
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert [said in err for _, _, err in ended] == [True, False]
    assert steps_saved(workdir)[-1] == last


@pytest.mark.long
def test_a_run_goes_on_where_the_devices_do_not_divide_the_batch(data, cache, of_one, tmp_path):
    """Of three devices two are used; of two processes with two each, one of each."""
    made, ends = config(data, **FIELDS), {}
    for batch, devices, idle in ((8, 3, "cpu:2"), (6, 2, "")):
        fields = FIELDS | {"data__batch_size": batch, "train__steps": 26}
        for name, number in (("one", 1), ("several", devices)):
            workdir = tmp_path / f"{batch}-{name}"
            if batch == 8:
                shutil.copytree(of_one, workdir)
            else:
                fields["train__steps"] = 3
            arguments = runs_here.command(data, workdir, **fields)
            two = batch == 6 and name == "several"
            ended = end(start_two(arguments, cache) if two else [start(arguments, cache, number)])
            assert {code for code, _, _ in ended} == {0}, ended
            ends[name] = saved(workdir, made)
            assert ("idle" in ended[0][2]) == (name == "several")
            assert idle in ended[0][2] or name == "one"
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=0.02),
            *(ends[name].gen.params for name in ("one", "several")),
        )


def test_a_mistake_is_reported_once_and_ends_all(data, cache, tmp_path):
    """Process 0 alone looks at the directory."""
    run.begin(tmp_path, from_config(config(data, **FIELDS)))
    arguments = runs_here.command(data, tmp_path, **FIELDS | {"optim__learning_rate": 0.5})
    ended = end(start_two(arguments, cache), timeout=BOUND)
    assert ended[0][0] == 2, ended
    assert "holds the run of another config" in ended[0][2]
    assert ended[1][0] not in (0, None)
    assert "Traceback" not in ended[0][2] + ended[1][2]
