"""The metadata of the package, and experiments started as files."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import discogan_jax
from discogan_jax import host

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ("bags_shoes", "edges_photos", "folders", "ablation")


def test_the_citation_has_what_the_format_requires():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert all(author.keys() <= {"name"} for author in cited["authors"])
    (paper,) = cited["references"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert paper["url"].endswith("1703.05192")


def test_the_version_stands_in_one_place():
    stated = re.compile(rf"""["'= ]{re.escape(discogan_jax.__version__)}["'\s]*$""", re.MULTILINE)
    files = [ROOT / "pyproject.toml", ROOT / "CITATION.cff", *ROOT.glob("discogan_jax/**/*.py")]
    assert [file.name for file in files if stated.search(file.read_text())] == ["__init__.py"]


def test_tensorflow_is_asked_for_where_there_is_one(monkeypatch):
    """And what is of no use without it; messages name the same version."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = ("tensorflow", "tensorboard", "clu", "importlib_resources")
    major, minor = host.TENSORFLOW_PYTHON
    upto = f"; python_version < '{major}.{minor + 1}'"
    assert {line for line in asked if line.startswith(names)} == {
        line for line in asked if upto in line
    }
    for newer, advice in ((0, ""), (1, f" (in Python {major}.{minor} if there is none for 3.14)")):
        monkeypatch.setattr(sys, "version_info", (major, minor + newer, 0))
        assert host.install("tensorflow") == f"pip install tensorflow{advice}"


@pytest.mark.parametrize(
    ("name", "typed", "code", "said"),
    [
        *((name, ["--help"], 0, "--config.FIELD") for name in EXPERIMENTS),
        ("bags_shoes", ["--config=configs/sample.py", "--config.train.stpes=3"], 2, "train.steps?"),
        ("ablation", [f"--config={ROOT}/configs/gpu.py", "--config.x=3"], 2, "config.x"),
        ("folders", ["--a=x"], 2, "--b=FOLDER missing"),
    ],
)
def test_experiments_start_as_files_and_from_other_folders(name, typed, code, said, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "experiments" / f"{name}.py", *typed],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
