"""A run knows which pictures it is trained on, wherever they are."""

import json
import os
import shutil

import numpy as np
import pytest
import runs_here
from PIL import Image

from discogan_jax import files
from discogan_jax.config import build
from discogan_jax.config.schema import from_config
from discogan_jax.errors import InputError
from discogan_jax.images import Size
from discogan_jax.runs import changes, pictures, run


@pytest.fixture
def data(tmp_path):
    return runs_here.write_arrays(tmp_path / "data")


def settings(data, **changes):
    return from_config(runs_here.config(data, **changes))


def begin(directory, s, *, change=False, step=0):
    loaded = build.images(s, pictures.known(directory))
    run.begin(directory, s, loaded, change=change, step=step)
    return loaded


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def replace(path, function):
    np.save(path, function(np.load(path)))


def test_the_same_pictures_continue_a_run_from_another_place(data, tmp_path):
    begin(tmp_path / "run", settings(data))
    moved = tmp_path / "moved"
    shutil.move(data, moved)
    begin(tmp_path / "run", settings(moved))
    assert not (tmp_path / "run" / "changes.jsonl").exists()


def test_other_pictures_are_counted_and_refused(data, tmp_path, caplog):
    s, directory = settings(data), tmp_path / "run"
    begin(directory, s)
    before = contents(directory)
    # Three of bags go and one comes; of shoes the order changes.
    replace(data / "bags" / "train.npy", lambda x: np.concatenate([x[3:], 255 - x[:1]]))
    replace(data / "shoes" / "val.npy", lambda x: x[::-1])
    pictures.open_images(directory, s)
    assert "trained on other pictures (bags: 1 came, 3 went; shoes: moved)" in caplog.text
    with pytest.raises(InputError) as raised:
        begin(directory, s)
    for part in ("bags: 1 came, 3 went", "shoes: moved", "--change"):
        assert part in str(raised.value)
    assert contents(directory) == before


def test_held_out_pictures_that_were_trained_on_are_counted(data, tmp_path):
    s, directory = settings(data), tmp_path / "run"

    def said():
        return pictures.remarks(directory, s, build.images(s, pictures.known(directory)))

    begin(directory, s)
    replace(data / "shoes" / "val.npy", lambda x: x[::-1])
    assert said() == []  # another order
    # Two change places, as renamed files do; then two more held-out ones are exchanged.
    first = np.load(data / "bags" / "train.npy")[:2]
    last = np.load(data / "bags" / "val.npy")[:2]
    replace(data / "bags" / "train.npy", lambda x: np.concatenate([last, x[2:]]))
    replace(data / "bags" / "val.npy", lambda x: np.concatenate([first, x[2:]]))
    held_out = "of 8 held-out ones"
    assert said() == [
        f"bags: the pictures of the training, divided otherwise; {held_out}: 2 not held out then, "
        "2 trained on"
    ]
    replace(data / "bags" / "val.npy", lambda x: np.concatenate([x[:6], 255 - x[:2]]))
    replace(data / "shoes" / "train.npy", lambda x: x[1:])
    assert said() == [
        f"bags: other pictures than in training (2 came, 2 went); {held_out}: 4 not held out then, "
        "2 trained on",
        f"shoes: other pictures than in training (0 came, 1 went); {held_out}: 0 not held out "
        "then, 0 trained on",
    ]
    # A run whose pictures are not recorded says nothing.
    (directory / "data.json").unlink()
    assert said() == []


def test_a_run_goes_on_with_other_pictures_when_asked_to(data, tmp_path):
    s, directory = settings(data), tmp_path / "run"
    begin(directory, s)
    replace(data / "bags" / "train.npy", lambda x: x[1:])
    begin(directory, s, change=True)
    (line,) = (directory / "changes.jsonl").read_text().splitlines()
    change = json.loads(line)
    assert change["pictures"] == {"bags": {"came": 0, "went": 1}}
    assert [path.name for path in directory.glob("*.npz")] == [change["digests"]]
    begin(directory, s)  # from now on these are its pictures
    assert (directory / "changes.jsonl").read_text() == f"{line}\n"


def test_what_was_trained_on_before_a_change_stays_known(data, tmp_path):
    s, directory = settings(data), tmp_path / "run"
    begin(directory, s)
    first = np.load(data / "bags" / "train.npy")[:3]
    replace(data / "bags" / "train.npy", lambda x: x[3:])
    replace(data / "bags" / "val.npy", lambda x: np.concatenate([first, x[3:]]))
    begin(directory, s, change=True, step=7)
    said = "bags: of 8 held-out ones, 3 trained on before the run went on with other pictures"
    changed = "from step 7 on: other pictures (bags: 0 came, 3 went); samples show these"
    assert pictures.remarks(directory, s, build.images(s)) == [changed, said]
    # Whatever changes later.
    replace(data / "shoes" / "train.npy", lambda x: x[1:])
    begin(directory, s, change=True, step=8)
    begin(directory, s, step=8)
    more = "from step 8 on: other pictures (shoes: 0 came, 1 went); samples show these"
    assert pictures.remarks(directory, s, build.images(s)) == [changed, more, said]


