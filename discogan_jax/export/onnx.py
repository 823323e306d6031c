"""A folder with one ONNX file per direction and `about.json`.

A file holds one graph, and two directions in it would need a switch that many readers of ONNX do
not know. Each file says all of `about.json` in its own metadata, so that one alone is enough where
one direction is: it is opened as the folder is.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from discogan_jax import steps
from discogan_jax.errors import InputError
from discogan_jax.export import onnx_graph
from discogan_jax.export.format import ABOUT_FILE, INPUT, OUTPUT, About, Program, shape
from discogan_jax.files import read_json, write_json
from discogan_jax.runs import Run

NAME = "onnx"
ENDING = "-onnx"
FLOAT32_ONLY = True
IS_FOLDER = True
READABLE = f"by whatever reads ONNX of operator set {onnx_graph.OPSET}"
SUFFIX = ".onnx"


def _onnx() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"ONNX files need more packages ({error}): pip install 'discogan_jax[onnx]'"
        ) from None
    return onnx, onnxruntime


def write(run: Run, about: About, path: Path) -> None:
    """Writes the folder; see `facts.Format`."""
    onnx, _ = _onnx()
    path.mkdir()
    for direction in run.directions:
        model = onnx_graph.model(
            partial(steps.translate, run.gan, run.state, direction=direction),
            shape(run, about["batch_size"]),
            INPUT,
            OUTPUT,
        )
        source, target = (run.domains["ab".index(d)] for d in direction)
        model.doc_string = f"Translates {source} to {target}. In: {about['input']}; fitted by: "
        model.doc_string += f"{about['preprocessing']}. Out: {about['output']}."
        said = {"direction": direction, "source": source, "target": target}
        said |= {key: about[key] for key in ("input", "output", "preprocessing")}
        onnx.helper.set_model_props(model, said | {ABOUT_FILE: json.dumps(about)})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path / f"{direction}{SUFFIX}"))
    write_json(path / ABOUT_FILE, about)


def read(path: Path) -> tuple[About, Callable[[], Mapping[str, Program]]]:
    """Opens the folder, or one of its files; see `facts.Format`."""
    if path.is_dir():
        about = read_json(path / ABOUT_FILE)
        files = {d: path / f"{d}{SUFFIX}" for d in about["directions"]}
        for file in files.values():
            if not file.is_file():
                raise ValueError(f"it has no {file.name}")
    else:
        said = _metadata(path)
        files = {said["direction"]: path}
        about = json.loads(said[ABOUT_FILE]) | {"directions": list(files)}

    def load() -> Mapping[str, Program]:
        return {direction: _program(file) for direction, file in files.items()}

    return about, load


def _metadata(path: Path) -> dict[str, str]:
    onnx, _ = _onnx()
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # of protobuf, by its implementation
        raise ValueError(str(error) or type(error).__name__) from error
    return {entry.key: entry.value for entry in model.metadata_props}


def _program(file: Path) -> Program:
    _, onnxruntime = _onnx()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def apply(x: Any) -> Any:
        return session.run([OUTPUT], {INPUT: np.asarray(x)})[0]

    return apply
