"""Faults, injected into training, and the assertions that must hold after each of them.

Those of `PROCESS` hit the training command in a process of its own, one after the other in one run
directory; those of `DAMAGE` hit the files of a run that has ended; those of `INJECTED` are raised
within the training process. `test_faults.py` has the short form of all, `soak.py` the long one.
"""

import contextlib
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import runs_here

from discogan_jax import steps, train
from discogan_jax.errors import DivergedError, InputError
from discogan_jax.runs import layout, lock, manifest
from discogan_jax.train import writers

QUIET = {"train__print_every": 0, "train__sample_every": 0, "train__keep_every": 0}
# Long enough for a dozen faults, with some checkpoints in between.
EVERY = 8
LONG = QUIET | {"train__steps": 240, "train__log_every": 2, "train__checkpoint_every": EVERY}
LONG |= {"train__keep": 3}
SHORT = QUIET | {"train__steps": 8, "train__log_every": 1, "train__checkpoint_every": 2}

# Python's audit events announce what a process is about to do, whichever library does it.
_AT = """
import os, signal, sys, time
seen = []
def hook(event, args):
    if event == {event!r} and {part!r} in str(args[0]):
        seen.append(1)
        if len(seen) >= {count}:
            {action}
sys.addaudithook(hook)
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def at(event, part, action=KILL, count=1):
    """Returns Python code that runs an action when an audit event occurs."""
    return _AT.format(event=event, part=part, action=action, count=count)


def whole(workdir):
    """Returns the steps of the sealed checkpoints, all of which must be intact."""
    folder = workdir / layout.CHECKPOINTS
    sealed = manifest.sealed_steps(folder)
    assert [c for s in sealed for c in manifest.verify(folder / str(s))] == []
    return sealed


def temporary(workdir):
    return [p for p in workdir.rglob("*") if "tmp" in p.name]


@dataclass
class Trial:
    """A run directory and the command that trains in it."""

    data: Path
    cache: Path
    workdir: Path
    rng: np.random.Generator
    resumed_at: int = 0

    def start(self, first=""):
        arguments = runs_here.command(self.data, self.workdir, **LONG)
        return runs_here.start(arguments, self.cache, program=runs_here.bare(first))

    def let_train(self, process):
        """Waits until a random moment, some steps later."""
        numbers = self.workdir / "metrics.jsonl"
        done = runs_here.lines(numbers)[-1:] if numbers.exists() else []
        further = (done[0]["step"] if done else 0) + int(self.rng.integers(2, 20))
        runs_here.wait_for_line(numbers, min(further, LONG["train__steps"] - EVERY), process)
        time.sleep(self.rng.uniform(0, 0.1))

    def end(self, process, code):
        """Waits for the end and returns standard error, which must have no traceback."""
        _, err = process.communicate(timeout=300)
        assert process.returncode == code, err
        assert "Traceback" not in err
        resumed = re.search(r"^resuming .* at step (\d+)$", err, re.MULTILINE)
        self.resumed_at = int(resumed[1]) if resumed else 0
        return err

    def newest(self):
        """Returns the step from which the run must resume."""
        steps_there = manifest.steps(self.workdir / layout.CHECKPOINTS)
        return max(whole(self.workdir), default=max(steps_there, default=0))

    def hit(self, fault):
        """Injects a fault; it must not lose anything that was saved before."""
        before, kept = self.newest(), len(whole(self.workdir))
        self.resumed_at = 0
        fault(self)
        assert self.resumed_at in (0, before)
        assert self.newest() >= before
        assert len(whole(self.workdir)) >= min(2, kept)
        written = runs_here.lines(self.workdir / "metrics.jsonl") if before else []
        assert [x["step"] for x in written] == sorted({x["step"] for x in written})

    def finish(self, undisturbed):
        """Lets the run finish; it must equal the uninterrupted run."""
        before = self.newest()
        self.end(self.start(), 0)
        assert self.resumed_at == before or before == LONG["train__steps"]
        made = runs_here.config(self.data, **LONG)
        assert_same_run(self.workdir, undisturbed, made)


def assert_same_run(workdir, undisturbed, made):
    """Asserts equal parameters, bit for bit, and the same metrics of each step, except times."""
    runs_here.assert_same(*(runs_here.saved(w, made) for w in (workdir, undisturbed)))
    timed = {"time", "steps_per_second", "data_wait_fraction"}
    written, expected = (
        [
            {k: v for k, v in x.items() if k not in timed}
            for x in runs_here.lines(w / "metrics.jsonl")
        ]
        for w in (workdir, undisturbed)
    )
    assert written == expected
    assert temporary(workdir) == []
    assert len(whole(workdir)) >= 2


def sigkill(trial):
    process = trial.start()
    trial.let_train(process)
    process.kill()
    trial.end(process, -signal.SIGKILL)


def sigkill_anywhere(trial):
    """Kills the process at any moment, including start-up."""
    process = trial.start()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(trial.rng.uniform(0, 12))
    process.kill()
    process.communicate()


def sigterm(trial):
    process = trial.start()
    trial.let_train(process)
    process.terminate()
    err = trial.end(process, 128 + signal.SIGTERM)
    assert f"SIGTERM: saved step {max(whole(trial.workdir))} of" in err
    assert temporary(trial.workdir) == []


def sighup(trial):
    """A terminal that is closed, or a connection that is lost."""
    process = trial.start()
    trial.let_train(process)
    process.send_signal(signal.SIGHUP)
    err = trial.end(process, 128 + signal.SIGHUP)
    assert f"SIGHUP: saved step {max(whole(trial.workdir))} of" in err


def sigterm_in_start_up(trial):
    process = trial.start()
    process.stdout.readline()  # the config: the next phase takes seconds
    time.sleep(trial.rng.uniform(0, 0.5))
    process.terminate()
    err = trial.end(process, 128 + signal.SIGTERM)
    told = err.strip().splitlines()[-1]
    assert re.match(r"Stopped( at once: .*)?\.$|SIGTERM: saved step ", told), err


# Whether the command handles signals, and the training loop does not defer them.
_HANDLED = 'getattr(signal.getsignal(signal.SIGINT), "__name__", "") == "_stop"'

_IN_A_CALLBACK = f"""
import gc, os, signal
def callback(*_):
    if {_HANDLED}:
        gc.callbacks.remove(callback)
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(9):
            pass
