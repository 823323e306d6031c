"""StableHLO: a zip of `about.json` and, per direction, the program as `jax.export` serializes it.

JAX promises that later releases read such programs for six months, so such a file is for handing
on, not for archiving: keep the run, and export it again.
"""

import json
import zipfile
from pathlib import Path

import jax
from jax import export

from discogan_jax.export.format import METADATA_FILE, Metadata, Opened, Programs

ENDING = ".discogan"
FLOAT32_ONLY = False
IS_FOLDER = False
READABLE = "by JAX for six months after the release that wrote it, at least"

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_MAX_BYTES = 4 << 30


def write(programs: Programs, images: jax.ShapeDtypeStruct, metadata: Metadata, path: Path) -> None:
    """Writes the file; see `format.Format`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(METADATA_FILE, json.dumps(metadata, indent=2))
        for direction, program in programs.items():
            exported = export.export(jax.jit(program), platforms=PLATFORMS)(images)
            file.writestr(direction, bytes(exported.serialize()))


def read(path: Path) -> Opened:
    """Opens the file; see `format.Format`."""
    try:
        # All is read now, so that checksums find damage before anything is used.
        with zipfile.ZipFile(path) as file:
            if sum(info.file_size for info in file.infolist()) > _MAX_BYTES:
                raise ValueError("it unpacks to more than 4 GiB")
            metadata = json.loads(file.read(METADATA_FILE))
            programs = {d: file.read(d) for d in metadata["directions"]}
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error

    def load() -> Programs:
        return {d: jax.jit(export.deserialize(bytearray(p)).call) for d, p in programs.items()}

    return metadata, load
