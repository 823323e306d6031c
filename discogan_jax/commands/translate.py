"""Translates image files with a trained run and writes the results as PNG.

Each picture is cut to its largest centred square and scaled, as in training. Files that cannot be
read are reported and skipped; the exit code is 1 then.
"""

import argparse
import glob
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from discogan_jax.commands import frame
from discogan_jax.errors import EXIT_SKIPPED, InputError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from discogan_jax.runs import Translator

    Picture = UInt8[np.ndarray, "H W 3"]

STDIN = "-"
SHEET_ROWS = 16

Half = Literal["left", "right"]


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_run("run directory, one of its checkpoints, or an export")
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="files, folders (with all below them), glob patterns, or - for standard input",
    )
    parser.add_argument(
        "--to", required=True, metavar="DOMAIN", help="domain to translate to: shoes"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder of the results"
    )
    parser.add_argument(
        "--pairs",
        choices=("left", "right"),
        help="inputs show two pictures side by side, as in the pix2pix archives: take this one",
    )
    parser.add_argument(
        "--keep_aspect",
        "--keep-aspect",
        action="store_true",
        help="translate the whole picture, squeezed into a square, and give the result its shape",
    )
    parser.add_argument(
        "--grid",
        action="store_true",
        help="also write contact sheets: input, translation, the way back",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from discogan_jax.export import open_translator

    translator = open_translator(arguments.run, arguments.step)
    outcome = translate(
        translator,
        find(arguments.inputs),
        arguments.to,
        arguments.out,
        half=arguments.pairs,
        keep_aspect=arguments.keep_aspect,
        sheet=arguments.grid,
    )
    size = f"{translator.preparations['a'].size} px, as trained"
    way = "squeezed" if arguments.keep_aspect else "cut to the largest centred square, scaled"
    frame.say(f"{len(outcome.written)} translated into {arguments.out} ({way} to {size})")
    for sheet in outcome.sheets:
        frame.say(f"contact sheet: {sheet}")
    if outcome.bad:
        frame.say(f"{len(outcome.bad)} skipped, see above")
    return EXIT_SKIPPED if outcome.bad else 0


class Input(NamedTuple):
    """Holds a picture to translate.

    Attributes:
      source: its path, or its bytes.
      name: path of the result below the output folder, with the input's own suffix.
    """

    source: Path | bytes
    name: Path


class Fitted(NamedTuple):
    """Holds a picture that is fitted to a run.

    Attributes:
      square: ``[S, S, 3]``.
      shape: width and height of the result, the longer one being S.
    """

    square: "Picture"
    shape: tuple[int, int]


@dataclass(frozen=True)
class Outcome:
    """Lists what was written and what was skipped.

    Attributes:
      written: results.
      sheets: contact sheets.
      bad: a message for every input that could not be read.
    """

    written: list[Path] = field(default_factory=list)
    sheets: list[Path] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)


def find(given: Sequence[str]) -> list[Input]:
    """Finds pictures: files, those in folders at any depth, those that match glob patterns.

    Args:
      given: paths and patterns, or ``-`` for standard input.

    Returns:
      Every picture once. Those of a folder keep their place below it.

    Raises:
      InputError: nothing is there, or a folder or pattern has no pictures.
    """
    from discogan_jax import images
    from discogan_jax.data.listing import pictures_below

    # By place, so that a picture which is named twice is translated once.
    found: dict[Path, Input] = {}
    for word in given:
        path = Path(word).expanduser()
        # Standard input, a folder, a file (if it is missing, reading reports that), a pattern.
        if word == STDIN:
            files = [Input(sys.stdin.buffer.read(), Path("stdin.png"))]
        elif path.is_dir():
            files = [Input(file, file.relative_to(path)) for file in pictures_below(path)[0]]
        elif path.exists() or not glob.has_magic(word):
            files = [Input(path, Path(path.name))]
        else:
            matched = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 (absolute, too)
            files = [Input(file, Path(file.name)) for file in matched if file.is_file()]
        if not files:
            kinds = ", ".join(images.FORMATS)
            raise InputError(f"{word}: there are no pictures ({kinds}); check the path.")
        for file in files:
            place = Path(STDIN) if isinstance(file.source, bytes) else file.source.resolve()
            found.setdefault(place, file)
    return list(found.values())


def destinations(inputs: Sequence[Input], folder: Path) -> list[Path]:
    """Names the result of each input: names are kept, the suffix becomes .png, none is taken twice.

    Raises:
      InputError: a result would be written over an input.
    """
    sources = {i.source.resolve() for i in inputs if isinstance(i.source, Path)}
    places: dict[Path, None] = {}
    for _, name in inputs:
        # a.jpg and a.png become a.png and a-png.png.
        endings = chain(["", f"-{name.suffix[1:]}"], (f"-{n}" for n in count(2)))
        names = (folder / name.with_name(f"{name.stem}{ending}.png") for ending in endings)
        place = next(place for place in names if place not in places)
        if place.resolve() in sources:
            raise InputError(f"{place} is an input: name another folder for the results.")
        places[place] = None
    return list(places)


