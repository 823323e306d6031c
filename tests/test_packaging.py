"""The package and its metadata: built, installed and used outside the source tree."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import discogan_jax
from discogan_jax import host

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ("bags_shoes", "edges_photos", "folders", "ablation")
SOURCES = ("discogan_jax", "experiments", "benchmarks", "docs", "tests")


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


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds a source distribution, and a wheel from it."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "configs").symlink_to("discogan_jax/configs")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy], copy)
    (source,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return source, wheel


@pytest.fixture(scope="module")
def python(built, tmp_path_factory):
    """Returns the Python of a new environment with the wheel, sharing our dependencies."""
    venv = tmp_path_factory.mktemp("venv")
    run([sys.executable, "-m", "venv", "--without-pip", venv], venv)
    made = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", made, "install"]
    run([*pip, "--quiet", "--no-deps", "--no-index", built[1]], venv)
    (site,) = venv.glob("lib/python*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(ours) + "\n")
    return made


def run(command, where, code=0):
    away = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=where,
        env=away,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.long
def test_what_is_packed(built):
    source, wheel = built
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "discogan_jax/configs/default.py",
        "experiments/bags_shoes.py",
        "tests/golden/official.npz",
        "docs/demo.png",
        "constraints.txt",
        "CHANGELOG.md",
        "Makefile",
    } <= names
    strange = ("runs", "data", "configs", ".")  # the configs are there once
    assert not [name for name in names if name.startswith(strange) or ".pyc" in name]
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (path,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        about = archive.read(path).decode()
    assert {
        "discogan_jax/py.typed",
        "discogan_jax/data/pix2pix/archives.toml",
        "discogan_jax/runs/report_page/page.html",
        "discogan_jax/configs/default.py",
        "discogan_jax/export/web_page/page.js",
        "discogan_jax/demo/weights.npz",
        "discogan_jax/demo/samples/00000900.png",
    } <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"discogan_jax"}
    assert f"\nVersion: {discogan_jax.__version__}\n" in about
    assert "\nDescription-Content-Type: text/markdown\n" in about
    assert "\nLicense-Expression: Apache-2.0\n" in about


@pytest.mark.long
def test_an_installed_package_is_whole(python, tmp_path):
    discogan = python.with_name("discogan")
    assert "translate" in run([discogan, "--help"], tmp_path)
    assert run([discogan, "--version"], tmp_path).strip().endswith(discogan_jax.__version__)
    found = run([discogan, "doctor"], tmp_path)
    assert f"ok      discogan_jax {discogan_jax.__version__}" in found
    here = run([python, "-c", "import discogan_jax.models as m; print(m.__file__)"], tmp_path)
    assert Path(here.strip()).is_relative_to(python.parent.parent)
    # Type annotations are visible, so a type error is found.
    (tmp_path / "mine.py").write_text(
        "from discogan_jax.runs.manifest import steps\nfrom pathlib import Path\n"
        "found: list[int] = steps(Path())\nwrong: list[str] = steps(Path())\n"
    )
    mypy = [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache"]
    said = run([*mypy, "--python-executable", python, "mine.py"], tmp_path, code=1)
    assert re.findall(r"^mine\.py:(\d+): error", said, re.MULTILINE) == ["4"], said


@pytest.mark.long
def test_an_installed_package_prepares_and_trains(python, tmp_path):
    """In an empty folder, with a config by its name, by a file's, and with folders of pictures."""
    discogan = python.with_name("discogan")
    said = run([discogan, "train"], tmp_path, code=2)
    assert said.startswith("CONFIG is missing: a config file, or one of ablation, best, default, ")
    fields = "data.image_size=16", "data.batch_size=4", "model.width=4"
    small = [f"--config.{field}" for field in fields]
    for i in range(2):
        for j in range(30):
            noise = np.random.default_rng(30 * i + j).integers(256, size=(9, 9, 3), dtype=np.uint8)
            (tmp_path / "ab"[i]).mkdir(exist_ok=True)
            Image.fromarray(noise).save(tmp_path / "ab"[i] / f"{j}.png")
    folders = ["--a=a", "--b=b"]
    said = run([discogan, "prepare", *small, *folders], tmp_path)
    assert re.match(r"a: \d+ to train on, .*\nb: \d+ to train on", said), said
    # Flags come in any order; what was prepared is found.
    said = run([discogan, "train", *folders, "--dry_run", "best", *small], tmp_path)
    assert re.search(r"^data a +\d+ to train on", said, re.MULTILINE), said
    (tmp_path / "mine.py").write_text(
        "from discogan_jax.configs import sample\n"
        "def get_config():\n    config = sample.get_config()\n"
        "    config.train.steps = 2\n    return config\n"
    )
    said = run([discogan, "train", "mine.py", *small, *folders], tmp_path)
    assert "Done. The run is in runs/mine, its page is runs/mine/report.html" in said
    said = run(
        [discogan, "train", "configs/sample.py", "--sweep=seed=1,2", "--dry_run", *small, *folders],
        tmp_path,
    )
    assert "run 2 of 2: seed=2" in said


@pytest.mark.parametrize(
    ("name", "typed", "code", "said"),
    [
        *((name, ["--help"], 0, "--config.FIELD") for name in EXPERIMENTS),
        ("bags_shoes", ["--config=configs/sample.py", "--config.train.stpes=3"], 2, "train.steps?"),
        ("ablation", [f"--config={ROOT}/configs/gpu.py", "--config.x=3"], 2, "config.x"),
        ("folders", ["--a=x"], 2, "required: --b"),
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
