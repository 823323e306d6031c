"""The code and commands in the documentation run as shown."""

import json
import math
import re

import jax
import numpy as np
import pages
import pytest

from discogan_jax import cli, runs, steps


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
