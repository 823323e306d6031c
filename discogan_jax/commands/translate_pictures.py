"""Translates picture files in batches and writes the results."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from tqdm import tqdm

from discogan_jax import images
from discogan_jax.commands import frame
from discogan_jax.commands.translate_paths import STDIN, Input, destinations
from discogan_jax.data import decode
from discogan_jax.errors import InputError
from discogan_jax.images import Preparation, Size
from discogan_jax.images.fitting import Fit
from discogan_jax.images.preparation import Restored
from discogan_jax.runs import translating
from discogan_jax.runs.translating import Translator

SHEET_ROWS = 16

Half = Literal["left", "right"]
Range = tuple[float, float]


class Fitted(NamedTuple):
    """A picture that is prepared for a run.

    Attributes:
      prepared: what the networks see.
      size: size of the picture before.
      clipped: whether it has values beyond the range of the run.
    """

    prepared: UInt8[np.ndarray, "h w C"]
    size: Size
    clipped: bool


class Translated(NamedTuple):
    """A picture and what became of it.

    Attributes:
      place: file of the result.
      fitted: the picture.
      made: its translation.
      shown: pictures of the contact sheet: what the networks see, the translation, the way back.
    """

    place: Path
    fitted: Fitted
    made: Float[np.ndarray, "h w C"]
    shown: list[UInt8[np.ndarray, "h w C"]]


@dataclass
class Outcome:
    """What was written and what was skipped.

    Attributes:
      preparation: what was done to the pictures.
      written: results.
      sheets: contact sheets.
      bad: a message for every input that could not be read.
      clipped: number of pictures with values beyond the range of the run.
    """

    preparation: Preparation
    written: list[Path] = field(default_factory=list)
    sheets: list[Path] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    clipped: int = 0


def translate(
    translator: Translator,
    inputs: Sequence[Input],
    to: str,
    out: Path,
    *,
    size: Restored = "model",
    fit: Fit | None = None,
    depth: Literal[8, 16] = 8,
    half: Half | None = None,
    sheet: bool = False,
    batch_size: int = 64,
) -> Outcome:
    """Translates pictures and writes the results.

    Args:
      translator: run or export, from `export.open_translator`.
      inputs: pictures from `translate_paths.find`; those that cannot be read are reported and
        skipped.
      to: name of the domain to translate to.
      out: folder of the results, made if it is not there; a file for one picture.
      size: size of the results, see `Preparation.restore`.
      fit: what takes the place of the run's own `Preparation.fit`, if anything.
      depth: 8 writes bytes, 16 the values of the target's pictures.
      half: see `read`.
      sheet: whether contact sheets of input, translation and the way back are written, too.
      batch_size: pictures at a time.

    Raises:
      InputError: the run has no such domain, or the results cannot be written.
    """
    # What is done to the pictures, and to the results.
    there = translating.direction(translator, to)
    prepared = translator.preparations[there[0]]
    translating.check_takes_files(prepared)
    outcome = Outcome(replace(prepared, fit=fit or prepared.fit))
    values = _values(translator.preparations[there[1]]) if depth == 16 else None
    # Fails before anything is written.
    jobs = list(zip(inputs, destinations(inputs, out, _suffix(values)), strict=True))

    # Write as many results at a time as a contact sheet shows, and the sheet with the way back.
    ways = [way for way in (there, there[::-1])[: 1 + sheet] if way in translator.directions]
    results = _translated(translator, _read_all(jobs, half, outcome), ways, batch_size)
    while some := list(islice(results, SHEET_ROWS)):
        for x in some:
            restore = partial(outcome.preparation.restore, size=x.fitted.size, wanted=size)
            images.save(x.place, _finished(x.made, restore, values))
            outcome.written.append(x.place)
        if sheet:
            routes = (there[0], there, there + there[0])
            labels = [translator.domains.route(route) for route in routes]
            columns = map(np.stack, zip(*(x.shown for x in some), strict=True))
            path = _sheet_path(out, some[0].place, len(outcome.sheets) + 1)
            images.save(path, images.grid(list(zip(labels, columns, strict=False))))
            outcome.sheets.append(path)
    return outcome


def read(source: Path | bytes, preparation: Preparation, half: Half | None = None) -> Fitted:
    """Reads a picture and prepares it as in training.

    Args:
      source: what is read.
      preparation: what is done to it.
      half: half to take of a picture that shows two side by side, as the pix2pix archives do.

    Raises:
      InputError: it cannot be read.
    """
    if half is None:
        picture = preparation.load(source)
    else:
        # In full: the half of a smaller one might not be enough.
        pair = images.load(source)
        height, middle = pair.size.height, pair.size.width // 2
        if not middle:
            raise InputError(f"{source if isinstance(source, Path) else STDIN} has no two halves.")
        columns = slice(middle) if half == "left" else slice(-middle, None)
        picture = pair._replace(pixels=pair.pixels[:, columns], size=Size(height, middle))
    clipped = preparation.clipped(picture) > 0
    return Fitted(preparation.apply(picture), picture.size, clipped)


def _read_all(
    jobs: Sequence[tuple[Input, Path]], half: Half | None, outcome: Outcome
) -> Iterator[tuple[Path, Fitted]]:
    """Yields the place of each result, and the picture; reports those that cannot be read."""

    def load(job: tuple[Input, Path]) -> Fitted | InputError:
        try:
            return read(job[0].source, outcome.preparation, half)
        except InputError as error:
            return error

    loaded = decode.map_ahead(load, jobs)
    for (_, place), found in tqdm(
        loaded, total=len(jobs), unit=" pictures", delay=1.0, disable=None
    ):
        if isinstance(found, Fitted):
            outcome.clipped += found.clipped
            yield place, found
        else:
            outcome.bad.append(str(found))
            frame.say(f"skipped: {found}", sys.stderr)


def _translated(
    translator: Translator,
    fitted: Iterator[tuple[Path, Fitted]],
    ways: Sequence[str],
    batch_size: int,
) -> Iterator[Translated]:
    while batch := list(islice(fitted, batch_size)):
        # The way back begins with bytes, as they would be in a file.
        columns, made = [np.stack([x.prepared for _, x in batch])], []
        for way in ways:
            made.append(translator.apply(columns[-1], way, batch_size))
            try:
                columns.append(images.to_uint8(made[-1]))
            except ValueError as error:
                raise InputError(f"{translator.path} makes no pictures: {error}") from error
        for i, (place, x) in enumerate(batch):
            yield Translated(place, x, made[0][i], [column[i] for column in columns])


def _values(target: Preparation) -> Range:
    """Returns the values that stand for 0 and 1 in deep results.

    Raises:
      InputError: no file holds such results.
    """
    if target.channels != 1:
        raise InputError("--depth=16 is for runs of grey pictures (data.channels=1): leave it out")
    return target.range or (0.0, 65535.0)


def _suffix(values: Range | None) -> str:
    """Returns the suffix of results in a folder: PNG has no floating point."""
    floating = values and images.from_unit(np.zeros(1), values).dtype.kind == "f"
    return ".tif" if floating else ".png"


def _finished(
    made: Float[np.ndarray, "h w C"],
    restore: Callable[[np.ndarray], np.ndarray],
    values: Range | None,
) -> Shaped[np.ndarray, "H W C"]:
    """Brings a translation to its size and values: bytes, if no values are given."""
    if values is None:
        return restore(images.to_uint8(made))
    return images.from_unit(restore(made.astype(np.float32)), values)


def _sheet_path(out: Path, written: Path, number: int) -> Path:
    """Names a contact sheet in the folder of the results, or beside the only one."""
    name = f"sheet-{number:03d}.png"
    return out.with_name(f"{out.stem}-{name}") if written == out else out / name
