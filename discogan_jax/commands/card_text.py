"""The text of a model card: what is known of a run and what was measured, and nothing else."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from discogan_jax import models
from discogan_jax.config.schema import Settings
from discogan_jax.data import sources
from discogan_jax.data.source import Source
from discogan_jax.errors import InputError
from discogan_jax.evaluation import table
from discogan_jax.files import read_json, read_lines
from discogan_jax.runs import Run
from discogan_jax.runs.layout import CONFIG_FILE, METRICS_FILE, SAMPLES, VERSIONS_FILE

CODE_LICENCE = "apache-2.0"

_SUMMARY = """\
# {name}: {a} {arrow} {b}

Translates images of {a} into {b}{back}: {size}×{size} px, learned without pairs. A DiscoGAN \
([Kim et al. 2017](https://arxiv.org/abs/1703.05192)), trained with discogan_jax for {step:,} of \
{steps:,} steps."""

_USE = """\
This folder is a run directory of discogan_jax. With that installed:

```sh
discogan translate FOLDER my_pictures/ --to {shell_domain} --out translated
discogan export FOLDER --format onnx  # or savedmodel, or stablehlo
```

```python
from discogan_jax import images, runs

run = runs.open("FOLDER")
picture = images.fit(images.read("picture.png"), run.image_size)
translated = run.translate(picture[None], to={python_domain})[0]  # float32 in [0, 1]
```

Pictures are cut to their largest centred square and scaled, with an antialiasing (Hamming) filter \
when that shrinks them."""

_NO_NUMBERS = """\
None: this checkpoint was not evaluated, and nothing is claimed of how well it translates. \
`discogan evaluate` measures a run where its images are."""

_PUBLISHING = """\
The weights were learned from these images. Before publishing them, settle what
that allows, and set `license` at the top of this file."""


def public(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a config with private paths removed."""
    data = dict(config["data"]) | {"archives": None, "data_dir": "data"}
    for field in ("source_a", "source_b"):
        data[field] = sources.parse(data[field]).public_name
    return dict(config) | {"data": data}


def is_drawn(s: Settings) -> bool:
    """Whether all images are drawn by this library, so that anyone may publish them."""
    return all(source.drawn for source in _sources(s).values())


def text(run: Run, evaluation: Mapping[str, Any] | None, picture: Path | None) -> str:
    """Writes the card: a YAML head, then Markdown.

    Args:
      run: from `runs.open`.
      evaluation: content of `evaluation.json`, of the run's step; None if there is none.
      picture: the sample grid that goes with the card; None if there is none.
    """
    head = yaml.safe_dump(_head(run, evaluation), sort_keys=False, allow_unicode=True)
    sections = {
        "Use": _use(run),
        "Data": _data(run.settings),
        "Recipe": _recipe(run),
        "Numbers": _numbers(evaluation),
        "Limits": _limits(run),
        "Licence": _licence(run.settings),
        "Versions": _versions(run),
    }
    body = [_summary(run, picture), *(f"## {title}\n\n{part}" for title, part in sections.items())]
    return f"---\n{head}---\n\n" + "\n\n".join(body) + "\n"


def _head(run: Run, evaluation: Mapping[str, Any] | None) -> dict[str, Any]:
    """Collects what a model hub reads."""
    head: dict[str, Any] = {
        "license": CODE_LICENCE if is_drawn(run.settings) else "unknown",
        "library_name": "discogan_jax",
        "pipeline_tag": "image-to-image",
        "tags": ["discogan", "gan", "unpaired", "jax", "flax"],
    }
    if datasets := {s.dataset for s in _sources(run.settings).values() if s.dataset}:
        head["datasets"] = sorted(datasets)
    if results := _results(run.settings, evaluation["rows"] if evaluation else ()):
        head["model-index"] = [{"name": run.path.name, "results": results}]
    return head


def _results(s: Settings, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Groups the finite values by the route of the images."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        route, _, measure = row["name"].rpartition("/")
        if row["value"] is not None:
            metric = {"type": measure, "name": row["what"], "value": row["value"]}
            found.setdefault(route, []).append(metric)
    kinds = sorted({source.kind for source in _sources(s).values()})
    dataset = {"type": "-".join(kinds), "name": " and ".join(s.domains), "split": "held out"}
    task = {"type": "image-to-image"}
    return [
        {"task": task | {"name": route.replace("_", " ")}, "dataset": dict(dataset), "metrics": m}
        for route, m in found.items()
    ]


def _summary(run: Run, picture: Path | None) -> str:
    both = len(run.directions) > 1
    summary = _SUMMARY.format(
        name=run.path.name,
        a=run.domains.a,
        b=run.domains.b,
        arrow="↔" if both else "→",
        back=", and back" if both else "",
        size=run.image_size,
        step=run.step,
        steps=run.settings.train.steps,
    )
    if picture:
        title = f'"at step {int(picture.stem):,}"'
        summary += (
            f"\n\n![Held-out images and their translations]({SAMPLES}/{picture.name} {title})"
        )
    return summary


def _use(run: Run) -> str:
    to = run.domains.b
    python_domain = json.dumps(to, ensure_ascii=False)
    return _USE.format(shell_domain=shlex.quote(to), python_domain=python_domain)


def _data(s: Settings) -> str:
    lines = [
        f"* {s.domains.name(d)}: `{source.public_name}`, {source.licence}."
        for d, source in _sources(s).items()
    ]
    flipped = "every other one mirrored, at random" if s.data.flip else "as they are"
    use = f"Training images were used {flipped}. Held-out ones were used for measuring alone."
    return "\n".join([*lines, "", use])


def _recipe(run: Run) -> str:
    # Optional settings are mentioned only where they are used.
    s, state = run.settings, run.state
    networks = f"`{s.model.recipe}`, {s.model.width} channels in the first level"
    networks += f", bottleneck of {s.model.bottleneck}" if s.model.bottleneck else ""
    networks += ", literally as the book has it, with its defects" if s.model.literal else ""
    parameters = f"{models.count_parameters(state.gen.params[run.directions[0]]):,}"
    parameters += ", averaged over training" if state.ema is not None else ""
    rate = s.optim.d_learning_rate
    optimizer = f"Adam {s.optim.learning_rate:g}"
    optimizer += f" ({rate:g} for the discriminators)" if rate else ""
    optimizer += f", β1 {s.optim.b1:g}, β2 {s.optim.b2:g}"
    optimizer += f", L2 {s.optim.l2:g}" if s.optim.l2 else ""
    weights = ("adversarial", "feature", "reconstruction", "identity", "discriminator")
    schedule = ("rate_start", "rate", "rate_updates")
    rows = [
        ("", ""),
        ("networks", networks),
        ("parameters of a generator", parameters),
        ("objective", f"`{s.loss.objective}`"),
        ("weights of the losses", ", ".join(f"{w} {getattr(s.loss, w):g}" for w in weights)),
        ("their schedule", ", ".join(f"{name} {getattr(s.loss, name)}" for name in schedule)),
        ("optimizer", optimizer),
        (
            "updates in a step",
            f"{s.train.d_updates} of the discriminators, {s.train.g_updates} of the generators",
        ),
        ("batch", f"{s.data.batch_size} images of each domain"),
        ("precision", s.train.precision),
        ("seed", str(s.seed)),
    ]
    return f"{table.markdown(rows)}\n\n`{CONFIG_FILE}` has every setting."


def _numbers(evaluation: Mapping[str, Any] | None) -> str:
    if evaluation is None:
        return _NO_NUMBERS
    cells = [["on held-out images", "value", "95%", "beside", "", "better"]]
    for row in evaluation["rows"]:
        value = table.four_digits(row["value"]) or "not finite"
        reference, interval = table.four_digits(row["reference"]), row["interval"]
        cells.append(
            [
                *(row["what"], value, table.interval_text(interval)),
                *(reference, row["beside"], row["better"]),
            ]
        )
    title = f"Measured on held-out images with {evaluation['parameters']} parameters:"
    return f"{title}\n\n{table.markdown(cells)}"


def _limits(run: Run) -> str:
    s = run.settings
    limits = [
        f"* All images are cut to a square and scaled to {run.image_size} px.",
        f"* It was trained on {' and '.join(s.domains)} of the kind described above. It translates",
        "  any other image, too, without a warning.",
        "* Which of many possible correspondences it has learned is partly chance.",
    ]
    # What the recipe implies.
    if not s.loss.identity:
        limits.append("  It was trained without an identity term: colours need not be kept.")
    if s.loss.objective != "discogan":
        limits.append(
            f"* Its objective is `{s.loss.objective}`, a baseline that tends to collapse."
        )
    # What happened in training.
    lines = [line for line in read_lines(run.path / METRICS_FILE) if line.get("collapse_alarm")]
    if alarms := [line["step"] for line in lines if line["step"] <= run.step]:
        limits += [
            f"* During training, translations hardly differed from each other at {len(alarms)}",
            f"  samples, last at step {int(alarms[-1]):,}: it may have collapsed.",
        ]
    limits.append("* It reproduces biases of its images. Nobody has looked for them.")
    return "\n".join(limits)


def _licence(s: Settings) -> str:
    lines = [f"* {s.domains.name(d)}: {source.licence}." for d, source in _sources(s).items()]
    licence = "\n".join(["The code is under Apache-2.0. The data:", "", *lines])
    return licence if is_drawn(s) else f"{licence}\n\n{_PUBLISHING}"


def _versions(run: Run) -> str:
    try:
        versions = read_json(run.path / VERSIONS_FILE)
    except FileNotFoundError:
        return "They were not recorded."
    except ValueError as error:
        raise InputError(f"{run.path / VERSIONS_FILE} is damaged: {error}") from error
    packages = [f"{name} {version}" for name, version in versions.get("packages", {}).items()]
    python = [f"Python {versions['python']}"] if "python" in versions else []
    return ", ".join([*packages, *python]) + f"; on {versions.get('devices', 'unknown devices')}."


def _sources(s: Settings) -> dict[str, Source]:
    return {"a": sources.parse(s.data.source_a), "b": sources.parse(s.data.source_b)}
