"""Runs all attacks and the long form of all fault tests: `make soak` prints a table.

The exit code is 1 if anything was lost.
"""

import os
import shutil
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import attacks
import conftest  # noqa: F401  (the settings of the tests, first)
import faults
import fuzz
import numpy as np
import runs_here

from discogan_jax import train
from discogan_jax.evaluation.table import aligned
from discogan_jax.host import use_compile_cache

KILLS, TIMES, COPIES = 25, 3, 10
DAMAGED_FILES = 4000
FAULTS_A_RUN = 6


@dataclass
class Row:
    """A kind of fault, how often it was tried, and what went wrong."""

    what: str
    times: int = 0
    lost: list[str] = field(default_factory=list)

    def count(self, tried):
        """Tries the fault; returns whether nothing was lost."""
        self.times += 1
        try:
            tried()
        except BaseException as error:
            traceback.print_exc()
            self.lost.append(str(error).strip().partition("\n")[0] or type(error).__name__)
        return not self.lost


class Soak:
    """All rows, and the folder of their runs."""

    def __init__(self, folder):
        self.folder = folder
        self.data = runs_here.write_arrays(folder / "data")
        self.cache = folder / "xla"
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(self.cache)
        self.rows = {}

    def count(self, what, tried):
        return self.rows.setdefault(what, Row(what)).count(tried)

    def trial(self, name, seed):
        return faults.Trial(self.data, self.cache, self.folder / name, np.random.default_rng(seed))

    def ends_of_processes(self):
        """Interrupts runs several times each, by one fault after the other."""
        undisturbed = self.trial("undisturbed", 0)
        undisturbed.end(undisturbed.start(), 0)
        hits = [("SIGKILL at any moment", faults.sigkill_anywhere)] * KILLS
        hits += [*faults.PROCESS.items()] * TIMES
        hits = [hits[i] for i in np.random.default_rng(0).permutation(len(hits))]
        jobs = [hits[i : i + FAULTS_A_RUN] for i in range(0, len(hits), FAULTS_A_RUN)]

        def run(i):
            trial = self.trial(f"run{i}", i)
            alright = [self.count(name, partial(trial.hit, fault)) for name, fault in jobs[i]]
            self.count("the run ends as if undisturbed", partial(trial.finish, undisturbed.workdir))
            if all(alright):
                shutil.rmtree(trial.workdir)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, range(len(jobs))))
        for i in range(TIMES):
            trial = self.trial(f"disk{i}", i)
            self.count("full disk", partial(_mounted, trial, undisturbed.workdir))

    def damage_and_faults_from_inside(self):
        """Short runs in this process."""
        use_compile_cache()
        made = runs_here.config(self.data, **faults.SHORT)
        base, copy = self.folder / "base", self.folder / "copy"
        train.train_and_evaluate(made, base)
        again = partial(_again, made, copy, base)
        for seed in range(COPIES):
            for name, damage in faults.DAMAGE.items():
                shutil.copytree(base, copy)
                damage(copy / "checkpoints" / "8", np.random.default_rng(seed))
                self.count(f"newest checkpoint: {name}", again)
                shutil.rmtree(copy)
            for name, fault in faults.INJECTED.items():
                rng = np.random.default_rng(seed)
                self.count(name, partial(_after, fault, rng, again, made, copy))
                shutil.rmtree(copy)

    def attacks(self, words):
        """Tries the attacks whose family contains one of the words, each in an empty folder."""
        use_compile_cache()
        for one in attacks.all_attacks():
            chosen = any(word in one.family for word in words)
            for seed in range(one.tries if chosen else 0):
                with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                    rng = np.random.default_rng(seed)
                    self.count(one.family, partial(one.attempt, Path(folder), rng))


def _again(made, workdir, base):
    train.train_and_evaluate(made, workdir)
    faults.assert_same_run(workdir, base, made)


def _after(fault, rng, again, made, workdir):
    fault(made, workdir, rng)
    again()


def _mounted(trial, undisturbed):
    assert faults.full_disk(trial, undisturbed), "not tried: nothing can be mounted here"


def table(rows):
    """Formats rows as text."""
    cells = [("what was tried", "times", "held", "what went wrong")]
    for r in rows:
        different = dict.fromkeys(line[:100] for line in r.lost)
        held = r.times - len(r.lost)
        cells.append((r.what, str(r.times), str(held), "; ".join(different) or "nothing"))
    return aligned(cells)


def main(*words):
    """Tries everything or, given words, the attacks of the families that contain one of them."""
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder))
        soak.attacks(words or [""])
        if not words:
            soak.ends_of_processes()
            soak.damage_and_faults_from_inside()
        rows = [*soak.rows.values()]
    if not words:
        rows += [
            Row(what, times, [what] * wrong) for what, times, wrong in fuzz.soak(DAMAGED_FILES)
        ]
    print(table(rows))
    return int(any(row.lost for row in rows))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
