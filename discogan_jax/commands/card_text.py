"""What a model card says of a run: what is known of it and what was measured, and nothing else."""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from discogan_jax import models
from discogan_jax.config.schema import Settings
from discogan_jax.errors import InputError
from discogan_jax.evaluation import table
from discogan_jax.files import read_json, read_lines
from discogan_jax.runs import Run
from discogan_jax.runs.layout import CONFIG_FILE, METRICS_FILE, SAMPLES, VERSIONS_FILE

CODE_LICENCE = "apache-2.0"

_PIX2PIX = "of a pix2pix archive (Isola et al. 2017), made from data of others with their own terms"
_ARCHIVES = {
    "edges2shoes": "photographs of [UT Zappos50K]"
    "(http://vision.cs.utexas.edu/projects/finegrained/utzap50k) (Yu and Grauman 2014), whose page "
    f"has its terms; {_PIX2PIX}",
    "edges2handbags": "photographs of handbags from Amazon, collected for "
    "[iGAN](https://github.com/junyanz/iGAN) (Zhu et al. 2016), with no licence that this library "
    f"knows of; {_PIX2PIX}",
}
_KINDS = {
    "catalogue": "drawn by discogan_jax itself, free to use as its code is",
    "tfds": "a data set of TensorFlow Datasets, whose catalogue tells its terms",
    "folder": "pictures of whoever trained this, with terms that only they know",
    "arrays": "pictures of whoever trained this, with terms that only they know",
}