def read(source: Path | bytes, size: int, half: Half | None, squeeze: bool) -> Fitted:
    """Reads a picture and fits it to a square as training does.

    Args:
      source: what is read.
      size: side of the square.
      half: half to take of a picture that shows two side by side, as the pix2pix archives do.
      squeeze: whether the whole picture is taken, whatever its aspect, and not its largest centred
        square.

    Raises:
      InputError: it cannot be read.
    """
    import numpy as np
    from PIL import Image

    from discogan_jax import images

    picture = images.read(source)
    # Take a half.
    if half:
        middle = picture.shape[1] // 2
        if not middle:
            raise InputError(f"{source if isinstance(source, Path) else STDIN} has no two halves.")
        picture = picture[:, :middle] if half == "left" else picture[:, -middle:]
    height, width = picture.shape[:2]
    # Make a square: of the middle, or of the whole picture.
    if not squeeze or width == height:
        return Fitted(images.fit(picture, size), (size, size))
    whole = Image.fromarray(np.ascontiguousarray(picture))
    squeezed = np.array(whole.resize((size, size), Image.Resampling.HAMMING), np.uint8)
    longer = max(width, height)
    shape = max(1, round(size * width / longer)), max(1, round(size * height / longer))
    return Fitted(squeezed, shape)


def translate(
    translator: "Translator",
    inputs: Sequence[Input],
    to: str,
    folder: Path,
    *,
    half: Half | None = None,
    keep_aspect: bool = False,
    sheet: bool = False,
    batch_size: int = 64,
) -> Outcome:
    """Translates pictures and writes the results as PNG.

    Args:
      translator: run or export, from `export.open_translator`.
      inputs: pictures from `find`; those that cannot be read are reported and skipped.
      to: name of the domain to translate to.
      folder: folder of the results; made if it is not there.
      half: see `read`.
      keep_aspect: whether results have the aspect ratio of their input: the whole of it is squeezed
        for the translation, and the result stretched.
      sheet: whether contact sheets of input, translation and the way back are written, too.
      batch_size: pictures at a time.

    Raises:
      InputError: the run has no such domain, or the results cannot be written.
    """
    import numpy as np
    from PIL import Image
    from tqdm import tqdm

    from discogan_jax import images
    from discogan_jax.data import decode
    from discogan_jax.runs import run as runs_run

    # There, and the way back for the sheets, if the run has one.
    there = runs_run.direction(translator, to)
    back = [there[::-1]] if sheet and there[::-1] in translator.directions else []
    labels = [translator.domains.route(path) for path in (there[0], there, there + there[0])]
    outcome = Outcome()
    # Fails before anything is written.
    jobs = list(zip(inputs, destinations(inputs, folder), strict=True))

    def load(job: tuple[Input, Path]) -> Fitted | InputError:
        try:
            return read(
                job[0].source, translator.preparations[there[0]].size.height, half, keep_aspect
            )
        except InputError as error:
            return error

    def readable() -> Iterator[tuple[Path, Fitted]]:
        loaded = decode.map_ahead(load, jobs)
        bar = tqdm(loaded, total=len(jobs), unit=" pictures", delay=1.0, disable=None)
        for (_, place), found in bar:
            if isinstance(found, Fitted):
                yield place, found
            else:
                outcome.bad.append(str(found))
                frame.say(f"skipped: {found}", sys.stderr)

    # Write as many results at a time as a contact sheet shows, and the sheet.
    results = _translated(translator, readable(), [there, *back], batch_size)
    while some := list(islice(results, SHEET_ROWS)):
        for place, shape, pictures in some:
            whole = Image.fromarray(pictures[1]).resize(shape, Image.Resampling.BICUBIC)
            images.save(place, np.asarray(whole))
            outcome.written.append(place)
        if sheet:
            columns = zip(*(pictures for _, _, pictures in some), strict=True)
            path = folder / f"sheet-{len(outcome.sheets) + 1:03d}.png"
            images.save(path, images.grid(list(zip(labels, map(np.stack, columns), strict=False))))
            outcome.sheets.append(path)
    return outcome


def _translated(
    translator: "Translator",
    fitted: Iterator[tuple[Path, Fitted]],
    ways: Sequence[str],
    batch_size: int,
) -> Iterator[tuple[Path, tuple[int, int], "list[Picture]"]]:
    """Yields place and shape of each result, and its pictures: the input, then one per way."""
    import numpy as np

    from discogan_jax import images

    while batch := list(islice(fitted, batch_size)):
        columns = [np.stack([x.square for _, x in batch])]
        for way in ways:
            columns.append(images.to_uint8(translator.apply(columns[-1], way, batch_size)))
        for (place, x), *pictures in zip(batch, *columns, strict=True):
            yield place, x.shape, pictures
