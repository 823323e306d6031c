"""Configs, as ml_collections; the docstring of each has its command and the expected result."""
