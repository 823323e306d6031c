"""StableHLO: a zip of `about.json` and, per direction, the program as `jax.export` serializes it.

JAX promises that later releases read such programs for six months, so such a file is for handing
on, not for archiving: keep the run, and export it again.
"""

import json
import zipfile
from pathlib import Path

import jax
from jax import export

from discogan_jax import units
from discogan_jax.export import format as formats
from discogan_jax.export.format import METADATA_FILE, Metadata, Opened, Programs
from discogan_jax.files import require_regular, sealed, sha256
from discogan_jax.state import DIRECTIONS

ENDING = ".discogan"
FLOAT32_ONLY = False
HALF_WEIGHTS = False
IS_FOLDER = False
READABLE = "by JAX for six months after the release that wrote it, at least"

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_MAX_BYTES = 4 << 30
# Weights hardly shrink: what unpacks to many times its size is made to fill the memory.
_MAX_RATIO, _MAX_METADATA = 20, 1 << 20


def write(programs: Programs, images: jax.ShapeDtypeStruct, metadata: Metadata, path: Path) -> None:
    """Writes the file; see `format.Format`."""
    made = {
        direction: bytes(export.export(jax.jit(program), platforms=PLATFORMS)(images).serialize())
        for direction, program in programs.items()
    }
    about = sealed(metadata, {direction: sha256(content) for direction, content in made.items()})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(METADATA_FILE, json.dumps(about, indent=2))
        for direction, content in made.items():
            file.writestr(direction, content)


def read(path: Path) -> Opened:
    """Opens the file; see `format.Format`."""
    require_regular(path)
    metadata, programs = _content(path)
    formats.check_digests(metadata, lambda name: sha256(programs[name]))

    def load() -> Programs:
        return {d: jax.jit(export.deserialize(bytearray(p)).call) for d, p in programs.items()}

    return metadata, load


def _content(path: Path) -> tuple[Metadata, dict[str, bytes]]:
    """Reads all members, so that checksums find damage before anything is used."""
    with zipfile.ZipFile(path) as file:

        def member(name: str, limit: int) -> bytes:
            size = file.getinfo(name).file_size
            if size > limit:
                raise ValueError(f"{name} unpacks to {units.size(size)}, more than an export has")
            return file.read(name)

        metadata = json.loads(member(METADATA_FILE, _MAX_METADATA))
        formats.check_shape(metadata)
        # Those of both directions together.
        left = min(_MAX_BYTES, _MAX_RATIO * path.stat().st_size + _MAX_METADATA) // 2
        return metadata, {d: member(d, left) for d in DIRECTIONS if d in metadata["directions"]}
