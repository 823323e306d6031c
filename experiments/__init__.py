"""Experiments: each module or package is a command."""
