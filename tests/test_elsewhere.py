"""Where people run it: in a container, and in a notebook on somebody else's machine."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pages
import pytest
from PIL import Image

from discogan_jax import runs
from discogan_jax.configs import folders

ROOT = pages.ROOT


def instructions():
    """Returns the instructions of the Dockerfile: word and rest."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def defaults():
    return dict(rest.split("=") for word, rest in instructions() if word == "ARG")


def copied(to):
    """Copies what the Dockerfile copies to a folder."""
    for word, rest in instructions():
        if word == "COPY":
            *sources, place = rest.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    ignore = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / source, to / place, ignore=ignore)
                else:
                    shutil.copy(ROOT / source, to / place)


def test_the_context_of_the_image_is_what_it_copies():
    copies = [rest.split()[:-1] for word, rest in instructions() if word == "COPY"]
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{source}" for sources in copies for source in sources} == {
        line for line in lines if line.startswith("!")
    }
    assert "*" in lines
    assert dict(instructions())["USER"] not in ("root", "0")


@pytest.mark.long
def test_the_image_is_built_from_nothing(tmp_path):
    """The lines that a builder runs, in an environment of their own."""
    context, venv, work = (tmp_path / name for name in ("context", "venv", "work"))
    context.mkdir()
    work.mkdir()
    copied(context)
    assert sum(file.stat().st_size for file in context.rglob("*") if file.is_file()) < 5e6
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env = kept | defaults() | {"PATH": f"{venv / 'bin'}:{os.environ['PATH']}", "HOME": str(work)}
    ran = [rest for word, rest in instructions() if word == "RUN"]
    for line in ran:
        subprocess.run(["sh", "-ec", line], cwd=context, env=env, check=True)
    assert ran
    (entry,) = (json.loads(rest) for word, rest in instructions() if word == "ENTRYPOINT")
    shutil.rmtree(context)  # it is the installed package that runs
    for arguments, said in (["--help"], "translate"), (["doctor"], "JAX computes on"):
        done = subprocess.run(
            [*entry, *arguments], cwd=work, env=env, capture_output=True, text=True, check=False
        )
        assert said in done.stdout, done.stdout + done.stderr


def docker(*arguments):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.long
def test_an_image_trains_as_any_user(tmp_path):
    if shutil.which("docker") is None or docker("info").returncode:
        pytest.skip("no Docker daemon")
    base = dict(instructions())["FROM"].replace("${PYTHON}", defaults()["PYTHON"])
    if docker("image", "inspect", base).returncode:
        pytest.skip(f"the image {base} is not here")
    built = docker("build", "--tag", "discogan-test", str(ROOT))
    assert built.returncode == 0, built.stderr
    write_pictures(tmp_path)
    tmp_path.chmod(0o777)
    small = ("image_size=16", "batch_size=4")
    fields = [*(f"--config.data.{x}" for x in small), "--config.model.width=4"]
    done = docker(
        "run", "--rm", "--user", "4321:4321", "--volume", f"{tmp_path}:/work", "discogan-test",
        "train", "--a=cats", "--b=dogs", "--workdir=run", "--config.train.steps=1", *fields,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert runs.open(tmp_path / "run").step == 1
    assert (tmp_path / "run").stat().st_uid == 4321


def write_pictures(folder):
    for seed, name in enumerate(("cats", "dogs")):
        (folder / name).mkdir()
        noise = np.random.default_rng(seed).integers(256, size=(24, 20, 20, 3), dtype=np.uint8)
        for i, pixels in enumerate(noise):
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


@pytest.mark.long
def test_the_notebook_for_colab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path)
    small = folders.get_config()
    small.data.image_size, small.data.batch_size, small.model.width = 16, 4, 4
    small.train.evaluate_every = 0
    monkeypatch.setattr(folders, "get_config", lambda: small)
    cells = json.loads((ROOT / "docs" / "colab.ipynb").read_text())["cells"]
    code = {cell["id"]: cell for cell in cells if cell["cell_type"] == "code"}
    tagged = {tag: name for name, cell in code.items() for tag in cell["metadata"].get("tags", ())}
    assert "".join(code.pop(tagged["install"])["source"]).startswith("%pip install")
    names, shown = {}, []
    for name, cell in code.items():
        body = ast.parse("".join(cell["source"]), name).body
        # A notebook shows the value of a cell's last line.
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), name, "exec"), names)
        if last:
            shown.append(eval(compile(ast.Expression(last.value), name, "eval"), names))
        if name == tagged["parameters"]:
            names["STEPS"] = 2
    assert runs.open(names["RUN"]).step == 2
    pictures = [x for x in shown if isinstance(x, Image.Image)]
    assert [picture.width > 100 for picture in pictures] == [True, True]
    pictures[0].close()
    assert (tmp_path / "run.zip").stat().st_size > 1000
