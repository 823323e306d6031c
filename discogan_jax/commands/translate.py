"""Pictures of people's own, translated by a trained run: files in, files out."""

import glob
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from tqdm import tqdm

from discogan_jax import images
from discogan_jax.data.folder import pictures_below
from discogan_jax.errors import InputError
from discogan_jax.runs import Translator
from discogan_jax.runs import run as runs_run

STDIN = "-"
SHEET_ROWS = 16

Half = Literal["left", "right"]
Picture = UInt8[np.ndarray, "H W 3"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Input:
    """A picture to translate.

    Attributes:
      source: its path, or its bytes.
      name: path of the result below the output folder, with the input's own suffix.
    """

    source: Path | bytes
    name: Path


@dataclass
class Outcome:
    """What became of the inputs.

    Attributes:
      written: the results.
      sheets: contact sheets.
      bad: a message for every input that could not be read.
    """

    written: list[Path] = field(default_factory=list)
    sheets: list[Path] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)


def find(given: Sequence[str]) -> list[Input]:
    """Files, folders (searched at any depth), glob patterns, or ``-`` for standard input.

    Args:
      given: as on a command line.

    Returns:
      Every picture once. Those of a folder keep their place below it.

    Raises:
      InputError: nothing is there, or a folder or pattern has no pictures.
    """
    found: dict[Path | None, Input] = {}
    for word in given:
        if word == STDIN:
            found[None] = Input(sys.stdin.buffer.read(), Path("stdin.png"))
            continue
        path = Path(word).expanduser()
        if path.is_dir():
            files = [(file, file.relative_to(path)) for file in pictures_below(path)]
        elif path.exists() or not glob.has_magic(word):
            files = [(path, Path(path.name))]
        else:
            matched = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 (absolute, too)
            files = [(file, Path(file.name)) for file in matched if file.is_file()]
        if not files:
            kinds = ", ".join(sorted(images.EXTENSIONS))
            raise InputError(f"{word}: no pictures ({kinds}) are there; check the path.")
        for file, name in files:
            found.setdefault(file.resolve(), Input(file, name))
    return list(found.values())


def destinations(inputs: Sequence[Input], folder: Path) -> list[Path]:
    """Where the results go: names stay, the kind becomes PNG, no two are the same.

    Raises:
      InputError: a result would be written over an input.
    """
    sources = {i.source.resolve() for i in inputs if isinstance(i.source, Path)}
    taken: set[Path] = set()
    places = []
    for i in inputs:
        stem, suffix = i.name.stem, i.name.suffix.lstrip(".")
        endings = chain(["", f"-{suffix}"], (f"-{n}" for n in count(2)))
        names = (i.name.with_name(f"{stem}{ending}.png") for ending in endings)
        name = next(name for name in names if name not in taken)
        taken.add(name)
        place = folder / name
        if place.resolve() in sources:
            raise InputError(f"{place} is an input: name another folder for the results.")
        places.append(place)
    return places


@dataclass(frozen=True)
class Fitted:
    """A picture as a run takes it.

    Attributes:
      square: ``[S, S, 3]``.
      shape: width and height of the picture itself, the longer one being S.
    """

    square: Picture
    shape: tuple[int, int]


def read(source: Path | bytes, size: int, half: Half | None, squeeze: bool) -> Fitted:
    """Reads a picture and fits it to a square as training does.

    Args:
      source: what is read.
      size: side of the square.
      half: of a picture that shows two side by side, as the pix2pix archives do; None takes all.
      squeeze: takes the whole picture, whatever its aspect, and not its largest centred square.

    Raises:
      InputError: it cannot be read.
    """
    picture = images.read(source)
    if half:
        middle = picture.shape[1] // 2
        if not middle:
            raise InputError(f"{source if isinstance(source, Path) else STDIN} has no two halves.")
        picture = picture[:, :middle] if half == "left" else picture[:, -middle:]
    height, width = picture.shape[:2]
    longer = max(width, height)
    shape = max(1, round(size * width / longer)), max(1, round(size * height / longer))
    if squeeze and width != height:
        square = Image.fromarray(np.ascontiguousarray(picture))
        squeezed = square.resize((size, size), Image.Resampling.HAMMING)
        return Fitted(np.array(squeezed, np.uint8), shape)
    return Fitted(images.fit(picture, size), shape)


