"""The report of runs, one HTML page that loads nothing: light and dark, for any width."""

import base64
import html
import io
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from absl import logging
from PIL import Image

from discogan_jax import images
from discogan_jax.config import measures
from discogan_jax.config.schema import Settings, flat, to_json
from discogan_jax.errors import InputError, printable
from discogan_jax.files import (
    MARK,
    damage,
    finite,
    has_mark,
    numbers,
    read_lines_counting_damage,
    replacing,
    require_ours,
)
from discogan_jax.runs import best, changes, demo, layout, pictures
from discogan_jax.state import Domains

MAX_POINTS = 800
"""Number of points that longer curves are averaged to: no screen shows more."""

MAX_SAMPLES = 24
"""Maximum number of sample grids; spread evenly over the run, first and last included."""

MUCH_WAITING = 0.05
"""Share of the time that training may wait for data without a warning."""

Lines = Sequence[Mapping[str, float]]
"""The lines of `metrics.jsonl`."""

_MARK = f'<meta name="generator" content="{MARK}: report">'
_MARK_OF_EARLIER_VERSIONS = (
    """content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; """
    """script-src 'unsafe-inline'">\n<title>"""
)

_FAMILIES = (
    ("const", "Reconstruction", "error after both translations (A→B→A); val: held out"),
    ("identity", "Identity", "error on inputs already in the target domain"),
    ("gen", "Adversarial loss", "adversarial loss of the generators"),
    ("fm", "Feature matching", "distance of the discriminators' mean activations"),
    ("disc", "Discriminators", "0.69 (ln 2) = chance"),
)


def write(
    directories: Sequence[str | Path], out: Path | None = None, *, overwrite: bool = False
) -> Path:
    """Writes the report of one run, or of several side by side.

    Args:
      directories: run directories; other processes may be training there.
      out: the file; ``report.html`` in the first directory if None.
      overwrite: replace a file that is no report, too.

    Returns:
      The file.

    Raises:
      InputError: a directory has no run, or the file cannot be written.
    """
    paths = [*dict.fromkeys(map(demo.located, directories))]
    out = out or demo.results(paths[0]) / layout.REPORT_FILE
    found = [read_run(path, name) for path, name in zip(paths, _names(paths), strict=True)]
    for path, run in zip(paths, found, strict=True):
        for problem in run.pop("problems"):
            logging.error("%s: %s", printable(str(path), ""), printable(problem))
    text = page(found)
    require_ours(out, is_report, overwrite=overwrite)
    try:
        with replacing(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}.") from error
    return out


def refresh(directory: Path) -> Path | None:
    """Writes the report of a run whose files have changed; where it cannot, a warning says why.

    Args:
      directory: the run directory.

    Returns:
      The file, or None without one.
    """
    try:
        return write([directory])
    except InputError as error:  # no reason to fail
        logging.warning("The page of the run is not written: %s", error)
        return None


def is_report(path: Path) -> bool:
    """Whether there is a file that is a page that `write` wrote."""
    marks = (_MARK, _MARK_OF_EARLIER_VERSIONS)
    return path.is_file() and any(has_mark(path, mark) for mark in marks)


def page(runs: Sequence[Mapping[str, Any]]) -> str:
    """Renders the page from what `read_run` returned."""
    assets = files("discogan_jax.runs") / "report_page"

    def read(name: str) -> str:
        return (assets / name).read_text(encoding="utf-8")

    data = json.dumps(finite(runs), separators=(",", ":"), allow_nan=False)
    return Template(read("page.html")).substitute(
        mark=_MARK,
        title=html.escape(printable(" · ".join(run["name"] for run in runs), "")),
        plot_style=read("uPlot.min.css"),
        style=read("page.css"),
        data=data.replace("<", "\\u003c"),  # so no text of a config ends the script
        plot_script=read("uPlot.iife.min.js"),
        script=read("page.js"),
    )


