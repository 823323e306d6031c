"""Measurements of speed, beside PyTorch; `make bench` runs those for a CPU.

Each module here with a ``main`` is a command that prints a table and writes
``results/NAME-MACHINE.json``.
"""

import os

# PyTorch's idle threads must not spin: they would take the cores from whatever else runs, JAX's
# turns included, and PyTorch itself is many times slower on a machine with any other load.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Two libraries share the GPU: JAX must not take most of its memory at the start.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
