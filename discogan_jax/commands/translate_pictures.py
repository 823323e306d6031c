"""The work of `discogan translate`: finds pictures, translates them in batches, writes results."""

import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image

from discogan_jax import images
from discogan_jax.commands import frame
from discogan_jax.data.census import LITTLE_USED
from discogan_jax.data.decode import Item, map_ahead
from discogan_jax.data.folder import MOSTLY
from discogan_jax.data.listing import pictures_below
from discogan_jax.data.progress import progress_bar
from discogan_jax.errors import InputError
from discogan_jax.files import disk_full, expanded, require_ours
from discogan_jax.images import MAX_BYTES, Picture, Preparation, Size
from discogan_jax.images.fitting import Fit
from discogan_jax.images.preparation import Restored
from discogan_jax.images.values import Range
from discogan_jax.runs import translating
from discogan_jax.runs.translating import Translator

STDIN = "-"

TRANSLATION, SHEET = "translation", "contact sheet"
"""Roles of the files that are written, see `images.save`: one does not replace the other."""

BATCH = 16
"""Pictures that are translated at a time, and shown in a contact sheet."""

NAMED = 5
"""Number of files that are named of those that are no pictures."""


class Fitted(NamedTuple):
    """A picture that is prepared for a run.

    Attributes:
      prepared: what the networks see.
      size: size of the picture before.
      item: the picture.
    """

    prepared: UInt8[np.ndarray, "h w C"]
    size: Size
    item: Item


class Result(NamedTuple):
    """A translation that is to be written.

    Attributes:
      place: its file.
      translation: what the networks made: bytes, or numbers in [0, 1].
      size: size of the picture that was translated.
    """

    place: Path
    translation: Shaped[np.ndarray, "h w C"]
    size: Size


@dataclass
class Outcome:
    """What was written.

    Attributes:
      preparation: what was done to the pictures.
      written: results.
      there: results of an earlier call, which stay.
      sheets: contact sheets.
      remarks: numbers of pictures that are `clipped` (values beyond the range of the run), `faint`
        (values in a small part of it), `clear` (transparent, in part) or `paired` (twice as wide as
        high, and cut).
    """

    preparation: Preparation
    written: list[Path] = field(default_factory=list)
    there: list[Path] = field(default_factory=list)
    sheets: list[Path] = field(default_factory=list)
    remarks: Counter[str] = field(default_factory=Counter)


def find(given: Sequence[str]) -> tuple[list[Item], list[Path], int]:
    """Finds pictures: files, those in folders at any depth, those that match glob patterns.

    Args:
      given: paths and patterns, or ``-`` for standard input.

    Returns:
      The pictures, each once, named as the results are, but for the suffix: those of a folder keep
      their place below it. The files in folders that are no pictures. And the number of folders
      below those that cannot be listed, which are reported.

    Raises:
      InputError: there is no such file, or a folder or pattern has no pictures.
    """
    # By place, so that a picture which is named twice is translated once. (`Path.resolve` raises at
    # links in a circle, which `load` reports.)
    found: dict[str, Item] = {}
    left_out: dict[Path, None] = {}
    unlisted: dict[str, None] = {}
    for word in given:
        path = expanded(word)
        # Standard input, a folder, a file, a pattern.
        if word == STDIN:
            if STDIN not in found:  # it can be read once
                found[STDIN] = Item(_standard_input(), "stdin")
            continue
        if path.is_dir():
            files, others, problems = pictures_below(path)
            left_out |= dict.fromkeys(others)
            unlisted |= dict.fromkeys(problems)
        elif path.exists():
            files = [path]
        elif not glob.has_magic(word):
            raise InputError(f"{word}: there is no such file; check the path.")
        else:
            matched = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 (absolute, too)
            files = [file for file in matched if file.is_file()]
        if not files:
            raise InputError(f"{word}: there are no pictures; check the path.")
        for file in files:
            name = str(file.relative_to(path)) if path.is_dir() else file.name
            found.setdefault(os.path.realpath(file), Item(file, name))
    for problem in unlisted:
        frame.say(f"skipped: {problem}", sys.stderr)
    return list(found.values()), list(left_out), len(unlisted)


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise InputError("standard input is closed: name files, or give it a picture.")
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"standard input is too large: the limit is {MAX_BYTES:,} bytes.")
    return content


