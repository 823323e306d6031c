"""Measures how fast many pictures are translated, beside a bare loop over arrays in memory.

    python -m benchmarks.translating --pictures 512

The pictures are drawn JPEG files of 256 px. The reference is the compiled translation of the same
pictures, which are prepared and in memory, in batches as large as those of the command; `command`
is the work of ``discogan translate``: it reads, prepares and translates the files and writes PNG
files into a new folder, but starts no process; `--skip-existing` is its second call, with nothing
to do; the others are the command with an export in place of the run. The networks are those of
`official` and of `best` at 64 px, untrained, and the model `demo`.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import report
from benchmarks.harness import Case, Implementation
from discogan_jax import export, runs, train
from discogan_jax.commands import translate_pictures
from discogan_jax.configs import best, official
from discogan_jax.data.catalogue import items
from discogan_jax.errors import InputError
from discogan_jax.host import keep_freed_memory, use_compile_cache
from discogan_jax.images import fit
from discogan_jax.runs.translating import Translator

CONFIGS = {"official": official, "best": best}
EXPORTS = "stablehlo", "onnx"


def untrained(recipe: str, size: int, folder: Path) -> runs.Run:
    """Makes a run of one step on noise."""
    config = CONFIGS[recipe].get_config()
    config.data.batch_size, config.data.data_dir = 2, str(folder / "data")
    config.data.image_size = size
    config.train.steps, config.train.evaluate_every, config.train.sample_every = 1, 0, 0
    noise = np.random.default_rng(0).integers(256, size=(2, 8, size, size, 3), dtype=np.uint8)
    train.train_and_evaluate(config, folder / recipe, arrays=[(x, x) for x in noise])
    return runs.open(folder / recipe)


def case(name: str, run: runs.Run, folder: Path, out: Path, skipped: dict[str, str]) -> Case:
    """Builds the sides of one model; notes why others are missing."""
    inputs = translate_pictures.find([str(folder)])[0]
    preparation = run.preparations["a"]
    prepared = np.stack([fit(np.asarray(Image.open(x.source)), preparation.size) for x in inputs])

    def command(translator: Translator, skip: bool = False) -> Any:
        if not skip:  # replacing a file waits for the disk
            shutil.rmtree(out, ignore_errors=True)
        to = run.domains.b
        made = translate_pictures.translate(translator, inputs, to, out, skip_existing=skip)
        assert len(made.written) == (0 if skip else len(inputs)), made
        return made

    loop = partial(run.apply, prepared, "ab", translate_pictures.BATCH)
    sides = {"bare loop": loop, "command": partial(command, run)}
    sides["command, --skip-existing"] = partial(command, run, skip=True)
    for kind in EXPORTS:
        try:
            place, _ = export.write(run, out.with_name(f"{name}.{kind}"), kind=kind)
            sides[f"command, {kind}"] = partial(command, export.open_translator(place))
        except InputError as error:  # packages are missing
            skipped[f"command, {kind}"] = str(error)
    for call in sides.values():
        call()
    made = [Implementation(side, call, times=len(inputs)) for side, call in sides.items()]
    return Case(f"a picture, {name} at {preparation.size} px", made)


def works(number: int, folder: Path) -> tuple[Sequence[Case], dict[str, str]]:
    """Draws the pictures and builds the cases."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for i in range(number):
        drawn = items.draw(items.describe("bags", i))
        Image.fromarray(drawn).save(pictures / f"{i:05d}.jpg", quality=95)
    models = {recipe: untrained(recipe, 64, folder) for recipe in CONFIGS}
    found = models | {"demo": runs.open("demo")}
    skipped: dict[str, str] = {}
    made = [case(name, x, pictures, folder / f"out-{name}", skipped) for name, x in found.items()]
    return made, skipped


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--budget", type=float, default=120, help="seconds")
    args = parser.parse_args()
    use_compile_cache()
    keep_freed_memory(translate_pictures.BATCH * 64**2)
    with tempfile.TemporaryDirectory() as folder:
        made = partial(works, args.pictures, Path(folder))
        report.run("translating", made, args.budget, {"pictures": args.pictures})


if __name__ == "__main__":
    main()
