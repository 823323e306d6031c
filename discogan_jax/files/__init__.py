"""Files: atomic writes, JSON, locks, paths, and room on the disk."""

from discogan_jax.files.atomic import remove_folder, remove_leftovers, replacing, replacing_folder
from discogan_jax.files.disks import disk_full, folder_size, no_room, require_room, reserve
from discogan_jax.files.json_files import (
    damage,
    find_json,
    finite,
    numbers,
    read_json,
    read_lines,
    read_lines_counting_damage,
    write_json,
)
from discogan_jax.files.locks import is_in_use, locked, mark_in_use
from discogan_jax.files.opening import require_regular, require_regular_below
from discogan_jax.files.ours import (
    MARK,
    OF_FILE_MANAGERS,
    has_mark,
    read_mark,
    require_our_folder,
    require_ours,
    require_replaceable,
)
from discogan_jax.files.paths import expanded, fingerprint
from discogan_jax.files.seals import check_folder, check_seal, digests, json_sha256, sealed, sha256

__all__ = [
    "MARK",
    "OF_FILE_MANAGERS",
    "check_folder",
    "check_seal",
    "damage",
    "digests",
    "disk_full",
    "expanded",
    "find_json",
    "fingerprint",
    "finite",
    "folder_size",
    "has_mark",
    "is_in_use",
    "json_sha256",
    "locked",
    "mark_in_use",
    "no_room",
    "numbers",
    "read_json",
    "read_lines",
    "read_lines_counting_damage",
    "read_mark",
    "remove_folder",
    "remove_leftovers",
    "replacing",
    "replacing_folder",
    "require_our_folder",
    "require_ours",
    "require_regular",
    "require_regular_below",
    "require_replaceable",
    "require_room",
    "reserve",
    "sealed",
    "sha256",
    "write_json",
]
