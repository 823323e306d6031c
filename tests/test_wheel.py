"""The wheel: built, installed without the source tree, and used in an empty folder."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

import discogan_jax
from discogan_jax.cli import COMMANDS
from discogan_jax.images import read

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
SOURCES = ("discogan_jax", "experiments", "benchmarks", "docs", "tests")
SMALL = ["--config.data.image_size=16", "--config.data.batch_size=4", "--config.model.width=4"]
FOLDERS = ["--a=discs", "--b=squares"]


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


@pytest.fixture(scope="module")
def discogan(python, tmp_path_factory):
    """Returns a function that runs the installed script in a folder with two kinds of pictures.

    The folder is the function's `where`.
    """
    where = tmp_path_factory.mktemp("empty")
    rng = np.random.default_rng(0)
    for name in ("discs/train", "discs/val", "squares/train", "squares/val"):
        (where / name).mkdir(parents=True)
        for i in range(6):
            noise = rng.integers(256, size=(9, 9, 3), dtype=np.uint8)
            Image.fromarray(noise).save(where / name / f"{i}.png")

    def discogan(*words, code=0):
        return run([python.with_name("discogan"), *words], where, code)

    discogan.where = where
    return discogan


@pytest.fixture(scope="module")
def trained(discogan):
    """Trains two steps with a config of the user's own; returns what was printed."""
    (discogan.where / "mine.py").write_text(
        "from discogan_jax.configs import sample\n"
        "def get_config():\n    config = sample.get_config()\n"
        "    config.train.steps = 2\n    return config\n"
    )
    return discogan("train", "mine.py", *SMALL, *FOLDERS)


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
    names.remove(".dockerignore")
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


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(discogan, command):
    said = discogan(command, "--help")
    assert said.startswith(f"usage: discogan {command} ")
    assert not re.search(r"configs/|make |experiments|-e \.", said), "is not there with a wheel"


def test_a_config_is_named_or_a_file(discogan, trained):
    assert "Done. The run is in runs/mine, its page is runs/mine/report.html" in trained
    assert discogan("train", code=2).startswith("CONFIG is missing: a config file, or one of abla")
    # Flags come in any order.
    said = discogan("train", *FOLDERS, "--sweep=seed=1,2", "--dry_run", "best", *SMALL)
    assert said.startswith("config best, 2,500 steps, with ")
    assert "run 2 of 2: seed=2" in said


def test_pictures_are_prepared(discogan):
    said = discogan("prepare", "--config=configs/best.py", *SMALL, *FOLDERS)
    assert re.match(r"discs: 6 to train on, 6 held out.*\nsquares: 6 to train on, 6", said), said


def test_a_run_is_used_and_shared(discogan, trained):
    """Translated, measured, described, exported, copied and checked."""
    where, run = discogan.where, "runs/mine"
    said = discogan("translate", run, "discs/val", "--to=squares", "--out=made")
    assert said.startswith("6 translated into made: ")
    assert read(where / "made" / "2.png").shape == (16, 16, 3)
    assert "hue" in discogan("evaluate", run)
    assert json.loads((where / run / "evaluation.json").read_text())["step"] == 2
    assert "page.html" in discogan("report", run, "--out=page.html")
    assert "<script>" in (where / "page.html").read_text()
    assert re.search(r"mine +finished", discogan("runs", "runs"))
    assert "2: whole" in discogan("verify", run)
    # What was copied elsewhere translates without the run.
    discogan("card", run, "--out=card")
    assert (where / "card" / "README.md").read_text().startswith("---\n")
    discogan("export", run, "--out=squares.discogan")
    shutil.move(where / run, where / "gone")
    for of in ("card", "squares.discogan"):
        discogan("translate", of, "discs/val/1.png", "--to=squares", f"--out={of}.png")
    shutil.move(where / "gone", where / run)
    np.testing.assert_array_equal(read(where / "made" / "1.png"), read(where / "card.png"))


def test_a_run_is_served(discogan, python, trained):
    command = [python.with_name("discogan"), "serve", "runs/mine", "--port=0"]
    away = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with subprocess.Popen(
        command, cwd=discogan.where, env=away, stdout=subprocess.PIPE, text=True
    ) as served:
        try:
            url = served.stdout.readline().partition(" ")[0]
            assert "</html>" in requests.get(url, timeout=60).text
            answer = requests.post(
                f"{url}/translate",
                params={"direction": "ab"},
                data=(discogan.where / "discs/val/1.png").read_bytes(),
                timeout=60,
            )
            assert answer.json()["step"] == 2
        finally:
            served.send_signal(signal.SIGINT)
        assert served.communicate(timeout=60)[0] == "Stopped.\n"
    assert served.returncode == 0


def test_the_machine_and_the_shell_are_served(discogan):
    found = discogan("doctor")
    assert f"ok      discogan_jax {discogan_jax.__version__}" in found
    for shell in ("bash", "zsh"):
        assert "translate" in discogan("completion", shell)
