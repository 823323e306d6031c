"""Shows on a terminal how far long work has come."""

from typing import Any

from tqdm import tqdm

from discogan_jax.errors import printable


def progress_bar(description: str, total: int | None, unit: str = "B", **options: Any) -> Any:
    """Returns a bar that appears after three seconds, and only on a terminal."""
    if unit == "B":
        options |= {"unit_scale": True, "unit_divisor": 1024}
    return tqdm(
        desc=printable(description, ""), total=total, unit=unit, delay=3.0, disable=None, **options
    )
