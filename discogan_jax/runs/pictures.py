"""Which pictures a run is trained on, and what was done to them: `data.json` and `digests.npz`."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt64

from discogan_jax import files
from discogan_jax.config import build
from discogan_jax.config.schema import Settings
from discogan_jax.data import cache, census
from discogan_jax.data.cache import SPLITS, Splits
from discogan_jax.data.source import DECODE_VERSION
from discogan_jax.errors import InputError
from discogan_jax.files import shapes
from discogan_jax.images import Preparation
from discogan_jax.runs import changes, layout
from discogan_jax.state import DOMAINS

# By the name of a domain, how many pictures came and went.
Differences = dict[str, dict[str, int]]

_PICTURES = {
    "train": int, "val": int, "layout?": (str, type(None)), "values?": str, "sizes?": [str],
    "left_out?": {str: {"count": int, "names": [str]}}, "unused_pages?": int, "distinct?": int,
    "leaked?": int, "blank?": int, "cut?": float, "clipped?": float, "grey?": float,
}  # fmt: skip
_DOMAIN = {"preparation": dict, "max_held_out?": (int, type(None)), "pictures?": dict}
_SHAPE = dict.fromkeys(DOMAINS, _DOMAIN) | {"digests?": str}

# Of what is known of a set, that which tells nothing of its files.
_PUBLIC = ("train", "val", "distinct", "blank", "leaked", "sizes", "values", "cut", "grey")

# Runs that recorded no pictures held out so many at most.
_MAX_HELD_OUT = 500


def known(directory: Path) -> build.Known:
    """Returns what a run has fixed about its pictures, for the functions of `config.build`.

    Args:
      directory: the run directory; it may be empty, or not exist yet.

    Raises:
      InputError: the record is damaged.
    """
    record = _read(directory)
    if record is None:
        is_earlier = (directory / layout.CONFIG_FILE).exists()
        return {d: {"max_held_out": _MAX_HELD_OUT} for d in DOMAINS} if is_earlier else {}
    fixed: dict[str, dict[str, Any]] = {}
    for d, prepared in _prepared(record).items():
        fixed[d] = {name: getattr(prepared, name) for name in ("range", "deep_only", "thicken")}
        fixed[d]["max_held_out"] = record[d].get("max_held_out")
    return fixed


def preparations(directory: Path, s: Settings) -> dict[str, Preparation]:
    """Returns, by domain, what is done to a picture before the networks of a run see it.

    Args:
      directory: the run directory.
      s: settings of the run.

    Raises:
      InputError: the record is damaged.
    """
    record, usual = _read(directory), build.preparations(s)
    if record is None:
        return usual
    found = _prepared(record)
    for d, prepared in found.items():
        if (prepared.size, prepared.channels) != (usual[d].size, usual[d].channels):
            raise InputError(
                f"{directory / layout.DATA_FILE} and {layout.CONFIG_FILE} contradict each other: "
                f"pictures of {prepared.size} px and {prepared.channels} channels there, of "
                f"{usual[d].size} px and {usual[d].channels} channels here. Put back the right one"
            )
    return found


def describe(directory: Path, s: Settings) -> list[str]:
    """Says what a run is trained on, in a line for each domain.

    Args:
      directory: the run directory.
      s: settings of the run.

    Raises:
      InputError: the record is damaged.
    """
    lines, recorded = [], about(directory)
    for d, prepared in preparations(directory, s).items():
        found = [census.describe(recorded[d])] if recorded[d] else []
        lines.append(f"{s.domains.name(d)}: {'; '.join([*found, str(prepared)])}")
    return lines


def about(directory: Path) -> dict[str, dict[str, Any]]:
    """Returns, by domain, what is known of the pictures that a run is trained on, see `census`.

    Raises:
      InputError: the record is damaged.
    """
    record = _read(directory) or {}
    return {d: record.get(d, {}).get("pictures", {}) for d in DOMAINS}


def public(directory: Path) -> dict[str, Any] | None:
    """Returns the record of a run's pictures without their names and places; None if there is none.

    Raises:
      InputError: the record is damaged.
    """
    record = _read(directory)
    return record and {
        d: {
            "preparation": record[d]["preparation"],
            "max_held_out": record[d].get("max_held_out"),
            "pictures": {k: v for k, v in record[d].get("pictures", {}).items() if k in _PUBLIC},
        }
        for d in DOMAINS
    }


def check(
    directory: Path, s: Settings, loaded: Mapping[str, Splits], *, change: bool
) -> Differences | None:
    """Checks that the pictures of a run are those that it was started with, or may be others.

    Args:
      directory: the run directory, with or without a run.
      s: the settings.
      loaded: the pictures.
      change: whether a run goes on with other pictures.

    Returns:
      What differs; None if the pictures of a run were not recorded, and `claim` will do so.

    Raises:
      InputError: the run was trained on other pictures and `change` is false.
    """
    found = _differences(directory, s, loaded)
    if found and not change:
        raise InputError(
            f"{directory} was trained on other pictures ({changes.pictures_as_text(found)}): name "
            "another --workdir to start anew, or add --change to go on with these"
        )
    if found is None and (directory / layout.CONFIG_FILE).exists():
        # Another decoder changes every picture a little, which says nothing about the files.
        before = layout.read_settings(directory).data
        if (before.source_a, before.source_b) != (s.data.source_a, s.data.source_b):
            raise InputError(
                f"{directory} was trained on {before.source_a} and {before.source_b}, and has no "
                "record of these pictures that could be compared: use the same sources, or name "
                "another --workdir"
            )
    return found


def claim(
    directory: Path, s: Settings, loaded: Mapping[str, Splits], *, change: bool, step: int
) -> None:
    """Records the pictures of a run, and that they have changed if they have.

    Args:
      directory: the run directory, with or without a run.
      s: the settings.
      loaded: the pictures.
      change: whether a run goes on with other pictures.
      step: finished steps.

    Raises:
      InputError: `check` raises it.
    """
    found = check(directory, s, loaded, change=change)
    digests = {f"{d}_{split}": x.digests[split] for d, x in loaded.items() for split in SPLITS}
    name, saved = digests_file(directory), _saved_digests(directory)
    if saved is not None:
        # What the run has seen stays known, also where it is held out from now on.
        for d in DOMAINS:
            seen = [saved[f"{d}_before"]] + ([saved[f"{d}_train"]] if found and step else [])
            digests[f"{d}_before"] = np.unique(np.concatenate(seen))
    if found:
        # The record names the file, so that it is of the digests before or of those after.
        sums = hashlib.sha256(b"".join(x.tobytes() for x in digests.values()))
        name = f"digests-{sums.hexdigest()[:12]}.npz"
        changes.record(directory, step, pictures=found, digests=name)
    elif found is None and (directory / layout.CONFIG_FILE).exists():
        logging.warning(
            "%s: its pictures were decoded by another version, whose values may differ by a little "
            "from those that it goes on with; they are recorded now",
            directory,
        )
    cache.write_digests(directory / name, digests)
    _write(directory, s, loaded, name)
    for path in directory.glob("digests*.npz"):
        if path.name != name:
            path.unlink()


def digests_file(directory: Path) -> str:
    """Returns the name of the file of a run's digests.

    Raises:
      InputError: the record is damaged.
    """
    return str((_read(directory) or {}).get("digests", layout.DIGESTS_FILE))


def remarks(directory: Path, s: Settings, loaded: Mapping[str, Splits]) -> list[str]:
    """Says which held-out pictures may be others than in training, or may have been trained on.

    Args:
      directory: the run directory.
      s: settings of the run.
      loaded: the pictures as they are now.

    Returns:
      A line for each change of pictures in training, after which held-out ones may be some that
      were trained on before, and one for each domain whose pictures differ now; none of these if
      the pictures were not recorded.

    Raises:
      InputError: the record is damaged.
    """
    saved, lines = _saved_digests(directory), changes.of_pictures(directory)
    if saved is None:
        return lines
    for d, x in loaded.items():
        # Of the files, names and places may have changed: what counts is what they show.
        train, held_out, now = saved[f"{d}_train"], saved[f"{d}_val"], x.digests["val"]
        is_new = np.isin(now, held_out, invert=True)
        moved = _came_and_went(x, train, held_out)
        before = np.isin(now, saved[f"{d}_before"]).sum()
        if before:
            lines.append(
                f"{s.domains.name(d)}: of {len(now):,} held-out ones, {before:,} trained on before "
                "the run went on with other pictures"
            )
        if not (is_new.any() or any(moved.values())):
            continue
        which = "other pictures than in training ({came:,} came, {went:,} went)".format(**moved)
        if not any(moved.values()):
            which = "the pictures of the training, divided otherwise"
        lines.append(
            f"{s.domains.name(d)}: {which}; of {len(now):,} held-out ones: {is_new.sum():,} not "
            f"held out then, {np.isin(now[is_new], train).sum():,} trained on"
        )
    return lines


def _differences(directory: Path, s: Settings, loaded: Mapping[str, Splits]) -> Differences | None:
    """Counts the pictures that came and went since a run was started.

    Args:
      directory: the run directory.
      s: settings of the run.
      loaded: the pictures as they are now.

    Returns:
      For each domain whose pictures differ, by its name, the numbers that ``came`` and ``went``;
      both are 0 where only the order or the division differs. None if the pictures were not
      recorded, or not as they are decoded now.

    Raises:
      InputError: the record is damaged.
    """
    saved = _saved_digests(directory)
    if saved is None:
        return None
    found = {}
    for d, x in loaded.items():
        before = [saved[f"{d}_{split}"] for split in SPLITS]
        if not all(map(np.array_equal, before, [x.digests[split] for split in SPLITS])):
            found[s.domains.name(d)] = _came_and_went(x, *before)
    return found


def _came_and_went(now: Splits, *before: UInt64[np.ndarray, "_"]) -> dict[str, int]:
    """Counts the pictures that came to a set and went, whatever their split."""
    new, old = np.concatenate([now.digests[split] for split in SPLITS]), np.concatenate(before)
    return {"came": len(np.setdiff1d(new, old)), "went": len(np.setdiff1d(old, new))}


def _saved_digests(directory: Path) -> dict[str, UInt64[np.ndarray, "_"]] | None:
    """Reads the digests of a run's pictures, by domain and split: ``a_train``.

    Those in ``a_before`` were trained on before the run went on with other pictures.

    Returns:
      None if they were not recorded, or not as they are decoded now.

    Raises:
      InputError: the record is damaged.
    """
    record, file = _read(directory), directory / digests_file(directory)
    if not record or any(record[d].get("decode_version") != DECODE_VERSION for d in DOMAINS):
        return None
    try:
        files.require_regular(file)
        return cache.read_digests(
            file,
            [f"{d}_{split}" for d in DOMAINS for split in SPLITS],
            others=[f"{d}_before" for d in DOMAINS],
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} is damaged ({error}); remove it and {layout.DATA_FILE} to record the run's "
            "pictures anew"
        ) from error


def open_images(directory: Path, s: Settings) -> dict[str, Splits]:
    """Opens the pictures of a run, and warns if they are others than it was trained on.

    Args:
      directory: the run directory.
      s: settings of the run.

    Raises:
      InputError: the sources are not here.
    """
    loaded = build.images(s, known(directory))
    if changed := _differences(directory, s, loaded):
        logging.warning(
            "%s was trained on other pictures (%s)", directory, changes.pictures_as_text(changed)
        )
    return loaded


def _write(directory: Path, s: Settings, loaded: Mapping[str, Splits], digests: str) -> None:
    fixed, usual = known(directory), build.preparations(s)
    record: dict[str, Any] = {
        d: {
            "decode_version": DECODE_VERSION,
            "max_held_out": fixed.get(d, {}).get("max_held_out"),
            "preparation": x.about.get("preparation") or usual[d].to_json(),
            "pictures": x.about,
        }
        for d, x in loaded.items()
    }
    if digests != layout.DIGESTS_FILE:
        record["digests"] = digests
    files.write_json(directory / layout.DATA_FILE, record)


def _read(directory: Path) -> dict[str, Any] | None:
    path = directory / layout.DATA_FILE
    if not path.exists():
        return None
    try:
        record = files.read_json(path, _SHAPE)
        if not re.fullmatch(r"digests(-[0-9a-f]{12})?\.npz", record.get("digests", "digests.npz")):
            raise ValueError("digests names no file of digests")
        _prepared(record)
        for d in DOMAINS:
            if found := record[d].get("pictures"):
                shapes.check(found, _PICTURES, f"{d}.pictures")
                census.describe(found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({error}); remove it to record the run's pictures anew"
        ) from error
    return record


def _prepared(record: Mapping[str, Any]) -> dict[str, Preparation]:
    return {d: Preparation.from_json(record[d]["preparation"]) for d in DOMAINS}
