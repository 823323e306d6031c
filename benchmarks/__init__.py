"""Measures speed and memory, compared with PyTorch; `make bench` runs the benchmarks for a CPU.

Each module with a ``main`` is a command that prints a table and writes
``results/NAME-MACHINE.json``.
"""

import os

# PyTorch's idle threads must not spin: they would compete for the cores with everything else,
# including JAX, and slow down PyTorch itself many times on a machine with any other load.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# JAX and PyTorch share the GPU: JAX must not preallocate most of its memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