gc.callbacks.append(callback)
"""


def sigterm_in_a_callback(trial):
    """Sends SIGTERM during a garbage collector callback, where Python discards exceptions."""
    err = trial.end(trial.start(_IN_A_CALLBACK), 128 + signal.SIGTERM)
    assert "Exception ignored" not in err


def sigterm_in_an_import(trial):
    """Sends SIGTERM during an import; NumPy reports that with a different exception."""
    terminate = "os.kill(os.getpid(), signal.SIGTERM)"
    err = trial.end(trial.start(at("import", "numpy._core.umath", terminate)), 128 + signal.SIGTERM)
    assert err == "Stopped.\n"


def ctrl_c_twice(trial):
    """The second one comes while the first one's save is slow, as that of a large state is."""
    slow = f'if {_HANDLED}: print("slow", flush=True); time.sleep(600)'
    process = trial.start(at("open", ".manifest.json.", slow))
    trial.let_train(process)
    with (
        pytest.raises(InputError, match=f"is in use: process {process.pid} on"),
        lock.claimed(trial.workdir),
    ):
        pass
    process.send_signal(signal.SIGINT)
    while (line := process.stdout.readline()) != "slow\n":
        assert line, process.stderr.read()
    process.send_signal(signal.SIGINT)
    err = trial.end(process, 128 + signal.SIGINT)
    last = max(whole(trial.workdir), default=None)
    told = f"the last checkpoint in {trial.workdir} is {last}"
    if last is None:
        told = f"{trial.workdir} has no checkpoint yet"
    assert err.splitlines()[-1] == f"Stopped at once: {told}; repeat the command to go on."


def killed_at(*where, count=1):
    def fault(trial):
        trial.end(trial.start(at(*where, count=count)), -signal.SIGKILL)

    return fault


def assert_last_line(err, start):
    """Asserts that one line, the last one, tells of the fault, after a few about the training."""
    lines = err.strip().splitlines()
    assert lines[-1].startswith(start), err
    assert sum("takes no more files" in line for line in lines) == 1, err
    assert len(lines) <= 9, err


