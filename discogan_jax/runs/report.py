"""One self-contained page about runs, `report.html`: no network, light and dark, any width."""

import base64
import html
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from discogan_jax.config.schema import flat
from discogan_jax.errors import InputError
from discogan_jax.files import read_json, read_lines, replacing
from discogan_jax.runs.layout import (
    CHECKPOINTS,
    CONFIG_FILE,
    EVALUATION_FILE,
    METRICS_FILE,
    REPORT_FILE,
    SAMPLES,
    VERSIONS_FILE,
)

MAX_POINTS = 800
"""Longer curves are averaged to so many points: no screen shows more."""

MAX_SAMPLES = 24
"""So many grids at most, spread evenly over the run, with the first and the last."""

MUCH_WAITING = 0.05

_FAMILIES = (
    ("const", "Reconstruction", "there and back again against the original; val: held out"),
    ("identity", "Identity", "change of what is of the domain already"),
    ("gen", "Generators against discriminators", "what the verdict on translations costs"),
    ("fm", "Feature matching", "distance of the discriminators' mean activations"),
    ("disc", "Discriminators", "0.69 a verdict is guessing"),
)


def write(directories: Sequence[str | Path], out: Path | None = None) -> Path:
    """Writes the page about one run, or several side by side.

    Args:
      directories: run directories; training may be going on there.
      out: the file; ``report.html`` in the first directory if None.

    Returns:
      The file.

    Raises:
      InputError: a directory has no run.
    """
    paths = [Path(directory) for directory in directories]
    out = out or paths[0] / REPORT_FILE
    text = page([about(path, name) for path, name in zip(paths, _names(paths), strict=True)])
    try:
        with replacing(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}.") from error
    return out


def page(runs: Sequence[Mapping[str, Any]]) -> str:
    """The page's text, from what `about` found."""
    assets = files("discogan_jax.runs") / "report_page"

    def read(name: str) -> str:
        return (assets / name).read_text(encoding="utf-8")

    data = json.dumps(runs, separators=(",", ":"), allow_nan=False)
    return Template(read("page.html")).substitute(
        title=html.escape(" · ".join(run["name"] for run in runs)),
        plot_style=read("uPlot.min.css"),
        style=read("page.css"),
        data=data.replace("<", "\\u003c"),  # no text of a config can end the script
        plot_script=read("uPlot.iife.min.js"),
        script=read("page.js"),
    )


def about(directory: Path, name: str) -> dict[str, Any]:
    """What the page tells of a run, as JSON knows it.

    Raises:
      InputError: there is no run.
    """
    config = _json(directory / CONFIG_FILE)
    if config is None:
        raise InputError(f"{directory} is no run directory: it has no {CONFIG_FILE}")
    fields = flat(config)
    lines = read_lines(directory / METRICS_FILE)
    steps, series = curves(lines)
    versions = _json(directory / VERSIONS_FILE) or {}
    packages = versions.pop("packages", {})
    return {
        "name": name,
        "facts": _facts(fields, lines, versions),
        "warnings": _warnings(directory, lines),
        "config": fields,
        "versions": {key: str(value) for key, value in {**versions, **packages}.items()},
        "steps": steps,
        "series": series,
        "families": families(series, config["domains"]),
        "samples": _samples(directory / SAMPLES),
        "evaluation": _finite(_json(directory / EVALUATION_FILE)),
    }


def curves(lines: Sequence[Mapping[str, float]]) -> tuple[list[int], dict[str, list[float | None]]]:
    """The numbers of `metrics.jsonl` as columns, averaged where there are too many to draw.

    Returns:
      Steps, and values by name; None where a step has none.
    """
    width = max(1, math.ceil(len(lines) / MAX_POINTS))
    chunks = [lines[i : i + width] for i in range(0, len(lines), width)]
    names = sorted({name for line in lines for name in line} - {"step"})

    def mean(chunk: Sequence[Mapping[str, float]], name: str) -> float | None:
        values = [x for line in chunk if (x := line.get(name)) is not None and math.isfinite(x)]
        return float(f"{statistics.fmean(values):.5g}") if values else None

    return [int(chunk[-1]["step"]) for chunk in chunks], {
        name: [mean(chunk, name) for chunk in chunks] for name in names
    }


