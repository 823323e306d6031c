"""Describes the machine of a benchmark, and measures its speed by matrix products."""

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.harness import Case, Implementation
from discogan_jax.host import usable_cores, versions

MATRIX = {"cpu": 2048, "gpu": 8192}  # large enough to occupy the machine


def has_torch() -> bool:
    """Returns whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def torch_device() -> str | None:
    """Returns the device that PyTorch shares with JAX, or None."""
    if not has_torch():
        return None
    import torch

    if jax.default_backend() == "cpu":
        return "cpu"
    return "cuda" if torch.cuda.is_available() else None


def load() -> float:
    """Returns the load average of the last minute, including this process."""
    return os.getloadavg()[0]


def cpu_model() -> str:
    """Returns the processor's name."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.*)", info.read_text()) if info.exists() else []
    return names[0] if names else "unknown processor"


def describe() -> dict[str, Any]:
    """Describes processor, cores, GPU and packages."""
    found = {"cpu": cpu_model(), "cores": usable_cores()}
    device = jax.devices()[0]
    if device.platform != "cpu":
        found["gpu"] = device.device_kind
    if has_torch():
        import torch

        found["torch"] = torch.__version__
        found["torch_threads"] = torch.get_num_threads()
        found["omp_wait_policy"] = os.environ["OMP_WAIT_POLICY"]
        if torch.cuda.is_available():
            found["torch_gpu"] = torch.cuda.get_device_name()
    return found | versions()


def slug() -> str:
    """Returns the machine's name in a form for file names."""
    gpu = describe().get("gpu")
    name = gpu or f"{cpu_model()} {usable_cores()} cores"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def torch_wait(device: str) -> Callable[[Any], Any]:
    """Waits until PyTorch has finished, whatever the argument."""
    import torch

    return (lambda _: torch.cuda.synchronize()) if device == "cuda" else (lambda _: None)


def matrix_work() -> Case:
    """Returns the case of a float32 matrix product in each library, for the machine's peak rate."""
    n = MATRIX["cpu" if jax.default_backend() == "cpu" else "gpu"]
    x = jax.random.normal(jax.random.key(0), (n, n), jnp.float32)
    product = jax.jit(jnp.matmul).lower(x, x).compile()
    sides = [Implementation("JAX", lambda: product(x, x), jax.block_until_ready)]
    device = torch_device()
    if device is not None:
        import torch

        y = torch.randn(n, n, device=device)
        sides.append(Implementation("PyTorch", lambda: y @ y, torch_wait(device)))
    return Case(f"matrix product {n}×{n}, float32", sides, flops=2.0 * n**3)
