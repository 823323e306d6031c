"""Run directories: what lies where in one, its lock, checkpoints, state and report."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discogan_jax.runs.run import Run as Run
    from discogan_jax.runs.run import Translator as Translator
    from discogan_jax.runs.run import open as open


def __getattr__(name: str) -> Any:  # loads JAX only when it is asked for
    if name not in ("Run", "Translator", "open"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from discogan_jax.runs import run

    return getattr(run, name)
