"""Puts faults into copies of the code, one at a time, and runs the tests that should notice.

    make mutants
    python tests/mutants.py --only identity --workers 1

A fault is a mistake that somebody could make: `mutants_list` has them, and beside each the tests
that matter to it. At the end stands a table of the tests that failed first. The exit code is 1 if
fewer than 95% of the faults are noticed, or one is not although no reason is known.
"""

import argparse
import gc
import importlib
import itertools
import multiprocessing
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import connection
from pathlib import Path

import pytest
from mutants_list import FAULTS, Fault

ROOT = Path(__file__).resolve().parent.parent
LEAST = 0.95
"""Share of the faults that have to be noticed."""

SECONDS = 600
"""After so long a test that hangs has noticed the fault."""

# Imported once, since that takes longer than most tests: each trial is a fork of this process.
_PRELOADED = """
absl.logging flax.linen jax.numpy ml_collections optax orbax.checkpoint PIL.Image requests
scipy.linalg scipy.stats skimage.metrics tensorflow
"""

_AGES = itertools.count(10**9)
_FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Trial:
    """Tests to run, with a fault in the code or, first, without one."""

    tests: tuple[str, ...]
    fault: Fault | None = None


@dataclass(frozen=True)
class Outcome:
    """The first test that failed, or "", and how long that took."""

    noticed_by: str
    seconds: float


class Copy:
    """A copy of the files that Git knows, in which one trial runs at a time."""

    def __init__(self, folder: Path):
        self._folder, self._log = folder, folder.with_name(f"{folder.name}.log")
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)

    def start(self, trial: Trial) -> None:
        """Puts the fault into the code and starts the tests."""
        if trial.fault:
            path = self._folder / trial.fault.path
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(trial.fault.before, trial.fault.after), encoding="utf-8")
            # Python knows bytecode by the seconds of its source: no two faults have the same.
            os.utime(path, (0, next(_AGES)))
        self._trial, self._began = trial, time.monotonic()
        fork = multiprocessing.get_context("fork")
        self.process = fork.Process(target=self._run, args=(trial.tests,))
        self.process.start()

    def _run(self, tests: tuple[str, ...]) -> None:
        os.setsid()
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(self._folder)
        # The tests and their helpers are those of the copy, also in the processes that they start.
        sys.path[0] = os.environ["PYTHONPATH"] = str(self._folder)
        options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
        options += ["--basetemp", f"{self._folder}.tests"]
        code = pytest.main([*options, *(f"tests/{test}" for test in tests)])
        sys.stdout.flush()
        os._exit(code)

    @property
    def late(self) -> bool:
        """Whether the tests have run for too long."""
        return time.monotonic() - self._began > SECONDS

    def end(self) -> tuple[Trial, Outcome]:
        """Ends the tests, if they have not, and takes the fault out again.

        Raises:
          RuntimeError: there are no such tests.
        """
        seconds, late = time.monotonic() - self._began, self.process.is_alive()
        if late:
            os.killpg(self.process.pid, signal.SIGKILL)  # with the processes that it has started
        self.process.join()
        if self._trial.fault:
            path = self._trial.fault.path
            shutil.copy2(ROOT / path, self._folder / path)
        if late or self.process.exitcode == 0:
            return self._trial, Outcome(f"no end within {SECONDS} s" if late else "", seconds)
        out = self._log.read_text(errors="replace")
        failed = _FAILED.search(out)
        if self.process.exitcode not in (1, 2) or failed is None:
            raise RuntimeError(f"{', '.join(self._trial.tests)}: pytest did not run\n{out}")
        return self._trial, Outcome(failed[1], seconds)


def run(trials: Sequence[Trial], copies: Sequence[Copy]) -> Iterator[tuple[Trial, Outcome]]:
    """Runs trials, one at a time in each copy; yields them as they end."""
    todo, free, busy = [*trials][::-1], [*copies], list[Copy]()
    while todo or busy:
        while todo and free:
            busy.append(free.pop())
            busy[-1].start(todo.pop())
        connection.wait([copy.process.sentinel for copy in busy], timeout=1)
        for copy in [copy for copy in busy if copy.late or not copy.process.is_alive()]:
            busy.remove(copy)
            free.append(copy)
            yield copy.end()


