"""Writes a folder with a model card, config, versions, evaluation and one checkpoint of a run.

The card is README.md, with the head that a model hub reads. The folder is a run directory itself:
'discogan translate FOLDER' works wherever it is copied. The card has what was measured ('discogan
evaluate RUN' first) and nothing else. Paths of this machine stay out of it. What was added to the
folder since it was made, such as an export, stays in it when the card is made anew.
"""

import argparse
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discogan_jax.commands import frame, outputs
from discogan_jax.errors import InputError

if TYPE_CHECKING:
    from discogan_jax.runs import Run

CARD_FILE = "README.md"

LIST_FILE = "card.json"
"""What a card was made of, and the digests of its files."""


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_run()
    parser.add_argument(
        "--out", type=frame.path, metavar="FOLDER", help="RUN/NAME-STEP-card if not given"
    )
    outputs.add_overwrite(parser)
    parser.add_argument(
        "--samples",
        action="store_true",
        help="add the sample grid, if you may publish its pictures; drawn ones are always added",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from discogan_jax import runs

    opened = runs.open(arguments.run, arguments.step)
    made = write(opened, arguments.out, samples=arguments.samples, overwrite=arguments.overwrite)
    frame.say(str(made))
    return 0


def write(
    run: "Run", out: Path | None = None, *, samples: bool = False, overwrite: bool = False
) -> Path:
    """Writes a model card and the files that are needed to use the run's checkpoint.

    The folder holds `README.md`, `config.json` and `data.json` (without this machine's paths and
    names of pictures), `versions.json`, the evaluation if it is of this step, and the checkpoint:
    `runs.open` opens it; and the digests of all of them, `card.json`.

    Args:
      run: run, opened at the checkpoint in question.
      out: folder; `NAME-STEP-card` in the run directory if None. An existing card is replaced,
        unless it was changed; what was added to it stays.
      samples: whether to add the grid of held-out images and their translations even if the images
        are not drawn by this library. Whoever may publish the images may publish the grid.
      overwrite: replace a card that was changed, too.

    Returns:
      The folder.

    Raises:
      InputError: another folder is there or it cannot be written, a file that was added to the
        card has the name of one of its own, or the run's files are damaged.
    """
    from discogan_jax import files
    from discogan_jax.commands import card_text
    from discogan_jax.files import read_json, write_json
    from discogan_jax.runs import demo, layout, pictures

    out = out or demo.results(run.path) / f"{run.path.name}-{run.step}-card"
    check = partial(files.check_folder, listing=LIST_FILE, more=True)
    files.require_our_folder(out, LIST_FILE, ("*",), check, overwrite=overwrite)
    try:
        evaluation = _evaluation(run)
        picture = _grid(run) if samples or card_text.is_drawn(run.settings) else None
        out.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing_folder(out) as folder:
            # What `runs.open` needs, without this machine's paths.
            if demo.is_there(run.path):
                folder.mkdir()
                _check(str(run.path), [layout.WEIGHTS_FILE])
                shutil.copy(run.path / layout.WEIGHTS_FILE, folder)
            else:
                checkpoint = Path(layout.CHECKPOINTS) / str(run.step)
                shutil.copytree(run.path / checkpoint, folder / checkpoint, ignore=_check)
                _remove_paths(folder / checkpoint)
            config = read_json(run.path / layout.CONFIG_FILE)
            write_json(folder / layout.CONFIG_FILE, card_text.public(config))
            if record := pictures.public(run.path):
                write_json(folder / layout.DATA_FILE, record)
            versions, _ = layout.find(run.path, layout.VERSIONS_FILE)
            if versions:
                write_json(folder / layout.VERSIONS_FILE, versions)
            # What was measured and what it looks like.
            if evaluation:
                write_json(folder / layout.EVALUATION_FILE, evaluation)
            if picture:
                (folder / layout.SAMPLES).mkdir()
                _check(str(picture.parent), [picture.name])
                shutil.copy(picture, folder / layout.SAMPLES)
            text = card_text.text(run, evaluation, picture)
            (folder / CARD_FILE).write_text(text, encoding="utf-8")
            listed = files.sealed({"run": run.path.name, "step": run.step}, files.digests(folder))
            write_json(folder / LIST_FILE, listed)
            _keep_added(out, folder)
    except OSError as error:
        several = error.args[0] if isinstance(error, shutil.Error) else ()
        why = several[0][-1] if several else error.strerror or error
        raise InputError(f"{out} cannot be made ({error.filename or 'copying'}: {why}).") from error
    return out


def _keep_added(old: Path, new: Path) -> None:
    """Copies what was added to an existing card since it was written."""
    from discogan_jax.files import OF_FILE_MANAGERS, read_json

    listing = old / LIST_FILE
    own = {LIST_FILE, *read_json(listing, {"files": dict})["files"]} if listing.exists() else set()
    for path in sorted(old.rglob("*")):
        name = path.relative_to(old).as_posix()
        is_added = path.is_symlink() or not path.is_dir()
        if not is_added or name in own or path.name in OF_FILE_MANAGERS:
            continue
        place = new / name
        if place.exists():
            raise InputError(f"{path} was added, and the card has a file of that name: move it.")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place, follow_symlinks=False)


