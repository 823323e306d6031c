"""What `make bench-gpu` runs does run: at tiny sizes, on a CPU, without TensorFlow."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import tables

ROOT = Path(__file__).parent.parent
RUN = {"data.image_size": 16, "data.batch_size": 4, "model.width": 4}
RUN |= {"train.sample_every": 4, "train.log_every": 2}
# What makes each command small; settings that are not here stay as they are in the Makefile.
SMALL = {
    "train_step": "--batch 2 --size 16 --width 4 --budget 0",
    "memory": "--shape 2 16 --width 4",
    "loop": f"--steps 4 --budget 0 --changes '{json.dumps(RUN)}'",
    "batch_sizes": "--shape 2 16 --width 4 --budget 0",
    "layers": "--batch 1 --budget 0",
    "summary": "",
}
# Imported by every Python that is started.
WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder

class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] not in {"tensorflow", "tensorflow_datasets", "clu", "tensorboard"}:
            return super().find_spec(name, path, target)

sys.meta_path = [Bare if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.fixture
def call(tmp_path):
    """Returns a function that runs Python where the benchmarks write their results elsewhere."""
    ignored = shutil.ignore_patterns("results", "__pycache__")
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks", ignore=ignored)
    (tmp_path / "configs").symlink_to(ROOT / "discogan_jax/configs")
    (tmp_path / "first").mkdir()
    (tmp_path / "first/sitecustomize.py").write_text(WITHOUT_TENSORFLOW)
    env = os.environ | {"PYTHONPATH": f"{tmp_path / 'first'}:{tmp_path}:{ROOT}"}

    def run(*arguments):
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (arguments, done.stderr[-4000:])
        return done.stdout

    return run


@pytest.mark.long
def test_the_commands_for_a_gpu_run_and_end_with_a_table(call, tmp_path):
    absent = "import importlib.util as i; print(i.find_spec('tensorflow'), i.find_spec('clu'))"
    assert call("-c", absent) == "None None\n"
    makefile = (ROOT / "Makefile").read_text()
    [recipe] = re.findall(r"^bench-gpu:\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    lines = [shlex.split(line)[1:] for line in recipe.splitlines()]
    kept = 0
    for _, module, *arguments in lines:
        name = module.removeprefix("benchmarks.")
        printed = call("-m", module, *arguments, *shlex.split(SMALL[name]))
        # Nothing that is measured is lost if a later command fails.
        found = len(list((tmp_path / "benchmarks/results").iterdir()))
        assert found == kept + (name != "summary")
        kept = found
    head, _, *rows = printed.splitlines()
    assert head.count("|") == 7
    assert [row.split()[1] for row in rows] == ["best,", "book,", "official,"]
    pytest.importorskip("torch")
    assert all("times as long" in row for row in rows)


def test_the_table_compares_equal_precision():
    def side(median, rate=1.0):
        return {"median": median, "gflops_per_second": rate}

    sides = {
        "jax": side(0.2, 30.0),
        "jax, bfloat16": side(0.1, 60.0),
        "torch published": side(0.01),
        "torch compiled, reduce-overhead": side(0.5),
        "torch compiled, max-autotune": side(0.4),
        "torch compiled, max-autotune, bfloat16": side(0.3),
    }
    report = {
        "settings": {"recipe": "best", "size": 64, "batch": 256},
        "works": {"matrix": {"sides": {"JAX": side(1.0, 100.0)}}, "cycle": {"sides": sides}},
    }
    memory = {"sides": {"batch 256 at 64px": {"device_peak_mib": {"median": 2345.6}}}}
    table = tables.summary({"train_step-best": report, "memory-best": memory, "other": {}})
    assert table.splitlines()[2:] == [
        "| best, 64, 256 | 200 ms | 2.00 times as long | 30% | 5.6 h | 2,346 MiB |",
        "| best, 64, 256, bfloat16 | 100 ms | 3.00 times as long | 60% | 2.8 h | – |",
    ]
