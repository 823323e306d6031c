"""The code and commands in the documentation run as shown."""

import ast
import json
import math
import os
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pages
import pytest
import runs_here
from PIL import Image

from discogan_jax import cli, runs, steps
from discogan_jax.images import save


@pytest.mark.long
@pytest.mark.parametrize("page", ["README.md", "docs/pieces.md"])
def test_the_pieces_make_a_loop(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = pages.run(page)
    assert all(math.isfinite(value) for value in names["metrics"].values())
    assert int(names["train_state"].updates) > 1


@pytest.mark.long
def test_the_extensions_train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = pages.run("docs/extending.md")
    assert {"colour_a_loss", "colour_b_loss"} < set(names["metrics"])
    assert runs.open("runs/shapes").step == 2
    assert names["squares"].shape == (20, 16, 16, 3)
    # The term is part of the minimized loss: its gradient is in the update.
    loss, train_state, batch = (names[name] for name in ("loss", "train_state", "batch"))
    total, (metrics, _) = jax.jit(loss)(train_state.gen.params, train_state, batch)
    without = jax.jit(steps.generator_loss, static_argnums=0)
    plain, _ = without(names["gan"], train_state, train_state.gen.params, batch)
    colours = metrics["colour_a_loss"] + metrics["colour_b_loss"]
    np.testing.assert_allclose(total - plain, 0.5 * colours, rtol=1e-4)
    assert colours > 0


_COMMANDS = """
import json, sys
import discogan_jax.cli
from discogan_jax import runs
print(discogan_jax.__file__, runs.open("old").settings.loss.tint)
for words in json.loads(sys.argv[1]):
    assert discogan_jax.cli.main(words) == 0, words
"""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("git") is None, reason="applies patches with git")
def test_the_library_is_extended_by_the_patches(tmp_path):
    """A copy of it trains with network, loss and source of the page, and opens an earlier run."""
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(pages.ROOT / "discogan_jax", copy / "discogan_jax", ignore=ignored)
    page = pages.python("docs/extending.md")
    (network,) = [x for x in ast.parse(page).body if isinstance(x, ast.ClassDef)]
    imports = [x for x in ast.parse(page).body if isinstance(x, ast.Import | ast.ImportFrom)]
    above = [x for x in imports if x.lineno < network.lineno and "discogan" not in ast.unparse(x)]
    module = "\n".join(ast.unparse(x) for x in [*above, network])
    (copy / "discogan_jax" / "residual.py").write_text(module)
    text = (pages.ROOT / "docs" / "extending.md").read_text()
    patches = re.findall(r"^```diff\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for patch in patches:
        subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=copy, check=True)
    assert len(patches) == 3

    data = runs_here.write_arrays(tmp_path / "data")
    runs_here.untrained(runs_here.config(data), tmp_path / "old")
    rng = np.random.default_rng(0)
    for name in ("maps", "photos"):
        save(tmp_path / f"{name}.png", rng.integers(256, size=(64, 160, 3), dtype=np.uint8))
    fields = {
        **{"data.source_a": "tiles:maps.png", "data.source_b": "tiles:photos.png"},
        **{"domains": "('maps', 'photos')", "data.image_size": 16, "data.batch_size": 4},
        **{"model.recipe": "residual", "model.width": 4, "loss.tint": 0.5, "train.steps": 2},
    }
    typed = [f"--config.{name}={value}" for name, value in fields.items()]
    commands = [
        ["train", "official", "--workdir=new", *typed],
        ["evaluate", "new"],
        ["export", "new", "--format=onnx", "--out=onnx"],
        ["translate", "onnx", "maps.png", "--to=photos", "--out=made.png"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", _COMMANDS, json.dumps(commands)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{copy}/discogan_jax/__init__.py 0.0\n")
    last = runs_here.lines(tmp_path / "new" / "metrics.jsonl")[-1]
    assert {"tint_maps_loss", "tint_photos_loss"} <= last.keys()
    assert json.loads((tmp_path / "new" / "evaluation.json").read_text())["step"] == 2
    with Image.open(tmp_path / "made.png") as made:
        assert made.size == (16, 16)


@pytest.mark.parametrize("name", ["tour", "colab"])
def test_the_notebooks_are_kept_without_outputs(name):
    cells = json.loads((pages.ROOT / "docs" / f"{name}.ipynb").read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_every_command_that_a_page_shows_is_understood():
    shown = set()
    for page in [pages.ROOT / "README.md", *(pages.ROOT / "docs").glob("*.md")]:
        for line in re.findall(r"^discogan (.+?)(?:\s+#.*)?$", page.read_text(), re.MULTILINE):
            cli.parser().parse_args(line.split())
            shown.add(line.split()[0])
    assert {"translate", "report", "evaluate", "export", "doctor"} <= shown


def test_no_page_has_the_name_of_one_that_sphinx_makes():
    made = {"search", "genindex", "modindex", "py-modindex"}
    assert not made & {page.stem for page in (pages.ROOT / "docs").rglob("*.md")}
