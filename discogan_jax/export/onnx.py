"""ONNX: a folder with one file per direction and `about.json`.

A file holds one graph, and two directions in it would need a switch that many readers of ONNX do
not support. Each file repeats `about.json` in its own metadata, so that a single file can be opened
as the folder is, where one direction is enough.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import onnxruntime

from discogan_jax import host
from discogan_jax.export import onnx_graph
from discogan_jax.export.format import INPUT, METADATA_FILE, OUTPUT, Metadata, Opened, Programs
from discogan_jax.files import read_json
from discogan_jax.images import Preparation
from discogan_jax.state import Domains

ENDING = "-onnx"
FLOAT32_ONLY = True
IS_FOLDER = True
READABLE = f"by any reader of ONNX of operator set {onnx_graph.OPSET}"
SUFFIX = ".onnx"


def write(programs: Programs, images: jax.ShapeDtypeStruct, metadata: Metadata, path: Path) -> None:
    """Writes the folder; see `format.Format`."""
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
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path / f"{direction}{SUFFIX}"))


def read(path: Path) -> Opened:
    """Opens the folder, or one of its files; see `format.Format`."""
    if path.is_dir():
        metadata = read_json(path / METADATA_FILE)
        files = {d: path / f"{d}{SUFFIX}" for d in metadata["directions"]}
        for file in files.values():
            if not file.is_file():
                raise ValueError(f"it has no {file.name}")
    else:
        # A single file, of one direction, has the metadata among its properties.
        try:
            model = onnx.load(str(path), load_external_data=False)
        except Exception as error:  # the type depends on the implementation of protobuf
            if host.out_of_memory(error):
                raise
            raise ValueError(str(error) or type(error).__name__) from error
        properties = {entry.key: entry.value for entry in model.metadata_props}
        files = {properties["direction"]: path}
        metadata = json.loads(properties[METADATA_FILE]) | {"directions": list(files)}

    def load() -> Programs:
        return {direction: _program(file) for direction, file in files.items()}

    return metadata, load


def _program(file: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run([OUTPUT], {INPUT: np.asarray(x)})[0]
