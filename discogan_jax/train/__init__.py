"""Training: the loop, what it records, sweeps."""

from discogan_jax.train.loop import train_and_evaluate as train_and_evaluate