def file_limit(trial):
    """Makes writes beyond a file size fail: those of the metrics, or of a checkpoint."""
    size = int(trial.rng.integers(12_000, 40_000))
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    before = whole(trial.workdir)
    err = trial.end(trial.start(limit), 2)
    assert_last_line(err, f"{trial.workdir} takes no more files (File too large); ")
    assert whole(trial.workdir) == before
    assert temporary(trial.workdir) == []


PROCESS = {
    "SIGKILL in training": sigkill,
    "SIGTERM in training": sigterm,
    "SIGHUP in training": sighup,
    "SIGTERM in start-up": sigterm_in_start_up,
    "SIGTERM in a callback": sigterm_in_a_callback,
    "SIGTERM in an import": sigterm_in_an_import,
    "Ctrl-C twice, directory in use": ctrl_c_twice,
    "SIGKILL before the commit": killed_at("os.rename", "orbax-checkpoint-tmp", count=2),
    "SIGKILL before the manifest": killed_at("open", ".manifest.json."),
    "SIGKILL in pruning": killed_at("shutil.rmtree", ".tmp"),
    "file-size limit": file_limit,
}


def mounted(*command):
    """Returns whether this process is allowed to mount the file system."""
    return not subprocess.run(command, check=False, capture_output=True).returncode


def full_disk(trial, undisturbed):
    """Fills a small separate file system; returns whether it could be mounted."""
    trial.workdir.mkdir()
    target = str(trial.workdir)
    mount = ["mount", "-t", "tmpfs", "tmpfs", target, "-o"]
    if not mounted(*mount, "size=1200k"):
        return False
    try:
        err = trial.end(trial.start(), 2)
        assert_last_line(err, f"{target} takes no more files (No space left on device); ")
        assert temporary(trial.workdir) == []
        assert trial.newest() > 0
        assert mounted(*mount, "remount,size=64m")
        trial.finish(undisturbed)
    finally:
        subprocess.run(["umount", target], check=True)
    return True


def truncate(newest, rng):
    path = _payload(newest, rng)
    path.write_bytes(path.read_bytes()[: int(rng.integers(path.stat().st_size))])


def remove(newest, rng):
    _payload(newest, rng).unlink()


def flip_bit(newest, rng):
    flip(_payload(newest, rng), rng)


def flip_bit_of_manifest(newest, rng):
    flip(newest / manifest.MANIFEST_FILE, rng)


def empty(newest, rng):
    shutil.rmtree(newest)
    newest.mkdir()


DAMAGE = {
    "truncated file": truncate,
    "missing file": remove,
    "flipped bit": flip_bit,
    "flipped bit in the manifest": flip_bit_of_manifest,
    "empty folder": empty,
}


def _payload(folder, rng):
    files = sorted(p for p in (folder / "default").rglob("*") if p.is_file())
    return files[rng.integers(len(files))]


def flip(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def nan_batch(made, workdir, rng):
    step_before, bad = steps.train_step_jit, int(rng.integers(8))

    def step(gan, state, batches):
        if int(state.step) == bad:
            batches = {d: np.full(x.shape, np.nan, np.float32) for d, x in batches.items()}
        return step_before(gan, state, batches)

    with pytest.MonkeyPatch.context() as patch:
        step.lower = step_before.lower
        patch.setattr(steps, "train_step_jit", step)
        with pytest.raises(DivergedError, match="is nan"):
            train.train_and_evaluate(made, workdir)


def broken_writer(made, workdir, rng):
    bad = int(rng.integers(1, 9))

    class Broken(writers.JsonLines):
        def write_scalars(self, step, scalars):
            if step == bad:
                raise ConnectionError("the dashboard is gone")
            super().write_scalars(step, scalars)

    def open_broken(folder, start):
        return Broken(folder / "metrics.jsonl", start)

    with pytest.raises(ConnectionError, match="the dashboard is gone"):
        train.train_and_evaluate(made, workdir, open_writer=open_broken)


def jumping_clock(made, workdir, rng):
    def jump():
        return float(rng.uniform(-1e9, 1e9))

    train.train_and_evaluate(made, workdir, clock=jump)


INJECTED = {
    "NaN image batch": nan_batch,
    "writer that raises": broken_writer,
    "clock that jumps": jumping_clock,
}
