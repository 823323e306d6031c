"""Convolutions that are fast on CPU and GPU, and the layers made of them."""
