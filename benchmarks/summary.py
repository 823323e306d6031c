"""Prints one table of what was measured on this machine: speed beside PyTorch, and memory.

    python -m benchmarks.summary

It is made of the results of `train_step` and `memory` (``make bench-gpu``). Both libraries multiply
float32 in TF32 on a GPU. PyTorch's images are channels-last; of its compiled forms the fastest
counts, that of ``mode="max-autotune"`` among them.
"""

import json

from benchmarks import machine, report, tables


def main() -> None:
    """The command."""
    paths = sorted(report.RESULTS.glob(f"*-{machine.slug()}.json"))
    found = [json.loads(path.read_text()) for path in paths]
    print(tables.summary({one["benchmark"]: one for one in found}))


if __name__ == "__main__":
    main()