def translate(
    translator: Translator,
    inputs: Sequence[Item],
    to: str,
    out: Path,
    *,
    size: Restored = "model",
    fit: Fit | None = None,
    deep: bool = False,
    side: str | None = None,
    sheet: bool = False,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> Outcome:
    """Translates pictures and writes the results.

    Args:
      translator: run or export, from `export.open_translator`.
      inputs: pictures from `find`; those that cannot be read, or whose results cannot be written,
        are reported and skipped.
      to: name of the domain to translate to.
      out: folder of the results, made if it is not there; a file for one picture.
      size: size of the results, see `Preparation.restore`.
      fit: what takes the place of the run's own `Preparation.fit`, if anything.
      deep: whether results have the values of the target's pictures, instead of bytes.
      side: side to take of pictures that show two, left or right; None for whole pictures.
      sheet: whether contact sheets of input, translation and the way back are written, too.
      overwrite: replace files that this program did not write, but no inputs.
      skip_existing: leave out pictures whose results this program has written before.

    Raises:
      InputError: the run has no such domain, other files are in the place of the results, or the
        disk is full.
    """
    # What is done to the pictures, and to the results.
    way = translating.direction(translator, to)
    source, target = (translator.preparations[d] for d in way)
    translating.check_takes_files(source)
    outcome = Outcome(replace(source, fit=fit or source.fit))
    values = _values(target) if deep else None
    # Fails before anything is written.
    number = len(inputs)
    sheets = -(-number // BATCH) if sheet else 0
    places = destinations(inputs, out, _suffix(values), sheets, overwrite=overwrite)
    later = iter(places[number:])
    place_of = dict(zip(inputs, places, strict=False))
    if skip_existing:
        outcome.there = [
            x for x in places[:number] if x.exists() and images.is_saved(x, TRANSLATION)
        ]
        there = {*outcome.there}
        inputs = [x for x in inputs if place_of[x] not in there]

    fitted = read_all(inputs, side, outcome)
    ways = [d for d in (way, way[::-1])[: 1 + sheet] if d in translator.directions]

    def translations() -> Iterator[Result]:
        while batch := list(islice(fitted, BATCH)):
            prepared = np.stack([x.prepared for x in batch])
            shown, made = there_and_back(translator, ways, prepared)
            results = made.astype(np.float32) if values else shown[1]
            for x, result in zip(batch, results, strict=True):
                yield Result(place_of[x.item], result, x.size)
            if sheet:
                labels = [translator.domains.route(r) for r in (way[0], way, way + way[0])]
                grid = images.grid(list(zip(labels, shown, strict=False)))
                if saved(place := next(later), grid, SHEET):
                    outcome.sheets.append(place)

    def write(result: Result) -> InputError | None:
        restored = outcome.preparation.restore(result.translation, result.size, size)
        pixels = images.from_unit(restored, values) if values else restored
        return _refused(result.place, pixels, TRANSLATION)

    # Files are written while the next pictures are translated.
    for result, problem in map_ahead(write, translations()):
        if problem is None:
            outcome.written.append(result.place)
        else:
            frame.say(f"skipped: {problem}", sys.stderr)
    return outcome


def saved(place: Path, pixels: Shaped[np.ndarray, "H W C"], role: str) -> bool:
    """Saves a picture; reports a place that takes none, such as a name that is too long."""
    if problem := _refused(place, pixels, role):
        frame.say(f"skipped: {problem}", sys.stderr)
    return problem is None


def _refused(place: Path, pixels: Shaped[np.ndarray, "H W C"], role: str) -> InputError | None:
    """Saves a picture; returns why its place takes none."""
    try:
        images.save(place, pixels, role)
    except InputError as error:
        if disk_full(error) or not isinstance(error.__cause__, OSError):
            raise  # no place will do
        return error
    return None


def read_all(inputs: Sequence[Item], side: str | None, outcome: Outcome) -> Iterator[Fitted]:
    """Yields the prepared pictures; reports those that cannot be read."""
    preparation = outcome.preparation

    def load(item: Item) -> tuple[Fitted, list[str]] | InputError:
        try:
            picture = item._replace(side=side).load(preparation)
            prepared = Fitted(preparation.apply(picture), picture.size, item)
            return prepared, _remarks(preparation, picture, side)
        except InputError as error:
            return error

    with progress_bar("translated", len(inputs), " pictures") as bar:
        for _, found in map_ahead(load, inputs):
            bar.update()
            if isinstance(found, InputError):
                frame.say(f"skipped: {found}", sys.stderr)
            else:
                outcome.remarks.update(found[1])
                yield found[0]


def _remarks(preparation: Preparation, picture: Picture, side: str | None) -> list[str]:
    """Returns what is not as it might be expected, see `Outcome.remarks`."""
    height, width = picture.size
    cut = images.share_cut(picture.size, preparation.size, preparation.fit)
    found = {
        "clipped": preparation.clipped(picture) > 0,
        "faint": preparation.used(picture) < LITTLE_USED,
        "clear": picture.clear,
        "paired": not side and width == 2 * height and cut > 0,
    }
    return [remark for remark, holds in found.items() if holds]


def describe(
    translator: Translator, outcome: Outcome, read: int, others: Sequence[Path], skipped: int
) -> Iterator[str]:
    """Says what is not as it might be expected, a line each.

    Args:
      translator: run or export.
      outcome: what was found.
      read: number of pictures that were translated.
      others: files in folders that are no pictures, from `find`.
      skipped: number of pictures without a result.
    """
    yield from translator.remarks
    if clipped := outcome.remarks["clipped"]:
        yield f"{clipped} with values beyond the run's range, which became its ends"
    if outcome.preparation.range and (faint := outcome.remarks["faint"]):
        part = f"a small part of the run's range, {images.range_text(outcome.preparation.range)}"
        yield f"{faint} with values in {part}; were they scaled differently?"
    if clear := outcome.remarks["clear"]:
        yield f"{clear} with transparent parts, which became white"
    if read and (paired := outcome.remarks["paired"]) and paired >= MOSTLY * read:
        which = f"{paired} of {read} twice as wide as high, as pairs side by side are"
        yield f"{which}: for pairs, use --pairs left or --pairs right"
    if others:
        names = ", ".join([file.name for file in others[:NAMED]] + ["..."] * (len(others) > NAMED))
        yield f"{len(others)} left out, not a picture ({names})"
    if skipped:
        yield f"{skipped} skipped, see above"


def there_and_back(
    translator: Translator, ways: Sequence[str], prepared: UInt8[np.ndarray, "N h w C"]
) -> tuple[list[UInt8[np.ndarray, "N h w C"]], Float[np.ndarray, "N h w C"]]:
    """Returns pictures with what each direction makes of them, as bytes; and the first in full."""
    shown, made = [prepared], []
    for way in ways:
        # The way back begins with bytes, as they would be in a file.
        made.append(translator.apply(shown[-1], way, BATCH))
        try:
            shown.append(images.to_uint8(made[-1]))
        except ValueError as error:
            raise InputError(f"{translator.path} makes no pictures: {error}") from error
    return shown, made[0]


def destinations(
    inputs: Sequence[Item], out: Path, suffix: str, sheets: int = 0, *, overwrite: bool = False
) -> list[Path]:
    """Names the result of each input, and contact sheets: in the same folder, after the results.

    Args:
      inputs: the pictures.
      out: a folder, or a file for a single picture: what has the suffix of pictures and is not
        there as a folder.
      suffix: suffix of the results in a folder. Below it, names are kept; none is taken twice.
      sheets: number of contact sheets.
      overwrite: whether files that this program did not write may be there.

    Raises:
      InputError: a file would be written over an input or another file, see `files.ours`, several
        results into one file, or floating-point numbers into another file than a TIFF.
    """
    if out.is_dir() or not _picture_suffix(out):
        places = _below([Path(item.name) for item in inputs], out, suffix)
        names = [Path(f"sheet-{n + 1:03d}.png") for n in range(sheets)]
        places += _below(names, out, ".png", set(places))
    elif len(inputs) > 1:
        raise InputError(
            f"--out={out} is one file, and there are {len(inputs)} pictures: name a folder"
        )
    elif suffix == ".tif" and out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"--out={out}: the results are floating-point numbers: name a .tif")
    else:
        places = [out, out.with_name(f"{out.stem}-sheet-001.png")][: 1 + sheets]
    roles = [TRANSLATION] * len(inputs) + [SHEET] * sheets
    ours = (partial(images.is_saved, role=role) for role in roles)
    check_places(dict(zip(places, ours, strict=True)), inputs, overwrite=overwrite)
    return places


def check_places(
    places: Mapping[Path, Callable[[Path], bool]], inputs: Sequence[Item], *, overwrite: bool
) -> None:
    """Checks that results can be written where they are to be.

    Args:
      places: files of the results, and whether this program wrote what is there, see `files.ours`.
      inputs: the pictures.
      overwrite: whether files that this program did not write may be there.

    Raises:
      InputError: a file would be written over an input or another file.
    """
    sources = {os.path.realpath(x.source) for x in inputs if isinstance(x.source, Path)}
    for place, is_ours in places.items():
        if os.path.realpath(place) in sources:
            raise InputError(f"{place} is an input: name another folder, or file, for the results.")
        require_ours(place, is_ours, overwrite=overwrite)


def _below(
    names: Sequence[Path], folder: Path, suffix: str, taken: Collection[Path] = ()
) -> list[Path]:
    """Names files in a folder: a.png keeps its name, a.jpg becomes a-jpg.png beside it."""
    places: dict[Path, int] = {}
    # First those that have the suffix.
    for i in sorted(range(len(names)), key=lambda i: names[i].suffix != suffix):
        kind = _picture_suffix(names[i])
        stem = names[i].name.removesuffix(kind)
        endings = chain(["", kind.replace(".", "-")], (f"-{n}" for n in count(2)))
        files = (folder / names[i].with_name(f"{stem}{ending}{suffix}") for ending in endings)
        places[next(file for file in files if file not in places and file not in taken)] = i
    return sorted(places, key=places.__getitem__)


def _picture_suffix(path: Path) -> str:
    """Returns the suffix of a file if it is that of pictures, of whatever kind, else nothing."""
    known = {*Image.registered_extensions(), ".heic", ".heif"}
    return path.suffix if path.suffix.lower() in known else ""


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