def translate(
    run: Translator,
    inputs: Sequence[Input],
    to: str,
    folder: Path,
    *,
    half: Half | None = None,
    keep_aspect: bool = False,
    sheet: bool = False,
    batch_size: int = 64,
    say: Say = print,
) -> Outcome:
    """Translates pictures and writes the results as PNG.

    Args:
      run: from `translators.open`.
      inputs: from `find`; those that cannot be read are named and passed over.
      to: name of the domain that they become.
      folder: where to; made if need be.
      half: the inputs are pairs side by side: which one is taken.
      keep_aspect: results have their input's aspect ratio: the whole of it is squeezed for the
        translation, and stretched back.
      sheet: also writes contact sheets of input, translation and the way back.
      batch_size: pictures at a time.
      say: is told what was passed over.

    Raises:
      InputError: the run has no such domain, or the results cannot be written.
    """
    direction = runs_run.direction(run, to)
    names = [run.domains["ab".index(d)] for d in direction]
    size, back = run.image_size, direction[::-1]
    places = iter(zip(inputs, destinations(inputs, folder), strict=True))
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
        while few := list(islice(places, batch_size)):
            good: list[tuple[Path, Fitted]] = []
            for (_, place), loaded in zip(few, pool.map(load, few), strict=True):
                if isinstance(loaded, InputError):
                    outcome.bad.append(str(loaded))
                    say(f"skipped: {loaded}")
                else:
                    good.append((place, loaded))
            if good:
                batch = np.stack([fitted.square for _, fitted in good])
                made = images.to_uint8(run.apply(batch, direction, batch_size))
                for (place, fitted), picture in zip(good, made, strict=True):
                    images.save(place, _stretched(picture, fitted.shape, keep_aspect))
                    outcome.written.append(place)
                if sheet:
                    columns = [batch, made]
                    if back in run.directions:
                        columns.append(images.to_uint8(run.apply(made, back, batch_size)))
                    rows += zip(*columns, strict=True)
            bar.update(len(few))
            while len(rows) >= SHEET_ROWS:
                outcome.sheets.append(_sheet(folder, len(outcome.sheets), rows, names))
                del rows[:SHEET_ROWS]
    if rows:
        outcome.sheets.append(_sheet(folder, len(outcome.sheets), rows, names))
    return outcome


def _stretched(picture: Picture, shape: tuple[int, int], keep_aspect: bool) -> Picture:
    if not keep_aspect:
        return picture
    return np.array(Image.fromarray(picture).resize(shape, Image.Resampling.BICUBIC), np.uint8)


def _sheet(
    folder: Path, number: int, rows: list[tuple[np.ndarray, ...]], names: Sequence[str]
) -> Path:
    """Writes a contact sheet of the first rows: input, translation, the way back."""
    source, to = names
    labels = (source, f"{source} → {to}", f"{source} → {to} → {source}")
    columns = [np.stack(column) for column in zip(*rows[:SHEET_ROWS], strict=True)]
    place = folder / f"sheet-{number + 1:03d}.png"
    images.save(place, images.grid(list(zip(labels, columns, strict=False))))
    return place


def lines(outcome: Outcome, folder: Path, run: Translator, keep_aspect: bool) -> Iterator[str]:
    """What is said at the end."""
    size = run.image_size
    fitted = "squeezed into" if keep_aspect else "cut to the largest centred square, scaled to"
    yield f"{len(outcome.written)} translated into {folder} ({fitted} {size}×{size} px, as trained)"
    for sheet in outcome.sheets:
        yield f"contact sheet: {sheet}"
    if outcome.bad:
        yield f"{len(outcome.bad)} could not be read, see above"