@pytest.mark.parametrize("killed_at", ["digests-", "data.json"])
def test_a_kill_before_other_pictures_are_in_force_leaves_the_run_as_it_was(
    data, tmp_path, monkeypatch, killed_at
):
    s, directory = settings(data), tmp_path / "run"
    begin(directory, s)
    first = np.load(data / "bags" / "train.npy")
    replace(data / "bags" / "train.npy", lambda x: x[1:])
    replacing = files.replacing

    def killed(path):
        if path.name.startswith(killed_at):
            raise KeyboardInterrupt
        return replacing(path)

    for module in (files, files.json_files):
        monkeypatch.setattr(module, "replacing", killed)
    with pytest.raises(KeyboardInterrupt):
        begin(directory, s, change=True)
    monkeypatch.undo()
    # The command of before goes on, and nothing says that something changed.
    replace(data / "bags" / "train.npy", lambda _: first)
    begin(directory, s)
    assert changes.read(directory) == []
    assert [path.name for path in directory.glob("*.npz")] == ["digests.npz"]


def test_files_that_are_touched_or_copied_hold_the_same_pictures(data, tmp_path):
    s, directory = settings(data), tmp_path / "run"
    begin(directory, s)
    file = data / "bags" / "train.npy"
    os.utime(file, (0, 0))
    begin(directory, s)
    shutil.copy(file, tmp_path / "copy.npy")
    (tmp_path / "copy.npy").replace(file)
    begin(directory, s)
    assert not (directory / "changes.jsonl").exists()


@pytest.mark.parametrize("kept", [0, 100])
def test_damaged_digests_of_a_cache_are_taken_anew(data, kept):
    s = settings(data)
    before = build.images(s)
    for file in (data / "cache").rglob("digests.npz"):
        file.write_bytes(file.read_bytes()[:kept])
    after = build.images(s)
    for d, x in before.items():
        np.testing.assert_array_equal(x.digests["train"], after[d].digests["train"])


def test_a_run_of_an_earlier_version_keeps_its_division_and_says_so(data, tmp_path, caplog):
    s, directory = settings(data), tmp_path / "run"
    begin(directory, s)
    (directory / "data.json").unlink()
    assert pictures.known(directory)["a"]["max_held_out"] == 500
    with pytest.raises(InputError, match="use the same sources"):
        begin(directory, settings(data, data__source_a=f"arrays:{data / 'shoes'}"))
    caplog.clear()
    begin(directory, s)
    assert caplog.text.count("decoded by another version") == 1
    assert pictures.known(directory)["a"]["max_held_out"] == 500
    caplog.clear()
    begin(directory, s)
    assert "decoded by another version" not in caplog.text


@pytest.mark.parametrize("keep", [0, 300])
def test_damaged_digests_are_named(data, tmp_path, keep):
    s, directory = settings(data), tmp_path / "run"
    begin(directory, s)
    file = directory / "digests.npz"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"digests\.npz is damaged .*; remove it and data\.json"):
        begin(directory, s)


@pytest.mark.parametrize("content", ["{", "{}", '{"a": {}, "b": {}}', '{"a": {"preparation": 3}}'])
def test_a_damaged_record_is_named(data, tmp_path, content):
    s, directory = settings(data), tmp_path / "run"
    begin(directory, s)
    (directory / "data.json").write_text(content)
    with pytest.raises(InputError, match=r"data\.json is damaged"):
        begin(directory, s)


def test_what_is_done_to_pictures_stands_in_the_run(tmp_path):
    for domain in "ab":
        for i in range(20):
            path = tmp_path / domain / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (40, 20), (i * 12, 0, 0)).save(path)
    folders = {f"data__source_{d}": f"folder:{tmp_path / d}" for d in "ab"}
    s = settings(tmp_path, **folders, data__thicken="b", data__fit="pad", data__image_size="32x16")
    begin(tmp_path / "run", s)
    found = pictures.preparations(tmp_path / "run", s)
    assert [found[d].thicken for d in "ab"] == [False, True]
    assert found["a"].fit == "pad"
    assert found["a"].size == Size(height=32, width=16)
