"""The text of a model card: what is known of a run and what was measured, and nothing else.

Its sentences are in `card_template.md`; here are the values, and the parts that not all cards have.
"""

import html
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from discogan_jax import models
from discogan_jax.config import measures
from discogan_jax.config.schema import Settings
from discogan_jax.data.source import Source
from discogan_jax.data.sources import parse
from discogan_jax.errors import printable
from discogan_jax.evaluation import table
from discogan_jax.files import damage, read_lines_counting_damage
from discogan_jax.runs import Run, best, changes, layout, pictures, weights
from discogan_jax.runs.layout import METRICS_FILE, SAMPLES, VERSIONS_FILE
from discogan_jax.state import DOMAINS

_NO_NUMBERS = (
    "None: this checkpoint was not evaluated, and nothing is claimed of how well it translates. "
    "`discogan evaluate` measures a run where its images are."
)
_COLUMNS = ("value", "95% interval", "beside", "", "better")
_PUBLISHING = """

The weights were learned from these images. Before publishing them, settle what
that allows, and set `license` at the top of this file."""


def public(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a config with private paths removed."""
    data = dict(config["data"]) | {"archives": None, "data_dir": "data"}
    for field in ("source_a", "source_b"):
        data[field] = parse(data[field]).public_name
    found = dict(config) | {"data": data}
    if place := config.get("train", {}).get("init_from"):
        found["train"] = config["train"] | {"init_from": weights.public_name(place)}
    return found


def is_drawn(s: Settings) -> bool:
    """Whether all images are drawn by this library, so that anyone may publish them."""
    return all(source.drawn for source in _sources(s))


def text(run: Run, evaluation: Mapping[str, Any] | None, picture: Path | None) -> str:
    """Writes the card: a YAML head, then Markdown.

    Args:
      run: from `runs.open`.
      evaluation: content of `evaluation.json`, of the run's step; None if there is none.
      picture: the sample grid that goes with the card; None if there is none.
    """
    s, (a, b) = run.settings, _sources(run.settings)
    template = files("discogan_jax.commands") / "card_template.md"
    colours = {1: "grey", 3: "RGB"}.get(s.data.channels, f"{s.data.channels} channels")
    both = len(run.directions) > 1
    rate = s.optim.d_learning_rate
    start, on_the_way = _changes(run)
    found = best.find(run.path, s.train.keep_best)
    measure = found.measure if found and found.step == run.step else ""
    return template.read_text(encoding="utf-8").format(
        run=run,
        s=s,
        a=a,
        b=b,
        name=plain(run.path.name),
        domains={d: plain(run.domains.name(d)) for d in DOMAINS},
        source_a=_code(a.public_name),
        source_b=_code(b.public_name),
        size=f"{run.image_size.height}×{run.image_size.width} px, {colours}",
        prepared={d: str(prepared) for d, prepared in run.preparations.items()},
        head=yaml.safe_dump(_head(run, evaluation), sort_keys=False, allow_unicode=True),
        arrow="↔" if both else "→",
        back=", and back" if both else "",
        best=f", the best of its evaluated steps by {_code(measure)}" if measure else "",
        samples=_samples(picture) if picture else "",
        shell_domain=_shell_word(run.domains.b),
        python_domain=json.dumps(run.domains.b, ensure_ascii=False),
        changed=_changed(s),
        held_out=_held_out(run, evaluation),
        # Optional settings are mentioned only where they are used.
        bottleneck=f", bottleneck of {s.model.bottleneck}" if s.model.bottleneck else "",
        literal=", literally as the book has it, with its defects" if s.model.literal else "",
        parameters=models.count_parameters(run.state.gen.params[run.directions[0]]),
        averaged=", averaged over training" if run.state.ema is not None else "",
        d_learning_rate=f" ({rate:g} for the discriminators)" if rate else "",
        l2=f", L2 {s.optim.l2:g}" if s.optim.l2 else "",
        start=start,
        on_the_way=on_the_way,
        numbers=_numbers(run, evaluation) if evaluation else _NO_NUMBERS,
        limits="".join(f"\n{line}" for line in _limits(run, measure)),
        publishing="" if is_drawn(s) else _PUBLISHING,
        versions=_versions(run),
    )


def _head(run: Run, evaluation: Mapping[str, Any] | None) -> dict[str, Any]:
    """Collects what a model hub reads."""
    head: dict[str, Any] = {
        "license": "apache-2.0" if is_drawn(run.settings) else "unknown",
        "library_name": "discogan_jax",
        "pipeline_tag": "image-to-image",
        "tags": ["discogan", "gan", "unpaired", "jax", "flax"],
    }
    if datasets := {source.dataset for source in _sources(run.settings) if source.dataset}:
        head["datasets"] = sorted(datasets)
    if results := _results(run.settings, evaluation["rows"] if evaluation else ()):
        head["model-index"] = [{"name": printable(run.path.name, ""), "results": results}]
    return head


def _changed(s: Settings) -> str:
    changes = ["every other one mirrored, at random"] if s.data.flip else []
    if s.data.jitter:
        changes.append(f"cut at random places from copies {100 * s.data.jitter:g}% larger")
    return " and ".join(changes) or "as they are"


def _held_out(run: Run, evaluation: Mapping[str, Any] | None) -> str:
    """Says what held-out images were used for, and why they may have been trained on if so."""
    doubts = [*(evaluation or {}).get("other_pictures", ())]
    doubts += [
        f"{run.domains.name(d)}: {about['leaked']:,} held-out pictures equal training pictures"
        for d, about in pictures.about(run.path).items()
        if about.get("leaked")
    ]
    doubts += changes.of_pictures(run.path)
    if not doubts:
        return "Held-out ones were used for measuring alone."
    listed = "".join(f"\n* {plain(text)}" for text in dict.fromkeys(doubts))
    return f"Held-out ones may have been trained on, so that the numbers may flatter:\n{listed}"


def _results(s: Settings, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Groups the finite values by the route of the images."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        route, _, measure = row["name"].rpartition("/")
        if row["value"] is not None:
            metric = {"type": measure, "name": row["what"], "value": row["value"]}
            found.setdefault(route.replace("_", " "), []).append(metric)
    kinds = "-".join(sorted({source.kind for source in _sources(s)}))
    names = " and ".join(s.domains)
    return [
        {
            "task": {"type": "image-to-image", "name": route},
            "dataset": {"type": kinds, "name": names, "split": "held out"},
            "metrics": metrics,
        }
        for route, metrics in found.items()
    ]


def _changes(run: Run) -> tuple[str, str]:
    """Says which trained weights the run started from, if any, and what changed on its way."""
    start, on_the_way = "", ""
    for change in changes.read(run.path):
        if init := change.pop("init", None):
            place = weights.public_name(init["from"])
            text = plain(changes.init_as_text(init | {"from": place})).replace("|", "\\|")
            start = f"\n| start | {text} |"
        on_the_way += "".join(f"\n* {plain(text)}" for text in changes.describe(change))
    return start, on_the_way


def _samples(picture: Path) -> str:
    title = f"at step {int(picture.stem):,}"
    return f'\n\n![Held-out images and their translations]({SAMPLES}/{picture.name} "{title}")'


def _numbers(run: Run, evaluation: Mapping[str, Any]) -> str:
    rows = {row["name"]: row for row in evaluation["rows"]}
    parts = [f"Measured on held-out images with {evaluation['parameters']} parameters:"]
    for title, names in measures.headlines(*run.domains, rows).items():
        cells = [["", *_COLUMNS, "measure"]]
        for name, text in names.items():
            cells.append([text, *_cells(rows[name]), _code(name.rpartition("/")[2])])
        parts += [f"**{plain(title)}**", table.markdown(cells)]
    cells = [["", *_COLUMNS], *([plain(row["what"]), *_cells(row)] for row in rows.values())]
    folded = f"<details><summary>All {len(rows)} measures</summary>"
    parts += [folded, table.markdown(cells), "</details>"]
    remarks = "\n".join(f"* {plain(remark)}" for remark in evaluation.get("remarks", ()))
    return "\n\n".join(filter(None, [*parts, remarks]))


def _cells(row: Mapping[str, Any]) -> list[str]:
    """Returns the cells of `_COLUMNS`."""
    # An undefined value is null in JSON; earlier versions gave no reason.
    undefined = table.DASH if row["reason"] else "not finite"
    better, interval = row["better"], row["interval"]
    value = table.value_text(row["value"], better, interval) or undefined
    reference = table.value_text(row["reference"], better)
    interval_text = table.interval_text(interval)
    return [value, interval_text, reference, plain(row["beside"] or ""), better or ""]


def _limits(run: Run, measure: str) -> list[str]:
    """Lists the limits that not every run has; a measure is what has chosen the step."""
    limits = []
    # The recipe.
    loss = run.settings.loss
    if not loss.identity:
        limits.append("  It was trained without an identity term: colours need not be kept.")
    if loss.objective != "discogan":
        limits.append(f"* Its objective is `{loss.objective}`, a baseline that tends to collapse.")
    # What happened in training, up to this checkpoint.
    path = run.path / METRICS_FILE
    lines, damaged = read_lines_counting_damage(path)
    alarmed = [line["step"] for line in lines if line.get("collapse_alarm")]
    if alarms := [step for step in alarmed if step <= run.step]:
        limits += [
            f"* During training, translations hardly differed from each other at {len(alarms)}",
            f"  samples, last at step {int(alarms[-1]):,}: it may have collapsed.",
        ]
    if damaged:
        lost = "what happened there, or a better step, is not known"
        limits.append(f"* {damage(path, damaged)}: {lost}.")
    if measure:
        limits += [
            f"* Its step was chosen by {plain(measure)} on the held-out images: on others, its",
            "  numbers are likely to be somewhat worse.",
        ]
    return limits


def _versions(run: Run) -> str:
    versions, _ = layout.find(run.path, VERSIONS_FILE)
    if versions is None:
        return "They are not known."
    packages = [f"{name} {version}" for name, version in versions.get("packages", {}).items()]
    python = [f"Python {versions['python']}"] if "python" in versions else []
    found = ", ".join([*packages, *python])
    return plain(f"{found}; on {versions.get('devices', 'unknown devices')}.")


def plain(text: str) -> str:
    """Escapes what HTML and Markdown would obey in a text from elsewhere; it stays on one line."""
    shown = html.escape(printable(text, ""), quote=False)
    return re.sub(r"[\\`*\[\]#~]|(?<!\w)_|_(?!\w)", r"\\\g<0>", shown)


def _code(text: str) -> str:
    """Marks a text as code, which no backticks in it can end."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " * (len(fence) > 1)
    return f"{fence}{space}{printable(text, '')}{space}{fence}"


def _shell_word(text: str) -> str:
    """Quotes a text for a shell, on one line."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + printable(text.replace("\\", r"\\").replace("'", r"\'"), "") + "'"


def _sources(s: Settings) -> tuple[Source, Source]:
    return parse(s.data.source_a), parse(s.data.source_b)
