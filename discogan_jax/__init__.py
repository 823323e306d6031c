"""DiscoGAN in JAX: learns to translate between two image domains without pairs."""

__version__ = "0.1.0"
