"""DiscoGAN in JAX: learns to translate between two image domains without pairs."""

import importlib
from types import ModuleType

__version__ = "0.2.0"

_MODULES = (
    "config", "configs", "data", "errors", "evaluation", "export", "images", "interop", "losses",
    "models", "multihost", "ops", "runs", "sharding", "state", "steps", "train",
)  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    """Imports a module when it is first used: ``discogan_jax.models``."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
