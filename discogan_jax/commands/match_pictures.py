"""The work of `discogan match`: translates pictures, finds what goes with them, writes both."""

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from discogan_jax import files, images
from discogan_jax.commands import frame
from discogan_jax.commands.translate_pictures import (
    BATCH,
    Fitted,
    Outcome,
    check_places,
    read_all,
    saved,
    there_and_back,
)
from discogan_jax.data.decode import Item
from discogan_jax.errors import InputError
from discogan_jax.images import Size
from discogan_jax.images.fitting import Fit
from discogan_jax.matching import COUNT, Catalogue, Match, open_catalogue
from discogan_jax.runs import Translator, translating

LINES_FILE = "matches.jsonl"

SHEET = "matches"
"""Role of the contact sheets, see `images.save`."""

KEYS = ("picture", "rank", "file", "distance")
"""What a line holds."""

CELL = 96
"""Least width of a picture in a contact sheet."""


def match(
    translator: Translator,
    inputs: Sequence[Item],
    folder: Path,
    to: str,
    out: Path | None,
    *,
    count: int = COUNT,
    fit: Fit | None = None,
    side: str | None = None,
    data_dir: Path | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = frame.say,
) -> tuple[Outcome, int]:
    """Finds the pictures of a folder that go with others, and prints or writes them.

    Args:
      translator: run or export, from `export.open_translator`.
      inputs: pictures from `translate_pictures.find`; those that cannot be read are reported and
        skipped.
      folder: folder of the catalogue.
      to: name of the domain of the catalogue's pictures.
      out: folder for the lines and contact sheets; None prints the lines.
      count: number of pictures to find for each input.
      fit: what takes the place of the run's own `Preparation.fit`, if anything.
      side: side to take of pictures that show two, left or right; None for whole pictures.
      data_dir: where the catalogue's index is kept, see `open_catalogue`.
      overwrite: replace files that this program did not write, but no inputs.
      say: prints a message.

    Returns:
      What was noticed, and the number of pictures that were matched.

    Raises:
      InputError: there is no such domain, the catalogue has no pictures, or other files are in the
        place of the results.
    """
    way = translating.direction(translator, to)
    source = translator.preparations[way[0]]
    translating.check_takes_files(source)
    outcome, matched = Outcome(replace(source, fit=fit or source.fit)), 0
    sheets = iter(() if out is None else _places(inputs, folder, out, overwrite=overwrite))
    catalogue = open_catalogue(folder, translator, to, data_dir)
    say(str(catalogue))

    lines: list[str] = []
    fitted = read_all(inputs, side, outcome)
    while batch := list(islice(fitted, BATCH)):
        shown, _ = there_and_back(translator, [way], np.stack([x.prepared for x in batch]))
        found = catalogue.nearest(shown[1], count)
        new = [
            line
            for x, matches in zip(batch, found, strict=True)
            for line in _lines(x, matches, folder)
        ]
        matched += len(batch)
        if out is None:
            frame.say("\n".join(new))
            continue
        lines += new
        sheet = _sheet(
            [translator.domains.route(r) for r in (way[0], way)], shown, catalogue, found
        )
        if saved(place := next(sheets), sheet, SHEET):
            outcome.sheets.append(place)
    if out is not None and lines:
        _write(out / LINES_FILE, lines)
        say(f"{matched} matched: {out / LINES_FILE}")
    for place in outcome.sheets:
        say(f"contact sheet: {place}")
    return outcome, matched


def _places(inputs: Sequence[Item], folder: Path, out: Path, *, overwrite: bool) -> list[Path]:
    """Names the contact sheets; checks that all results can be written."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out={out} is a file; name a folder.")
    if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(folder)):
        raise InputError(
            f"--out={out} is in the catalogue, where contact sheets would be found as pictures; "
            "name another folder."
        )
    sheets = [out / f"sheet-{n + 1:03d}.png" for n in range(-(-len(inputs) // BATCH))]
    places: dict[Path, Callable[[Path], bool]] = {out / LINES_FILE: _is_ours}
    places |= dict.fromkeys(sheets, partial(images.is_saved, role=SHEET))
    check_places(places, inputs, overwrite=overwrite)
    return sheets


def _is_ours(path: Path) -> bool:
    """Whether a file begins with a line as this command writes it."""
    with path.open(encoding="utf-8") as file:
        return tuple(json.loads(file.readline())) == KEYS


def _lines(x: Fitted, matches: Sequence[Match], folder: Path) -> list[str]:
    picture = str(x.item.source) if isinstance(x.item.source, Path) else "-"
    rows = (
        (picture, rank, str(folder / found.name), round(found.distance, 4))
        for rank, found in enumerate(matches, 1)
    )
    return [json.dumps(dict(zip(KEYS, row, strict=True))) for row in rows]


def _write(path: Path, lines: Sequence[str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as temporary:
            temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def _sheet(
    labels: Sequence[str],
    shown: Sequence[UInt8[np.ndarray, "N h w C"]],
    catalogue: Catalogue,
    found: Sequence[Sequence[Match]],
) -> UInt8[np.ndarray, "H W 3"]:
    """Tiles pictures and translations, as the networks see them, and what was found, in detail."""
    height, width = catalogue.preparation.size
    scale = math.ceil(CELL / width)
    size = Size(scale * height, scale * width)
    columns = [
        (label, x.repeat(scale, axis=1).repeat(scale, axis=2))
        for label, x in zip(labels, shown, strict=True)
    ]
    white = np.full((*size, shown[0].shape[-1]), 255, np.uint8)
    for rank, matches in enumerate(zip(*(row[:COUNT] for row in found), strict=True), 1):
        read = [catalogue.load(x.name, size) for x in matches]
        columns.append((str(rank), np.stack([white if x is None else x for x in read])))
    return images.grid(columns, cell=CELL)
