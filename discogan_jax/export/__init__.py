"""Exports: trained runs as files that need neither this library nor the run directory.

==========  ==========================================  ===========================================
format      what is written                             its runtime
==========  ==========================================  ===========================================
stablehlo   one file, `.discogan`                       `jax.export`, on CPU, CUDA, ROCm and TPU
onnx        a folder, one `.onnx` file per direction    onnxruntime and other readers of ONNX
savedmodel  a folder, one signature per direction       TensorFlow
web         a folder: a page that translates by itself  browsers
==========  ==========================================  ===========================================

The metadata, `about.json`, describe inputs and outputs. `write` makes an export, which appears only
after its own runtime has translated held-out images as the run does; `Exported.open` opens any
export, `open_translator` a run, too.
"""

from typing import TYPE_CHECKING, Any

from discogan_jax.export.registry import FORMATS as FORMATS

if TYPE_CHECKING:
    from discogan_jax.export.exported import Exported as Exported
    from discogan_jax.export.exported import open_translator as open_translator
    from discogan_jax.export.writing import write as write

__all__ = ["FORMATS", "Exported", "open_translator", "write"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from discogan_jax.export import exported, writing  # import JAX, which FORMATS does without

    return getattr(writing if name == "write" else exported, name)
