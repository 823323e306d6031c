"""How many processors decoding and drawing may use."""

import os


def usable_cores() -> int:
    """Those that this process may run on, where the system tells; else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
