"""`discogan card`: a folder to share that opens by itself and claims only what was measured."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import runs_here
import yaml

from discogan_jax import cli, images, runs
from discogan_jax.commands import card, card_text
from discogan_jax.errors import InputError
from discogan_jax.state import Domains

PICTURE = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture(scope="module")
def original(data, tmp_path_factory):
    made = runs_here.config(data, train__steps=2)
    return runs_here.untrained(made, tmp_path_factory.mktemp("here") / "my run", (1, 2)).path


@pytest.fixture
def run(original, tmp_path):
    shutil.copytree(original, tmp_path / "here" / "my run")
    for step in (1, 2):
        images.save(tmp_path / "here" / "my run" / "samples" / f"{step:08}.png", PICTURE)
    return runs.open(tmp_path / "here" / "my run")


def parts(folder):
    _, front, text = (folder / card.CARD_FILE).read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def row(name, value, **more):
    return {
        "name": name, "what": f"{name} |of| images", "value": value, "reference": 2.0,
        "beside": "chance", "better": "lower", "interval": [0.1, 0.3],
    } | more  # fmt: skip


def evaluated(run, step, name="evaluation.json"):
    rows = [row("bags_to_shoes/hue_error", 0.25), row("bags_to_shoes/psnr", None, interval=None)]
    found = {"step": step, "parameters": "averaged", "rows": rows}
    (run.path / name).write_text(json.dumps(found))


def test_a_card_opens_elsewhere_and_translates_the_same(run, tmp_path, capsys):
    evaluated(run, 2)
    assert cli.main(["card", str(run.path), "--out", str(tmp_path / "made")]) == 0
    x = np.random.default_rng(0).integers(256, size=(3, 16, 16, 3), dtype=np.uint8)
    expected = run.apply(x, "ab")
    shutil.copytree(tmp_path / "made", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "made")
    shutil.rmtree(run.path.parent)
    folder = tmp_path / "elsewhere"
    np.testing.assert_array_equal(runs.open(folder).apply(x, "ab"), expected)
    assert cli.main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out.endswith("2: whole\n")
    names = {p.relative_to(folder).parts[0] for p in folder.rglob("*")}
    wanted = {"README.md", "config.json", "versions.json", "evaluation.json", "checkpoints"}
    wanted |= {"card.json"}
    assert names == wanted  # no samples: the images may not be publishable
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"pytest-of" not in path.read_bytes(), path


def test_what_a_card_says(run, tmp_path):
    evaluated(run, 2)
    front, text = parts(card.write(run))
    assert front["license"] == "unknown"
    assert (front["pipeline_tag"], front["library_name"]) == ("image-to-image", "discogan_jax")
    (index,) = front["model-index"]
    (result,) = index["results"]
    assert index["name"] == "my run"
    assert result["dataset"] == {"type": "arrays", "name": "bags and shoes", "split": "held out"}
    (metric,) = result["metrics"]  # the other value was not finite
    assert (metric["type"], metric["value"]) == ("hue_error", 0.25)
    assert (
        "| bags_to_shoes/hue_error \\|of\\| images | 0.25 | 0.1 to 0.3 | 2 | chance | lower |"
        in text
    )
    assert "| not finite |" in text
    # The main measures come first, under their names for people.
    first, all_of_it = text.split("<details>")
    main = (
        "**bags → shoes**",
        "| colour kept | 0.25 | 0.1 to 0.3 | 2 | chance | lower | `hue_error` |",
    )
    assert all(line in first.splitlines() for line in main)
    assert "psnr" in all_of_it
    assert "trained with discogan_jax for 2 of 2 steps" in text
    assert "without an identity term" in text
    assert "`arrays:bags`, pictures of whoever trained this" in text
    # The same again replaces it; what was changed in it is not lost.
    folder = card.write(run)
    (folder / card.CARD_FILE).write_text("license: mine")
    with pytest.raises(InputError, match=r"my run-2-card is not as .* \(README\.md has changed"):
        card.write(run)
    assert parts(card.write(run, overwrite=True)) == (front, text)
    # What was added or lost is named, too; what file managers leave there is not missed.
    for name in (".DS_Store", "checkpoints/Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"x")
    card.write(run)
    assert not (folder / ".DS_Store").exists()
    (folder / "versions.json").unlink()
    with pytest.raises(InputError, match=r"\(versions\.json is missing\)"):
        card.write(run)


def test_what_was_added_to_a_card_stays_in_it(run, tmp_path):
    folder = card.write(run)
    added = [folder / "my run-2.discogan", folder / "samples" / "00000002.png"]
    for path in added:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    evaluated(run, 2)
    assert parts(card.write(run))[0]["model-index"]
    assert [path.read_bytes() for path in added] == [b"x", b"x"]
    card.write(run)
    with pytest.raises(InputError, match=r"00000002\.png was added, and the card has a file of"):
        card.write(run, samples=True)
    assert [path.read_bytes() for path in added] == [b"x", b"x"]


def test_a_card_claims_no_more_than_is_known(run, tmp_path):
    claim = "Held-out ones were used for measuring alone."
    evaluated(run, 2)
    assert claim in parts(card.write(run, tmp_path / "known"))[1]
    path = run.path / "evaluation.json"
    other = "bags: other pictures than in training (1 came, 0 went)"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"other_pictures": [other]}))
    (run.path / "metrics.jsonl").write_text('{"step": 1}\n{"st\n')
    text = parts(card.write(run, tmp_path / "unknown"))[1]
    assert claim not in text
    assert f"may have been trained on, so that the numbers may flatter:\n\n* {other}\n" in text
    assert "* metrics.jsonl: 1 line is damaged" in text


def test_a_card_claims_nothing_of_another_step(run, tmp_path):
    evaluated(run, 1)
    folder = card.write(run, tmp_path / "card")
    front, text = parts(folder)
    assert "model-index" not in front
    assert "nothing is claimed of how well it translates" in text.replace("\n", " ")
    assert not (folder / "evaluation.json").exists()
    evaluated(run, 2)
    evaluated(run, 1, "evaluation-step-1.json")  # of `discogan evaluate --step 1`
    of_one = card.write(runs.open(run.path, 1), tmp_path / "one", samples=True)
    assert json.loads((of_one / "evaluation.json").read_text())["step"] == 1
    assert parts(of_one)[0]["model-index"]
    assert [p.name for p in (of_one / "samples").iterdir()] == ["00000001.png"]
    assert "](samples/00000001.png" in parts(of_one)[1]


def test_a_damaged_evaluation_is_named(run, tmp_path):
    (run.path / "evaluation.json").write_text('{"step": 2, "parameters": "averaged"}')
    with pytest.raises(InputError, match=r"evaluation\.json cannot be used \(it lacks rows\)"):
        card.write(run, tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_any_source_has_a_licence(run, tmp_path):
    data = run.settings.data
    for source in ("archive:facades/photo", "tfds:mnist:train", "folder:/x/y", "arrays:/x"):
        changed = replace(data, source_a=source)
        front, text = parts(
            card.write(
                replace(run, settings=replace(run.settings, data=changed)),
                tmp_path / source.replace("/", "-"),
            )
        )
        assert front["license"] == "unknown"
        assert text.count("* bags: ") == 2


def test_places_of_images_stay_here():
    data = {"archives": "/home/me/a", "data_dir": "~/d", "source_a": "folder:/home/me/bags"}
    public = card_text.public({"seed": 1, "data": data | {"source_b": "archive:edges2shoes/photo"}})
    assert public == {
        "seed": 1,
        "data": {
            "archives": None,
            "data_dir": "data",
            "source_a": "folder:bags",
            "source_b": "archive:edges2shoes/photo",
        },
    }


def test_names_from_elsewhere_stay_text(run, tmp_path):
    odd = "<script>x</script> `*[a](b)* \n```\n# _c_|"
    named = replace(run.settings, domains=Domains("bags", odd))
    (run.path / "changes.jsonl").write_text(
        json.dumps({"step": 1, "settings": {"seed": [1, odd]}}) + "\n"
    )
    rows = [row("a/psnr", 1.0, what=odd, beside=odd)]
    found = {"step": 2, "parameters": "averaged", "rows": rows, "remarks": [odd]}
    (run.path / "evaluation.json").write_text(json.dumps(found))
    _, text = parts(card.write(replace(run, settings=named), tmp_path / "card"))
    assert "<script>" not in re.sub(r"```(sh|python)\n.*?\n```", "", text, flags=re.DOTALL)
    assert r"&lt;script&gt;x&lt;/script&gt; \`\*\[a\](b)\* " in text
    assert [line for line in text.splitlines() if line.startswith(("```", "# "))] == [
        f"# my run: bags ↔ {card_text.plain(odd)}", "```sh", "```", "```python", "```"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "place", ["checkpoints/2/default/private", "checkpoints/2/private", "samples/00000002.png"]
)
@pytest.mark.parametrize("is_folder", [False, True])
def test_what_links_lead_to_is_not_published(run, tmp_path, place, is_folder):
    private = tmp_path / "private"
    private.mkdir() if is_folder else private.write_text("private")
    (run.path / place).unlink(missing_ok=True)
    (run.path / place).symlink_to(private)
    with pytest.raises(InputError, match=f"{place} is a link"):
        card.write(run, tmp_path / "card", samples=True)
    assert not (tmp_path / "card").exists()