def problems(fault: Fault, root: Path = ROOT) -> list[str]:
    """Says what is wrong with an entry of the list: its text or one of its tests is not there."""
    found = []
    text = _read(root / fault.path)
    if (times := text.count(fault.before)) != 1:
        found.append(f"its text is in {fault.path} {times} times, not once")
    if fault.before == fault.after:
        found.append("it changes nothing")
    for test in fault.tests:
        file, *names = test.partition("[")[0].split("::")
        there = _read(root / "tests" / file)
        if not there or not all(
            re.search(rf"^ *(def|class) {name}\b", there, re.MULTILINE) for name in names
        ):
            found.append(f"there is no test {test}")
    return [f"{fault.name}: {problem}" for problem in found]


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main(words: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="TEXT", default="", help="faults with this in their name")
    parser.add_argument("--workers", type=int, default=2, help="tests at a time; 2 if not given")
    parser.add_argument("--list", type=Path, metavar="FILE", help="Python file with other FAULTS")
    arguments = parser.parse_args(words)
    faults = runpy.run_path(str(arguments.list))["FAULTS"] if arguments.list else FAULTS
    faults = [x for x in faults if arguments.only in x.name or arguments.only == x.room]
    if wrong := [line for fault in faults for line in problems(fault)]:
        print("\n".join(wrong))
        return 1
    # Equal programs are compiled once: a program's key is its text.
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": f"{place}/programs",
            "JAX_PERSISTENT_COMPILATION_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        preload()
        return _try_all(faults, [Copy(Path(place, str(i))) for i in range(arguments.workers)])


def preload() -> None:
    """Imports what the tests import of others."""
    for name in _PRELOADED.split():
        importlib.import_module(name)
    gc.freeze()  # forks share what is there, unless the garbage collector touches it


def _try_all(faults: Sequence[Fault], copies: Sequence[Copy]) -> int:
    # Without a fault all tests have to pass; those of a file share what they compile.
    files: dict[str, dict[str, None]] = {}
    for test in (test for fault in faults for test in fault.tests):
        files.setdefault(test.partition("::")[0], {})[test] = None
    found = run([Trial(tuple(tests)) for tests in files.values()], copies)
    if failed := [outcome.noticed_by for _, outcome in found if outcome.noticed_by]:
        print(f"These tests fail without any fault: {', '.join(failed)}")
        return 1
    print(f"{len(faults)} faults; their tests pass without them", flush=True)
    outcomes = {}
    for trial, outcome in run([Trial(fault.tests, fault) for fault in faults], copies):
        outcomes[trial.fault] = outcome
        print("  ".join(_cells(trial.fault, outcome)), flush=True)
    return _judge({fault: outcomes[fault] for fault in faults})


def _cells(fault: Fault, found: Outcome) -> list[str]:
    survived = f"NOBODY ({fault.reason})" if fault.reason else "NOBODY"
    return [fault.room, fault.name, found.noticed_by or survived, f"{found.seconds:.0f}"]


def _judge(outcomes: dict[Fault, Outcome]) -> int:
    """Prints the tables; returns the exit code."""
    from discogan_jax.evaluation.table import aligned  # last, since trials import it themselves

    cells = [_cells(*pair) for pair in outcomes.items()]
    print("\n" + aligned([["room", "fault", "noticed by", "s"], *cells], right={3}))
    every, noticed = Counter(), Counter()
    for fault, found in outcomes.items():
        every[fault.room] += 1
        noticed[fault.room] += bool(found.noticed_by)
    rooms = [[room, f"{noticed[room]} of {n}"] for room, n in sorted(every.items())]
    print("\n" + aligned([["room", "noticed"], *rooms], right={1}))
    share = noticed.total() / max(1, every.total())
    unknown = [x.name for x, found in outcomes.items() if not found.noticed_by and not x.reason]
    print(f"\n{noticed.total()} of {every.total()} faults are noticed ({share:.1%})")
    if unknown:
        print("not noticed, for no known reason: " + "; ".join(unknown))
    return int(share < LEAST or bool(unknown))


if __name__ == "__main__":
    sys.exit(main())
