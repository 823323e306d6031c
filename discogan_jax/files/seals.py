"""JSON objects with the digests of files and their own: damage and changes show before use."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from discogan_jax.files import shapes
from discogan_jax.files.json_files import read_json
from discogan_jax.files.opening import require_regular
from discogan_jax.files.ours import OF_FILE_MANAGERS

_SHAPE = {"files": {str: str}, "sha256": str}


def sha256(content: bytes | Path) -> str:
    """Hashes bytes or a file.

    Raises:
      OSError: the file cannot be read.
      InputError: it is no regular file.
    """
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    require_regular(content)
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_sha256(value: Mapping[str, Any]) -> str:
    """Hashes an object that JSON can hold, whatever the order of its entries."""
    return sha256(json.dumps(value, sort_keys=True).encode())


def digests(folder: Path) -> dict[str, str]:
    """Hashes all files below a folder, by their paths from there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def sealed(body: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Adds the digests of files to an object that JSON can hold, and its own digest."""
    body = {**body, "files": dict(files)}
    return body | {"sha256": json_sha256(body)}


def check_seal(value: Mapping[str, Any], digest_of: Callable[[str], str]) -> None:
    """Checks an object from `sealed` and the files that it lists.

    Args:
      value: the object.
      digest_of: returns the digest of a file, given its name.

    Raises:
      ValueError: the object, or the first file that the message names, is not as it was.
      OSError: a file cannot be read.
    """
    shapes.check(value, _SHAPE)
    if value["sha256"] != json_sha256({name: x for name, x in value.items() if name != "sha256"}):
        raise ValueError("its description has changed since it was written")
    for name, digest in value["files"].items():
        if digest_of(name) != digest:
            raise ValueError(f"{name} has changed since it was written")


def check_folder(folder: Path, listing: str, *, more: bool = False) -> None:
    """Checks that a folder holds what the object in a JSON file of it lists, and no more.

    Args:
      folder: the folder.
      listing: name of the file, whose content `sealed` made.
      more: whether the folder may hold more.

    Raises:
      ValueError: a file, which the message names, has changed, is missing or was added, or the
        listing is damaged.
      OSError: a file cannot be read.
    """
    value, found = read_json(folder / listing, _SHAPE), digests(folder)
    listed = {*value["files"], listing}
    if lost := listed - found.keys():
        raise ValueError(f"{min(lost)} is missing")
    check_seal(value, found.__getitem__)
    if more:
        return
    added = [name for name in found.keys() - listed if Path(name).name not in OF_FILE_MANAGERS]
    if added:
        raise ValueError(f"{min(added)} was added")