def read_run(directory: Path, name: str) -> dict[str, Any]:
    """Reads what the page shows of a run, as JSON knows it.

    Raises:
      InputError: there is no run.
    """
    settings = layout.read_settings(directory)
    # Training may be going on: the files are read as far as they go.
    lines, cut = _metrics(directory / layout.METRICS_FILE)
    steps, series = curves(lines)
    evaluations, damaged = _evaluations(directory)
    found_versions, more = layout.find(directory, layout.VERSIONS_FILE)
    samples, unshown = _samples(directory / layout.SAMPLES)
    versions = found_versions or {}
    packages = versions.pop("packages", {})
    problems = [*cut, *damaged, *more, *unshown]
    facts = [_facts(settings, lines, versions), *pictures.describe(directory, settings)]
    found = best.find(directory, settings.train.keep_best)
    if found is not None:
        facts.insert(1, str(found))
    return {
        "name": name,
        "facts": "\n".join(facts),
        "changes": [
            {"step": change["step"], "text": text}
            for change in changes.read(directory)
            for text in changes.describe(change)
        ],
        "warnings": [*_warnings(directory, lines), *problems],
        "problems": problems,
        "config": flat(to_json(settings)),
        "versions": {key: str(value) for key, value in {**versions, **packages}.items()},
        "steps": steps,
        "series": series,
        "families": families(series, settings.domains, found),
        "samples": samples,
        "evaluations": evaluations,
        "headlines": measures.headlines(*settings.domains, _names_of_rows(evaluations)),
    }


