"""Translates image files with a trained run and writes the results as PNG.

Each picture is cut to its largest centred square and scaled, as in training. Files that cannot be
read are reported and skipped; the exit code is 1 then.
"""

import argparse
import glob
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
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
Say = Callable[[str], None]


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_run("run directory, one of its checkpoints, or an export")
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="files, folders (with all below them), glob patterns, or - for standard input",
    )
    parser.add_argument("--to", required=True, metavar="DOMAIN", help="what they become: shoes")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where to")
    parser.add_argument(
        "--pairs",
        choices=("left", "right"),
        help="inputs show two pictures side by side, as the pix2pix archives do: take this one",
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
    parser.add_work(run)


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
        say=partial(frame.say, file=sys.stderr),
    )
    size = f"{translator.image_size}×{translator.image_size} px, as trained"
    way = "squeezed" if arguments.keep_aspect else "cut to the largest centred square, scaled"
    frame.say(f"{len(outcome.written)} translated into {arguments.out} ({way} to {size})")
    for sheet in outcome.sheets:
        frame.say(f"contact sheet: {sheet}")
    if outcome.bad:
        frame.say(f"{len(outcome.bad)} skipped, see above")
    return EXIT_SKIPPED if outcome.bad else 0


class Input(NamedTuple):
    """A picture to translate.

    Attributes:
      source: its path, or its bytes.
      name: path of the result below the output folder, with the input's own suffix.
    """

    source: Path | bytes
    name: Path


class Fitted(NamedTuple):
    """A picture that is fitted to a run.

    Attributes:
      square: ``[S, S, 3]``.
      shape: width and height of the picture itself, the longer one being S.
    """

    square: "Picture"
    shape: tuple[int, int]


@dataclass(frozen=True)
class Outcome:
    """What became of the inputs.

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
    from discogan_jax.data.folder import pictures_below

    found: dict[Path | None, Input] = {}
    for word in given:
        path = Path(word).expanduser()
        if word == STDIN:
            found[None] = Input(sys.stdin.buffer.read(), Path("stdin.png"))
            continue
        # A folder, a file (which need not exist: that is reported on reading), a pattern.
        if path.is_dir():
            files = [Input(file, file.relative_to(path)) for file in pictures_below(path)]
        elif path.exists() or not glob.has_magic(word):
            files = [Input(path, Path(path.name))]
        else:
            matched = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 (absolute, too)
            files = [Input(file, Path(file.name)) for file in matched if file.is_file()]
        if not files:
            kinds = ", ".join(sorted(images.EXTENSIONS))
            raise InputError(f"{word}: there are no pictures ({kinds}); check the path.")
        for file in files:
            found.setdefault(Path(str(file.source)).resolve(), file)
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
    if half:
        middle = picture.shape[1] // 2
        if not middle:
            raise InputError(f"{source if isinstance(source, Path) else STDIN} has no two halves.")
        picture = picture[:, :middle] if half == "left" else picture[:, -middle:]
    height, width = picture.shape[:2]
    longer = max(width, height)
    shape = max(1, round(size * width / longer)), max(1, round(size * height / longer))
    # Make a square: of the whole picture, or of its middle.
    if squeeze and width != height:
        square = Image.fromarray(np.ascontiguousarray(picture))
        squeezed = square.resize((size, size), Image.Resampling.HAMMING)
        return Fitted(np.array(squeezed, np.uint8), shape)
    return Fitted(images.fit(picture, size), shape)


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
    say: Say = frame.say,
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
      say: takes messages about skipped inputs.

    Raises:
      InputError: the run has no such domain, or the results cannot be written.
    """
    import numpy as np
    from tqdm import tqdm

    from discogan_jax import images
    from discogan_jax.runs import run as runs_run

    direction = runs_run.direction(translator, to)
    names = [translator.domains.name(d) for d in direction]
    size, back = translator.image_size, direction[::-1]
    jobs = iter(zip(inputs, destinations(inputs, folder), strict=True))
    outcome = Outcome()
    rows: list[tuple[np.ndarray, ...]] = []

    def load(job: tuple[Input, Path]) -> Fitted | InputError:
        try:
            return read(job[0].source, size, half, keep_aspect)
        except InputError as error:
            return error

    with (
        tqdm(total=len(inputs), unit=" pictures", delay=1.0, disable=None) as bar,
        ThreadPoolExecutor() as pool,
    ):
        while few := list(islice(jobs, batch_size)):
            # Read a batch; what cannot be read is reported in its turn.
            loaded = [(p, x) for (_, p), x in zip(few, pool.map(load, few), strict=True)]
            for error in (x for _, x in loaded if isinstance(x, InputError)):
                outcome.bad.append(str(error))
                say(f"skipped: {error}")
            good = [(place, x) for place, x in loaded if isinstance(x, Fitted)]
            # Translate it, write the results, and collect rows of the contact sheets.
            if good:
                batch = np.stack([fitted.square for _, fitted in good])
                made = images.to_uint8(translator.apply(batch, direction, batch_size))
                for (place, fitted), picture in zip(good, made, strict=True):
                    images.save(place, _scaled(picture, fitted.shape) if keep_aspect else picture)
                    outcome.written.append(place)
                if sheet:
                    columns = [batch, made]
                    if back in translator.directions:
                        columns.append(images.to_uint8(translator.apply(made, back, batch_size)))
                    rows += zip(*columns, strict=True)
                    _write_sheets(rows, outcome.sheets, folder, names, least=SHEET_ROWS)
            bar.update(len(few))
    _write_sheets(rows, outcome.sheets, folder, names, least=1)
    return outcome


def _scaled(picture: "Picture", shape: tuple[int, int]) -> "Picture":
    import numpy as np
    from PIL import Image

    return np.array(Image.fromarray(picture).resize(shape, Image.Resampling.BICUBIC), np.uint8)


def _write_sheets(
    rows: "list[tuple[np.ndarray, ...]]",
    sheets: list[Path],
    folder: Path,
    names: Sequence[str],
    *,
    least: int,
) -> None:
    """Writes contact sheets of input, translation and the way back.

    Args:
      rows: pictures; those that are written are removed.
      sheets: takes the paths.
      folder: folder of the sheets.
      names: domains of input and translation.
      least: rows that make a sheet.
    """
    import numpy as np

    from discogan_jax import images

    source, to = names
    labels = (source, f"{source} → {to}", f"{source} → {to} → {source}")
    while len(rows) >= least:
        columns = [np.stack(column) for column in zip(*rows[:SHEET_ROWS], strict=True)]
        del rows[:SHEET_ROWS]
        sheets.append(folder / f"sheet-{len(sheets) + 1:03d}.png")
        images.save(sheets[-1], images.grid(list(zip(labels, columns, strict=False))))
