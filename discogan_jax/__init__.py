"""DiscoGAN in JAX: learns to translate between two image domains without pairs."""
