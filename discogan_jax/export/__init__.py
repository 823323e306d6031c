"""A trained run as something that needs neither this code nor its run directory.

==========  ==========================================  ===========================================
format      what is written                             its runtime
==========  ==========================================  ===========================================
stablehlo   one file, `.discogan`                       `jax.export`, on CPU, CUDA, ROCm and TPU
onnx        a folder, one `.onnx` file per direction    onnxruntime, and whatever else reads ONNX
savedmodel  a folder, one signature per direction       TensorFlow
==========  ==========================================  ===========================================

Each says in its `about.json` what goes in and comes out. `write` makes one and lets it appear only
after its own runtime has translated held-out pictures as the run does; `Exported.open` opens any.
"""

from discogan_jax.export.exported import FORMATS as FORMATS
from discogan_jax.export.exported import Exported as Exported
from discogan_jax.export.exported import is_exported as is_exported
from discogan_jax.export.writing import write as write