def _evaluations(directory: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the evaluations of a run, each with a title, and why others cannot be used."""
    found, problems = [], []
    for name in layout.evaluation_files(directory):
        evaluation, why = layout.find(directory, name)
        problems += why
        if evaluation is not None:
            raw = ", raw parameters" if name.endswith("-raw.json") else ""
            found.append(evaluation | {"title": f"step {evaluation['step']:,}{raw}"})
    return found, problems


def _names_of_rows(evaluations: Sequence[Mapping[str, Any]]) -> set[str]:
    return {row["name"] for found in evaluations for row in found["rows"] if "name" in row}


def _metrics(path: Path) -> tuple[Lines, list[str]]:
    """Returns the lines of `metrics.jsonl`, and how many of them are damaged."""
    lines, damaged = read_lines_counting_damage(path)
    warnings = [f"{damage(path, damaged)}, and not in the curves."] if damaged else []
    return [*map(numbers, lines)], warnings


def curves(lines: Lines) -> tuple[list[int], dict[str, list[float | None]]]:
    """Turns the lines of `metrics.jsonl` into columns, averaged where there are too many to draw.

    Returns:
      The steps, and the values by name; None where a step has none.
    """
    # Neighbouring lines become one point.
    width = max(1, math.ceil(len(lines) / MAX_POINTS))
    chunks = [lines[i : i + width] for i in range(0, len(lines), width)]
    names = sorted({name for line in lines for name in line} - {"step", "time"})

    def mean(chunk: Sequence[Mapping[str, float]], name: str) -> float | None:
        values = [x for line in chunk if (x := line.get(name)) is not None and math.isfinite(x)]
        return float(f"{statistics.fmean(values):.5g}") if values else None

    return [int(chunk[-1]["step"]) for chunk in chunks], {
        name: [mean(chunk, name) for chunk in chunks] for name in names
    }


def families(
    series: Mapping[str, Any], domains: Domains, found: best.Best | None = None
) -> list[dict[str, Any]]:
    """Groups the curves into charts.

    Losses have a log scale, `noisy` charts are smoothed, `more` charts are folded away.

    Args:
      series: the curves by name.
      domains: names of the domains.
      found: the best step, which the charts of its measure name.
    """
    charts: list[dict[str, Any]] = []

    def add(
        title: str, about: str, names: Mapping[str, str], *, more: bool = False, noisy: bool = True
    ) -> None:
        if names := {name: text for name, text in names.items() if name in series}:
            log = all(name.endswith("_loss") for name in names)
            kind = {"log": log, "more": more, "noisy": noisy}
            charts.append({"title": title, "about": about, "names": names, **kind})

    # Losses: the training curve and the held-out one of a term share a chart.
    add("Losses", "weighted sums", {"gen_loss": "generators", "disc_loss": "discriminators"})
    for kind, title, about in _FAMILIES:
        names = {f"{kind}_{d}_loss": d for d in domains}
        add(title, about, names | {f"val_{name}": f"val {d}" for name, d in names.items()})
    drawn = {name for chart in charts for name in chart["names"]}
    losses = {name: name.removesuffix("_loss") for name in series if name.endswith("_loss")}
    add("Other terms", "", {name: text for name, text in losses.items() if name not in drawn})

    # The health of the run.
    diversity = {f"diversity_{d}": f"to {d}" for d in domains}
    about = "mean pairwise distance relative to real images; near 0 means collapse"
    add("Diversity", about, diversity)
    rates = {"learning_rate": "generators", "d_learning_rate": "discriminators"}
    add("Learning rate", "of the last update", rates, noisy=False)
    add("Speed", "steps per second", {"steps_per_second": "steps/s"})
    add("Waiting for data", "share of the time", {"data_wait_fraction": "share"})

    # Evaluations: "eval/bags_to_shoes/psnr" and the like.
    for name in series:
        if name.startswith("eval/"):
            route, _, metric = name.removeprefix("eval/").rpartition("/")
            route, metric = route.replace("_to_", " → "), metric.replace("_", " ")
            chosen = found and best.is_of(found.measure, name)
            about = f"best step: {found.step:,}" if found and chosen else ""
            title = f"{route.replace('_', ' ')}: {metric}"
            add(title, about, {name: metric}, more=True, noisy=False)
    return charts


def _facts(settings: Settings, lines: Lines, versions: Mapping[str, Any]) -> str:
    step, last = (lines[-1]["step"] if lines else 0), settings.train.steps
    size = f"{settings.data.image_size} px, batch {settings.data.batch_size}"
    facts = [f"step {step:,} of {last:,}", size]
    if settings.data.channels != 3:
        facts.append(f"channels: {settings.data.channels}")
    if speeds := [line["steps_per_second"] for line in lines if "steps_per_second" in line]:
        facts.append(f"{statistics.median(speeds):.3g} steps/s")
    if "devices" in versions:
        facts.append(str(versions["devices"]))
    return ", ".join(facts)


def _warnings(directory: Path, lines: Lines) -> list[str]:
    # In this order: collapse, waiting for data, divergence, damaged checkpoints.
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
    if bad := sorted(p.name for p in (directory / layout.CHECKPOINTS).glob("*.damaged*")):
        found.append(f"Damaged checkpoints were set aside: {', '.join(bad)}.")
    return found


def _samples(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the sample grids, and which of them cannot be shown."""
    grids = sorted(path for path in folder.glob("*.png") if path.stem.isdecimal())
    if len(grids) > MAX_SAMPLES:
        last = MAX_SAMPLES - 1
        grids = [grids[round(i * (len(grids) - 1) / last)] for i in range(MAX_SAMPLES)]
    found, left_out = [], []
    for path in grids:
        file = io.BytesIO()
        try:
            Image.fromarray(images.read(path)).save(file, "WEBP", quality=85)
        except (InputError, OSError):
            left_out.append(path.name)
            continue
        image = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
        found.append({"step": int(path.stem), "image": image})
    return found, [f"Samples that cannot be read: {', '.join(left_out)}."] if left_out else []


def _names(paths: Sequence[Path]) -> list[str]:
    """Returns what tells the paths apart: all that follows the folder that they have in common."""
    places = [path.absolute() for path in paths]
    common = os.path.commonpath([place.parent for place in places])
    return [place.relative_to(common).as_posix() for place in places]
