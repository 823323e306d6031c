"""ONNX: a folder with one file per direction and `about.json`.

A file holds one graph, and two directions in it would need a switch that many readers of ONNX do
not support. Each file repeats `about.json` in its own metadata, so that a single file can be opened
as the folder is, where one direction is enough. Its last bytes are the entry ``sha256`` of these
metadata, the digest of all bytes before.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import onnxruntime

from discogan_jax.export import format as formats
from discogan_jax.export import onnx_graph
from discogan_jax.export.format import INPUT, METADATA_FILE, OUTPUT, Metadata, Opened, Programs
from discogan_jax.files import read_json, require_regular, sha256
from discogan_jax.images import Preparation
from discogan_jax.state import DIRECTIONS, Domains

ENDING = "-onnx"
FLOAT32_ONLY = True
HALF_WEIGHTS = False
IS_FOLDER = True
READABLE = f"by any reader of ONNX of operator set {onnx_graph.OPSET}"
SUFFIX = ".onnx"
_MAX_BYTES = 2 << 30  # what the format allows


def write(
    programs: Programs,
    images: jax.ShapeDtypeStruct,
    metadata: Metadata,
    path: Path,
    finish: Callable[[onnx.ModelProto], None] = lambda model: None,
) -> None:
    """Writes the folder; see `format.Format`.

    Args:
      programs: see there.
      images: see there.
      metadata: see there.
      path: see there.
      finish: changes a model before it is written.
    """
    path.mkdir()
    for direction, program in programs.items():
        model = onnx_graph.model(program, images, INPUT, OUTPUT)
        # For people, and all of the metadata for programs.
        source, target = map(Domains(*metadata["domains"]).name, direction)
        properties = {"direction": direction, "source": source, "target": target}
        properties |= {key: metadata[key] for key in ("input", "output")}
        before = Preparation.from_json(metadata["preparation"][direction[0]])
        properties |= {"preprocessing": str(before), METADATA_FILE: json.dumps(metadata)}
        onnx.helper.set_model_props(model, properties)
        finish(model)
        onnx.checker.check_model(model, full_check=True)
        content = model.SerializeToString()
        (path / f"{direction}{SUFFIX}").write_bytes(content + _seal(content))


def read(path: Path) -> Opened:
    """Opens the folder, or one of its files; see `format.Format`."""
    if path.is_dir():
        metadata = read_json(path / METADATA_FILE)
        formats.check_shape(metadata)
        models = {
            d: _content(path / f"{d}{SUFFIX}") for d in DIRECTIONS if d in metadata["directions"]
        }
        formats.check_digests(metadata, lambda name: sha256(models[name.removesuffix(SUFFIX)]))
    else:
        # A single file, of one direction, has the metadata among its properties.
        content = _content(path)
        properties = {x.key: x.value for x in onnx.load_from_string(content).metadata_props}
        models = {properties["direction"]: content}
        metadata = json.loads(properties[METADATA_FILE]) | {"directions": list(models)}
        formats.check_shape(metadata)
        body = content[: -len(_seal(b""))]
        if formats.has_digests(metadata) and content != body + _seal(body):
            raise ValueError("it has changed since it was written")

    def load() -> Programs:
        return {direction: program(model) for direction, model in models.items()}

    return metadata, load


def _content(file: Path) -> bytes:
    require_regular(file, _MAX_BYTES)
    return file.read_bytes()


def _seal(content: bytes) -> bytes:
    """Returns what makes a model sealed if it is appended: messages of protobuf may be joined."""
    entry = onnx.StringStringEntryProto(key="sha256", value=sha256(content))
    return bytes(onnx.ModelProto(metadata_props=[entry]).SerializeToString())


def program(model: bytes) -> Any:
    """Loads a model; returns the function that it computes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run([OUTPUT], {INPUT: np.asarray(x)})[0]
