"""Puts faults into copies of the code, one at a time, and runs the tests that should notice.

    make mutants
    python tests/mutants.py --only identity --workers 1

A fault is a mistake that somebody could make: `mutants_list` has them, and beside each the tests
that matter to it. At the end stands a table of the tests that failed first. The exit code is 1 if
fewer than 95% of the faults are noticed, or one is not although no reason is known.
"""

import argparse
import ast
import os
import queue
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mutants_list import FAULTS, Fault

from discogan_jax.evaluation.table import aligned

ROOT = Path(__file__).resolve().parent.parent
LEAST = 0.95
"""Share of the faults that have to be noticed."""

SECONDS = 600
"""After so long a test that hangs has noticed the fault."""

_FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """The first test that failed, or "", and how long that took."""

    noticed_by: str
    seconds: float


class Copy:
    """A copy of the files that Git knows, in which tests run."""

    def __init__(self, folder: Path, programs: Path):
        self.folder, self._programs = folder, programs
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)

    def try_fault(self, fault: Fault) -> Outcome:
        """Runs the tests of a fault with the fault in place."""
        path = self.folder / fault.path
        whole = path.read_text(encoding="utf-8")
        path.write_text(whole.replace(fault.before, fault.after), encoding="utf-8")
        try:
            return self.run(fault.tests)
        finally:
            path.write_text(whole, encoding="utf-8")

    def run(self, tests: tuple[str, ...]) -> Outcome:
        """Runs tests up to the first that fails.

        Raises:
          RuntimeError: there are no such tests.
        """
        # No bytecode: its age in seconds would not tell a fault from the file before it.
        # Equal programs are compiled once: their keys are their texts.
        env = os.environ | {
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(self._programs),
            "JAX_PERSISTENT_COMPILATION_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--basetemp"]
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, f"{self.folder}.tests"]
            + [f"tests/{test}" for test in tests],
            cwd=self.folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it has started
            process.communicate()
            return Outcome(f"no end within {SECONDS} s", time.monotonic() - began)
        took = time.monotonic() - began
        if process.returncode == 0:
            return Outcome("", took)
        failed = _FAILED.search(out)
        if process.returncode not in (1, 2) or failed is None:
            raise RuntimeError(f"{', '.join(tests)}: pytest did not run\n{out}")
        return Outcome(failed[1], took)


def problems(fault: Fault, root: Path = ROOT) -> list[str]:
    """Says what is wrong with an entry of the list: its text or one of its tests is not there."""
    found = []
    text = _read(root / fault.path)
    if (times := text.count(fault.before)) != 1:
        found.append(f"its text is in {fault.path} {times} times, not once")
    if fault.before == fault.after:
        found.append("it changes nothing")
    for test in fault.tests:
        file, *names = test.split("[")[0].split("::")
        body = _tree(root / "tests" / file).body
        for name in names:
            there = {x.name: x for x in body if isinstance(x, ast.ClassDef | ast.FunctionDef)}
            if name not in there:
                found.append(f"there is no test {test}")
                break
            body = there[name].body
    return [f"{fault.name}: {problem}" for problem in found]


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(_read(path))


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
    with tempfile.TemporaryDirectory() as place:
        return _try_all(faults, Path(place), arguments.workers)


def _try_all(faults: list[Fault], place: Path, workers: int) -> int:
    free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    for i in range(workers):
        (place / str(i)).mkdir()
        free.put(Copy(place / str(i), place / "programs"))

    def with_copy(work):
        copy = free.get()
        try:
            return work(copy)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(workers) as pool:
        # Without a fault all tests have to pass; those of a file share what they compile.
        files: dict[str, dict[str, None]] = {}
        for test in (test for fault in faults for test in fault.tests):
            files.setdefault(test.partition("::")[0], {})[test] = None
        asked = [pool.submit(with_copy, lambda c, t=tuple(t): c.run(t)) for t in files.values()]
        if failed := [x.noticed_by for x in (one.result() for one in asked) if x.noticed_by]:
            print(f"These tests fail without any fault: {', '.join(failed)}")
            return 1
        print(f"{len(faults)} faults; their tests pass without them", flush=True)
        outcomes = {
            fault: pool.submit(with_copy, lambda copy, fault=fault: copy.try_fault(fault))
            for fault in faults
        }
        cells = []
        for fault, future in outcomes.items():
            found = future.result()
            cells.append([fault.room, fault.name, _said(fault, found), f"{found.seconds:.0f}"])
            print("  ".join(cells[-1]), flush=True)
    return _judge({fault: future.result() for fault, future in outcomes.items()}, cells)


def _said(fault: Fault, found: Outcome) -> str:
    survived = f"NOBODY ({fault.reason})" if fault.reason else "NOBODY"
    return found.noticed_by or survived


def _judge(outcomes: dict[Fault, Outcome], cells: list[list[str]]) -> int:
    """Prints the tables; returns the exit code."""
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
