"""What `discogan translate` reads, and where the results go."""

import glob
import sys
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from discogan_jax.errors import InputError

STDIN = "-"


class Input(NamedTuple):
    """A picture to translate.

    Attributes:
      source: its path, or its bytes.
      name: path of the result below the output folder, but for its suffix.
    """

    source: Path | bytes
    name: Path


class Found(NamedTuple):
    """What was found.

    Attributes:
      inputs: the pictures, each once.
      others: files in folders that are no pictures.
    """

    inputs: list[Input]
    others: list[Path]


def find(given: Sequence[str]) -> Found:
    """Finds pictures: files, those in folders at any depth, those that match glob patterns.

    Args:
      given: paths and patterns, or ``-`` for standard input.

    Returns:
      The pictures. Those of a folder keep their place below it.

    Raises:
      InputError: nothing is there, or a folder or pattern has no pictures.
    """
    from discogan_jax.data.listing import pictures_below

    # By place, so that a picture which is named twice is translated once.
    found: dict[Path, Input] = {}
    left_out: dict[Path, None] = {}
    for word in given:
        path = Path(word).expanduser()
        # Standard input, a folder, a file (if it is missing, reading reports that), a pattern.
        if word == STDIN:
            files = [Input(sys.stdin.buffer.read(), Path("stdin"))]
        elif path.is_dir():
            pictures, others = pictures_below(path)
            left_out |= dict.fromkeys(others)
            files = [Input(file, file.relative_to(path)) for file in pictures]
        elif path.exists() or not glob.has_magic(word):
            files = [Input(path, Path(path.name))]
        else:
            matched = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 (absolute, too)
            files = [Input(file, Path(file.name)) for file in matched if file.is_file()]
        if not files:
            raise InputError(f"{word}: there are no pictures; check the path.")
        for file in files:
            place = Path(STDIN) if isinstance(file.source, bytes) else file.source.resolve()
            found.setdefault(place, file)
    return Found(list(found.values()), list(left_out))


def is_picture_name(path: Path) -> bool:
    """Whether a path ends as files of pictures do, of whatever kind."""
    from PIL import Image

    return path.suffix.lower() in {*Image.registered_extensions(), ".heic", ".heif"}


def destinations(inputs: Sequence[Input], out: Path, suffix: str) -> list[Path]:
    """Names the result of each input.

    Args:
      inputs: the pictures.
      out: a folder, or a file for a single picture: what has the suffix of pictures and is not
        there as a folder.
      suffix: suffix of the results in a folder. Below it, names are kept; none is taken twice.

    Raises:
      InputError: a result would be written over an input, or several into one file.
    """
    sources = {i.source.resolve() for i in inputs if isinstance(i.source, Path)}
    if is_picture_name(out) and not out.is_dir():
        if len(inputs) != 1:
            raise InputError(
                f"--out={out} is one file, and there are {len(inputs)} pictures: name a folder"
            )
        places = [out]
    else:
        places = _below(inputs, out, suffix)
    for place in places:
        if place.resolve() in sources:
            raise InputError(f"{place} is an input: name another folder, or file, for the results.")
    return places


def _below(inputs: Sequence[Input], folder: Path, suffix: str) -> list[Path]:
    """Names results in a folder: a.png keeps its name, a.jpg becomes a-jpg.png beside it."""
    places: dict[Path, int] = {}
    # First those that have the suffix.
    for i in sorted(range(len(inputs)), key=lambda i: inputs[i].name.suffix != suffix):
        name = inputs[i].name
        kind = name.suffix if is_picture_name(name) else ""
        stem = name.name.removesuffix(kind)
        endings = chain(["", f"-{kind[1:]}"] if kind else [""], (f"-{n}" for n in count(2)))
        names = (folder / name.with_name(f"{stem}{ending}{suffix}") for ending in endings)
        places[next(place for place in names if place not in places)] = i
    return sorted(places, key=places.__getitem__)
