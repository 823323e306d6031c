"""Training: the loop, what it records, and the commands that start it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discogan_jax.train.loop import train_and_evaluate as train_and_evaluate


def __getattr__(name: str) -> Any:  # loads JAX only when it is asked for
    if name != "train_and_evaluate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from discogan_jax.train.loop import train_and_evaluate

    return train_and_evaluate
