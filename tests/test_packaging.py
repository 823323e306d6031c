"""The package and its metadata: built, installed and used outside the source tree."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import discogan_jax

ROOT = Path(__file__).parent.parent
SOURCES = ("discogan_jax", "experiments", "configs", "benchmarks", "docs", "tests")


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


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds a source distribution, and a wheel from it."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
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
        "configs/default.py",
        "experiments/bags_shoes.py",
        "tests/golden/official.npz",
        "docs/demo.png",
        "constraints.txt",
        "CHANGELOG.md",
        "Makefile",
    } <= names
    assert not [name for name in names if name.startswith(("runs", "data", ".")) or ".pyc" in name]
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (path,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        about = archive.read(path).decode()
    assert {"discogan_jax/py.typed", "discogan_jax/report_page/page.html"} <= names
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
        "from discogan_jax.integrity import steps\nfrom pathlib import Path\n"
        "found: list[int] = steps(Path())\nwrong: list[str] = steps(Path())\n"
    )
    mypy = [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache"]
    said = run([*mypy, "--python-executable", python, "mine.py"], tmp_path, code=1)
    assert re.findall(r"^mine\.py:(\d+): error", said, re.MULTILINE) == ["4"], said


@pytest.mark.long
def test_training_without_the_source_code_says_what_is_missing(python, tmp_path):
    launch = "from discogan_jax.train import launch; launch.run('default.py')"
    assert run([python, "-c", launch], tmp_path, code=2) == (
        "--config=FILE is missing; the source code comes with some, in configs/\n"
    )
