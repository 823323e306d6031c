"""Run directories: files, lock, checkpoints, status and report; `open` opens a trained run."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discogan_jax.runs.run import Run as Run
    from discogan_jax.runs.run import open as open
    from discogan_jax.runs.translating import Translator as Translator

__all__ = ["Run", "Translator", "open"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from discogan_jax.runs import run, translating  # import JAX, which `overview` does without

    return getattr(translating if name == "Translator" else run, name)
