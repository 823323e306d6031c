"""A page without a server: static files that translate pictures in any browser.

In the folder are the page, an ONNX file per direction, whose weights have half precision and become
float32 when it is loaded, and two files of the runtime: `onnxruntime-web` as npm has installed it.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jax

from discogan_jax.errors import InputError
from discogan_jax.export import format as formats
from discogan_jax.export import onnx, onnx_graph, page
from discogan_jax.export.format import METADATA_FILE, Metadata, Opened, Programs
from discogan_jax.files import read_json, sha256
from discogan_jax.images import Preparation
from discogan_jax.state import Domains

ENDING = "-web"
FLOAT32_ONLY = True
HALF_WEIGHTS = True
IS_FOLDER = True
READABLE = "by browsers, with the runtime in the folder"

_PACKAGE = "onnxruntime-web"
# Not all static servers know the ending of a module.
_RUNTIME = {
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
# The browser asks no other server, and runs nothing else.
_POLICY = (
    "default-src 'none'; script-src {} 'self' 'wasm-unsafe-eval'; style-src {}; img-src data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'"
)


def write(
    programs: Programs,
    images: jax.ShapeDtypeStruct,
    metadata: Metadata,
    path: Path,
    runtime: Path | None = None,
) -> None:
    """Writes the folder; see `format.Format`.

    Args:
      programs: see there.
      images: see there.
      metadata: see there.
      path: see there.
      runtime: folder of `onnxruntime-web`; None finds an installed one.

    Raises:
      InputError: there is no runtime, or pictures are prepared as browsers cannot do it.
    """
    _check(metadata)
    found = _installed(runtime)
    onnx.write(programs, images, metadata, path, onnx_graph.halved)
    for name, copy in _RUNTIME.items():
        shutil.copyfile(found / name, path / copy)
    script = page.script(page.read("browser.js"))
    policy = _POLICY.format(page.digest(script), page.digest(page.STYLE))
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    (path / "index.html").write_text(page.page(script, head), encoding="utf-8")


def read(path: Path) -> Opened:
    """Opens the folder for a runtime outside of browsers; see `format.Format`."""
    metadata = read_json(path / METADATA_FILE)
    formats.check_shape(metadata)
    formats.check_digests(metadata, lambda name: sha256(path / name))
    files = {d: path / f"{d}{onnx.SUFFIX}" for d in metadata["directions"]}
    return metadata, lambda: {d: onnx.program(file.read_bytes()) for d, file in files.items()}


def _check(metadata: Metadata) -> None:
    """Refuses pictures that the page cannot prepare."""
    for direction in metadata["directions"]:
        before = Preparation.from_json(metadata["preparation"][direction[0]])
        cannot = {
            "makes lines thicker": before.thicken,
            "maps a range of values": before.range and not before.deep_only,
            f"takes {before.channels} channels": before.channels not in (1, 3),
        }
        if why := next((why for why, found in cannot.items() if found), None):
            name = Domains(*metadata["domains"]).name(direction[0])
            raise InputError(
                f"The preparation of {name} {why}, which the page does not do in a browser: use "
                "--format onnx, or discogan serve"
            )


def _installed(folder: Path | None) -> Path:
    """Finds the files of the runtime."""
    for place in [folder] if folder else _places():
        for inside in (place, place / "dist", place / _PACKAGE / "dist"):
            if all((inside / name).is_file() for name in _RUNTIME):
                return inside
    raise InputError(
        f"{folder or 'No node_modules here or above, nor those of npm root -g,'} "
        f"{'lacks' if folder else 'has'} {' and '.join(_RUNTIME)}: "
        f"`npm install {_PACKAGE}` gets them, --runtime names another folder that has them"
    )


def _places() -> Iterator[Path]:
    here = Path.cwd()
    yield from (folder / "node_modules" for folder in (here, *here.parents))
    if npm := shutil.which("npm"):
        asked = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and asked.stdout.strip():
            yield Path(asked.stdout.strip())