def public(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without the places of its images, which are nobody's business elsewhere."""
    data = dict(config["data"]) | {"archives": None, "data_dir": "data"}
    for domain in ("source_a", "source_b"):
        kind, _, rest = data[domain].partition(":")
        if kind in ("folder", "arrays"):
            data[domain] = f"{kind}:{Path(rest).name}"
    return dict(config) | {"data": data}


def text(run: Run, evaluation: Mapping[str, Any] | None, picture: Path | None) -> str:
    """The card, Markdown below YAML."""
    front = yaml.safe_dump(_front(run, evaluation), sort_keys=False, allow_unicode=True)
    sections = [
        ("", _summary(run, picture)),
        ("Use", _use(run)),
        ("Data", _data(run.settings)),
        ("Recipe", _recipe(run)),
        ("Numbers", _numbers(evaluation)),
        ("Limits", _limits(run)),
        ("Licence", _licence(run.settings)),
        ("Versions", _versions(run)),
    ]
    body = "\n\n".join(
        (f"## {title}\n\n" if title else "") + "\n".join(lines) for title, lines in sections
    )
    return f"---\n{front}---\n\n{body}\n"


def _front(run: Run, evaluation: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a model hub reads."""
    s = run.settings
    front: dict[str, Any] = {
        "license": CODE_LICENCE if drawn(s) else "unknown",
        "library_name": "discogan_jax",
        "pipeline_tag": "image-to-image",
        "tags": ["discogan", "gan", "unpaired", "jax", "flax"],
    }
    sources = [source.partition(":") for source in (s.data.source_a, s.data.source_b)]
    named = {"archive": "/", "tfds": ":"}
    if datasets := {rest.split(named[kind])[0] for kind, _, rest in sources if kind in named}:
        front["datasets"] = sorted(datasets)
    if results := _results(run, evaluation):
        front["model-index"] = [{"name": _name(run), "results": results}]
    return front


def _results(run: Run, evaluation: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in evaluation["rows"] if evaluation else ():
        images, _, measure = row["name"].rpartition("/")
        if row["value"] is not None:
            metric = {"type": measure, "name": row["what"], "value": row["value"]}
            found.setdefault(images, []).append(metric)
    s = run.settings
    kinds = sorted({source.partition(":")[0] for source in (s.data.source_a, s.data.source_b)})
    dataset = {"type": "-".join(kinds), "name": " and ".join(s.domains), "split": "held out"}
    task = {"type": "image-to-image"}
    return [
        {"task": task | {"name": images.replace("_", " ")}, "dataset": dict(dataset), "metrics": m}
        for images, m in found.items()
    ]


def _summary(run: Run, picture: Path | None) -> Iterator[str]:
    a, b = run.domains
    both = len(run.directions) > 1
    yield f"# {_name(run)}: {a} {'↔' if both else '→'} {b}"
    yield ""
    yield (
        f"Translates images of {a} into {b}{', and back' if both else ''}: {run.image_size}×"
        f"{run.image_size} px, learned without pairs. A DiscoGAN "
        "([Kim et al. 2017](https://arxiv.org/abs/1703.05192)), trained with discogan_jax for "
        f"{run.step:,} of {run.settings.train.steps:,} steps."
    )
    if picture:
        yield ""
        yield (
            f"![Held-out images and their translations]({SAMPLES}/{picture.name} "
            f'"at step {int(picture.stem):,}")'
        )


def _use(run: Run) -> Iterator[str]:
    to = run.domains[1]
    quoted = json.dumps(to, ensure_ascii=False)
    yield "This folder is a run directory of discogan_jax. With that installed:"
    yield ""
    yield "```sh"
    yield f"discogan translate FOLDER my_pictures/ --to {shlex.quote(to)} --out translated"
    yield "discogan export FOLDER --format onnx  # or savedmodel, or stablehlo"
    yield "```"
    yield ""
    yield "```python"
    yield "from discogan_jax import images, runs"
    yield ""
    yield 'run = runs.open("FOLDER")'
    yield 'picture = images.fit(images.read("picture.png"), run.image_size)'
    yield f"translated = run.translate(picture[None], to={quoted})[0]  # float32 in [0, 1]"
    yield "```"
    yield ""
    yield (
        "Pictures are cut to their largest centred square and scaled, with an antialiasing "
        "(Hamming) filter when that shrinks them."
    )


def _data(s: Settings) -> Iterator[str]:
    for domain, source in _sources(s).items():
        yield f"* {domain}: `{source}`, {_told(source)}."
    yield ""
    mirrored = "every other one mirrored, at random" if s.data.flip else "as they are"
    yield f"Training images were used {mirrored}. Held-out ones were used for measuring alone."


def _recipe(run: Run) -> Iterator[str]:
    s = run.settings
    generator = models.count_parameters(run.state.gen.params[run.directions[0]])
    loss = ("adversarial", "feature", "reconstruction", "identity", "discriminator")
    rate = ("rate_start", "rate", "rate_updates")
    d_rate = s.optim.d_learning_rate
    facts = {
        "networks": f"`{s.model.recipe}`, {s.model.width} channels in the first level"
        + (f", bottleneck of {s.model.bottleneck}" if s.model.bottleneck else "")
        + (", literally as the book has it, with its defects" if s.model.literal else ""),
        "parameters of a generator": f"{generator:,}"
        + (", averaged over training" if run.state.ema is not None else ""),
        "objective": f"`{s.loss.objective}`",
        "weights of the losses": ", ".join(f"{name} {getattr(s.loss, name):g}" for name in loss),
        "their schedule": ", ".join(f"{name} {getattr(s.loss, name)}" for name in rate),
        "optimizer": f"Adam {s.optim.learning_rate:g}"
        + (f" ({d_rate:g} for the discriminators)" if d_rate else "")
        + f", β1 {s.optim.b1:g}, β2 {s.optim.b2:g}"
        + (f", L2 {s.optim.l2:g}" if s.optim.l2 else ""),
        "updates in a step": f"{s.train.d_updates} of the discriminators, {s.train.g_updates} of "
        "the generators",
        "batch": f"{s.data.batch_size} images of each domain",
        "precision": s.train.precision,
        "seed": s.seed,
    }
    yield "| | |"
    yield "|---|---|"
    for name, value in facts.items():
        yield f"| {name} | {value} |"
    yield ""
    yield f"`{CONFIG_FILE}` has every setting."


def _numbers(evaluation: Mapping[str, Any] | None) -> Iterator[str]:
    if evaluation is None:
        yield (
            "None: this checkpoint was not evaluated, and nothing is claimed of how well it "
            "translates. `discogan evaluate` measures a run where its images are."
        )
        return
    yield f"Measured on held-out images with {evaluation['parameters']} parameters:"
    yield ""
    yield "| on held-out images | value | 95% | beside | | better |"
    yield "|---|---|---|---|---|---|"
    for row in evaluation["rows"]:
        span = " to ".join(map(table.short, row["interval"] or ()))
        cells = [table.short(row["value"]) or "not finite", span, table.short(row["reference"])]
        what = row["what"].replace("|", "\\|")  # of a domain's name
        yield f"| {' | '.join([what, *cells, row['beside'], row['better']])} |"


def _limits(run: Run) -> Iterator[str]:
    s = run.settings
    yield f"* Whatever goes in is cut to a square and scaled to {run.image_size} px."
    yield f"* It knows {' and '.join(s.domains)} such as it was trained on. Of anything else it"
    yield "  makes something, too, without a warning."
    yield "* Which of many possible correspondences it has learned is partly chance."
    if not s.loss.identity:
        yield "  It was trained without an identity term: colours need not be kept."
    if s.loss.objective != "discogan":
        yield f"* Its objective is `{s.loss.objective}`, a baseline that tends to collapse."
    if alarms := [
        line["step"]
        for line in read_lines(run.path / METRICS_FILE)
        if line.get("collapse_alarm") and line["step"] <= run.step
    ]:
        yield f"* During training, translations hardly differed from each other at {len(alarms)}"
        yield f"  samples, last at step {int(alarms[-1]):,}: it may have collapsed."
    yield "* It repeats what its images show, prejudices included. None were looked for."


def _licence(s: Settings) -> Iterator[str]:
    yield "The code is under Apache-2.0. The data:"
    yield ""
    for domain, source in _sources(s).items():
        yield f"* {domain}: {_told(source)}."
    if not drawn(s):
        yield ""
        yield "The weights were learned from these images. Before publishing them, settle what"
        yield "that allows, and set `license` at the top of this file."


def _versions(run: Run) -> Iterator[str]:
    try:
        versions = read_json(run.path / VERSIONS_FILE)
    except FileNotFoundError:
        yield "They were not recorded."
        return
    except ValueError as error:
        raise InputError(f"{run.path / VERSIONS_FILE} is damaged: {error}") from error
    packages = [f"{name} {version}" for name, version in versions.get("packages", {}).items()]
    python = [f"Python {versions['python']}"] if "python" in versions else []
    yield ", ".join([*packages, *python]) + f"; on {versions.get('devices', 'unknown devices')}."


def _sources(s: Settings) -> dict[str, str]:
    config = public({"data": {"source_a": s.data.source_a, "source_b": s.data.source_b}})["data"]
    return dict(zip(s.domains, (config["source_a"], config["source_b"]), strict=True))


def _told(source: str) -> str:
    kind, _, rest = source.partition(":")
    return _ARCHIVES.get(rest.split("/")[0], _PIX2PIX) if kind == "archive" else _KINDS[kind]


def drawn(s: Settings) -> bool:
    """Whether all images are drawn here, and anyone may publish them."""
    return all(source.startswith("catalogue:") for source in (s.data.source_a, s.data.source_b))


def _name(run: Run) -> str:
    return run.path.name