def _check(folder: str, names: list[str]) -> list[str]:
    """Refuses to copy what lies elsewhere: what a link leads to may be private."""
    from discogan_jax.files import require_regular

    for path in (Path(folder, name) for name in names):
        if path.is_symlink():
            raise InputError(f"{path} is a link: put the file itself there, or remove it.")
        if not path.is_dir():
            require_regular(path)
    return []  # for `shutil.copytree`: nothing is left out


def _remove_paths(checkpoint: Path) -> None:
    """Removes this machine's paths from Orbax's notes in a checkpoint, and seals it again."""
    from discogan_jax.runs import manifest

    sealed = manifest.is_sealed(checkpoint)
    if sealed and (complaints := manifest.verify(checkpoint)):
        raise InputError(f"The checkpoint was not copied whole: {'; '.join(complaints[:3])}")
    for note in checkpoint.rglob("commit_success.txt"):
        note.write_text("Checkpoint commit was successful")
    if sealed:
        tree = manifest.tree(checkpoint)
        (checkpoint / manifest.MANIFEST_FILE).unlink()  # or the new one would list it
        manifest.seal(checkpoint, tree)


def _evaluation(run: "Run") -> dict[str, Any] | None:
    """Reads the evaluation of the run, if there is one of the state that is handed on."""
    from discogan_jax.runs import layout

    # The parameters that translate must be those that were measured.
    used = "raw" if run.state.ema is None else "averaged"
    for name in (layout.evaluation_file(run.step), layout.EVALUATION_FILE):
        found, problems = layout.find(run.path, name)
        if problems:
            raise InputError(f"{run.path}: {problems[0]}: run 'discogan evaluate' again")
        if found is None:
            continue
        try:
            if found["step"] == run.step and found["parameters"] == used:
                return _named(found)
        except KeyError as error:
            raise InputError(
                f"{run.path / name} is of an earlier version (it lacks {error}): run 'discogan "
                "evaluate' again"
            ) from error
    return None


def _named(found: dict[str, Any]) -> dict[str, Any]:
    """Returns an evaluation whose rows have all that a card shows."""
    keys = ("name", "what", "value", "reference", "beside", "better", "interval")
    rows = [
        {key: row[key] for key in keys} | {"reason": row.get("reason")} for row in found["rows"]
    ]
    return found | {"rows": rows}


def _grid(run: "Run") -> Path | None:
    """Finds the last sample grid up to the run's step."""
    from discogan_jax.runs import layout

    grids = [p for p in (run.path / layout.SAMPLES).glob("*.png") if p.stem.isdecimal()]
    return max((p for p in grids if int(p.stem) <= run.step), key=lambda p: p.stem, default=None)
