"""Files: atomic writes, JSON, locks, paths, and room on the disk."""

from discogan_jax.files.atomic import remove_folder, remove_leftovers, replacing, replacing_folder
from discogan_jax.files.disks import disk_full, folder_size, no_room, require_room, reserve
from discogan_jax.files.json_files import (
    find_json,
    finite,
    numbers,
    read_json,
    read_lines,
    write_json,
)
from discogan_jax.files.locks import is_in_use, locked, mark_in_use
from discogan_jax.files.opening import require_regular, require_regular_below
from discogan_jax.files.paths import expanded, fingerprint

__all__ = [
    "disk_full",
    "expanded",
    "find_json",
    "fingerprint",
    "finite",
    "folder_size",
    "is_in_use",
    "locked",
    "mark_in_use",
    "no_room",
    "numbers",
    "read_json",
    "read_lines",
    "remove_folder",
    "remove_leftovers",
    "replacing",
    "replacing_folder",
    "require_regular",
    "require_regular_below",
    "require_room",
    "reserve",
    "write_json",
]