def families(series: Mapping[str, Any], domains: Sequence[str]) -> list[dict[str, Any]]:
    """Which curves share a chart."""
    charts = []

    def add(
        title: str, said: str, names: Mapping[str, str], *, log: bool = False, more: bool = False
    ) -> None:
        if names := {name: text for name, text in names.items() if name in series}:
            smooth = not more
            about = {"title": title, "about": said, "names": names}
            charts.append(about | {"log": log, "more": more, "smooth": smooth})

    total = {"gen_loss": "generators", "disc_loss": "discriminators"}
    add("Losses", "weighted sums", total, log=True)
    for kind, title, said in _FAMILIES:
        names = {f"{kind}_{d}_loss": d for d in domains}
        names |= {f"val_{kind}_{d}_loss": f"val {d}" for d in domains}
        add(title, said, names, log=True)
    kept = {f"diversity_{d}": f"to {d}" for d in domains}
    add("Diversity", "translations among each other, real ones are 1; near 0: collapse", kept)
    add("Speed", "steps a second", {"steps_per_second": "steps/s"})
    add("Waiting for data", "share of the time", {"data_wait_fraction": "share"})
    for name in series:
        if name.startswith("eval/"):
            path, _, what = name.removeprefix("eval/").rpartition("/")
            title = f"{path.replace('_to_', ' → ').replace('_', ' ')}: {what.replace('_', ' ')}"
            add(title, "", {name: what.replace("_", " ")}, more=True)
    return charts


def _facts(
    fields: Mapping[str, Any], lines: Sequence[Mapping[str, float]], versions: Mapping[str, Any]
) -> str:
    step, last = (lines[-1]["step"] if lines else 0), fields["train.steps"]
    found = [f"step {step:,} of {last:,}"]
    found.append(f"{fields['data.image_size']} px, batch {fields['data.batch_size']}")
    if speeds := [line["steps_per_second"] for line in lines if "steps_per_second" in line]:
        found.append(f"{statistics.median(speeds):.3g} steps/s")
    if "devices" in versions:
        found.append(str(versions["devices"]))
    return ", ".join(found)


def _warnings(directory: Path, lines: Sequence[Mapping[str, float]]) -> list[str]:
    found = []
    if alarms := [int(line["step"]) for line in lines if line.get("collapse_alarm")]:
        found.append(
            "Translations hardly differed from each other, "
            f"{'once' if len(alarms) == 1 else f'{len(alarms)} times'}, last at step "
            f"{alarms[-1]:,}: the generator may have collapsed."
        )
    waits = [line["data_wait_fraction"] for line in lines if "data_wait_fraction" in line]
    if waits and (share := statistics.median(waits)) > MUCH_WAITING:
        found.append(f"Training waited for data for {share:.0%} of the time (median).")
    if lines and "diverged" in lines[-1]:
        found.append(
            f"A loss was not finite at step {lines[-1]['step']:,}: training stopped there."
        )
    if bad := sorted(p.name for p in (directory / CHECKPOINTS).glob("*.damaged*")):
        found.append(f"Damaged checkpoints were set aside: {', '.join(bad)}.")
    return found


def _samples(folder: Path) -> list[dict[str, Any]]:
    grids = sorted(path for path in folder.glob("*.png") if path.stem.isdecimal())
    if len(grids) > MAX_SAMPLES:
        last = MAX_SAMPLES - 1
        grids = [grids[round(i * (len(grids) - 1) / last)] for i in range(MAX_SAMPLES)]
    embedded = [(int(path.stem), _embedded(path)) for path in grids]
    return [{"step": step, "image": image} for step, image in embedded if image]


def _embedded(path: Path) -> str | None:
    file = io.BytesIO()
    try:
        with Image.open(path) as picture:
            picture.convert("RGB").save(file, "WEBP", quality=85)
    except OSError:  # damaged, or gone meanwhile: the page does without it
        return None
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [path.absolute().parts for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-count:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{path.name} ({i + 1})" for i, path in enumerate(paths)]


def _finite(value: Any) -> Any:
    """The same with None for NaN and infinity, which JSON has not."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(path: Path) -> dict[str, Any] | None:
    """What a file holds; None if it is not there."""
    try:
        return read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
