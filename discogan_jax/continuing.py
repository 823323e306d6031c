"""Whether a config may continue the run of another one."""

from collections.abc import Mapping
from typing import Any

# What may differ when a run is continued: it shapes neither the state nor what it is trained on.
CONTINUABLE = frozenset(
    {
        "data.archives",
        "data.data_dir",
        "data.feed",
        "train.steps",
        "train.shard_state",
        "train.log_every",
        "train.print_every",
        "train.sample_every",
        "train.evaluate_every",
        "train.checkpoint_every",
        "train.keep",
        "train.keep_every",
    }
)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as one level of dotted names."""
    fields: dict[str, Any] = {}
    for name, value in config.items():
        nested = isinstance(value, Mapping)
        fields |= flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return fields


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Fields in which two configs differ so much that one cannot continue the other's run."""
    a, b = flat(old), flat(new)
    return [
        f"{name}: {a.get(name)!r} there, {b.get(name)!r} now"
        for name in sorted({*a, *b} - CONTINUABLE)
        if a.get(name) != b.get(name)
    ]
