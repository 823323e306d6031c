"""Experiments: one command each."""
