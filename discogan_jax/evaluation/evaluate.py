"""Measures how well a run translates its held-out images: values beside their references."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from discogan_jax import files, host
from discogan_jax.config import build
from discogan_jax.config.schema import Settings
from discogan_jax.data.sources import Splits
from discogan_jax.errors import DivergedError, InputError
from discogan_jax.evaluation import attributes, held_out, scores, table
from discogan_jax.evaluation.metrics.inception import Extractor
from discogan_jax.evaluation.probe import DomainClassifier
from discogan_jax.evaluation.scores import FloatImages
from discogan_jax.evaluation.table import Row
from discogan_jax.images import to_unit
from discogan_jax.runs import demo, layout, pictures
from discogan_jax.runs.run import Run
from discogan_jax.state import Domains, generators_only

# Numbers beyond it are bytes; no network makes them of images in [0, 1].
_BYTES = 25.0

# Images and one of the directions, "ab" or "ba": their translations.
Translate = Callable[[FloatImages, str], FloatImages]

# Takes a line about what is done next.
Say = Callable[[str], None]


def _nobody(_: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class References:
    """What translations are compared with; fitted once for all states of a run.

    Attributes:
      real: held-out images per domain.
      classifier: trained on the training images.
      known: attributes of the held-out images per domain; drawn images alone have them.
      probes: predictors of such attributes, for the same domains.
      left_out: measures that these images do not allow, with the reason for each.
      remarks: what else is to be known of the images, in lines.
      other_pictures: how they differ from those of the training, in lines; see `of_run`.
    """

    real: dict[str, FloatImages]
    classifier: DomainClassifier
    known: dict[str, attributes.Attributes]
    probes: dict[str, attributes.AttributeProbe]
    left_out: Mapping[str, str]
    remarks: Sequence[str]
    other_pictures: Sequence[str] = ()

    def of_run(self, run: Run, loaded: Mapping[str, Splits]) -> "References":
        """Returns the same for a run, with what differs from the images that it was trained on.

        Args:
          run: the run.
          loaded: the images as they are now.
        """
        return replace(self, other_pictures=pictures.remarks(run.path, run.settings, loaded))


def fit_references(s: Settings, loaded: Mapping[str, Splits], *, say: Say = _nobody) -> References:
    """Trains classifier and probes: seconds, on one device.

    Args:
      s: the run's settings.
      loaded: its images, from `build.images`.
      say: takes a line before each step.

    Raises:
      InputError: too few images are held out.
    """
    rows = held_out.choose(s, loaded)
    # For photographs, all there is are the images themselves and what tells the domains apart.
    real = {d: to_unit(x.val[rows[d]]) for d, x in loaded.items()}
    say(f"training a network to tell {' and '.join(s.domains)} apart")
    classifier = DomainClassifier.fit({d: x.train for d, x in loaded.items()})
    # Drawn images have known attributes, which a probe per domain learns to predict.
    known, probes = {}, {}
    for d, items in build.described(s).items():
        say(f"training a network to read the attributes of {s.domains.name(d)}")
        known[d] = attributes.Attributes.of([items["val"][row] for row in rows[d]])
        shown = attributes.Attributes.of(items["train"])
        probes[d] = attributes.AttributeProbe.fit(loaded[d].train, shown)
    trained = min(map(len, classifier.training_features.values()))
    left_out = held_out.left_out(s.domains, real, drawn=bool(known), trained=trained)
    remarks = held_out.remarks(s.domains, loaded, rows)
    return References(real, classifier, known, probes, left_out, remarks)


def references_of(run: Run, *, say: Say = _nobody) -> References:
    """Loads the images of a run and fits the references to them, see `fit_references`.

    Raises:
      InputError: the run's images cannot be loaded, or too few are held out.
    """
    say("opening the pictures of the run")
    loaded = run.images()
    return fit_references(run.settings, loaded, say=say).of_run(run, loaded)


def measure(
    run: Run,
    references: References | None = None,
    *,
    extractor: Extractor | None = None,
    say: Say = _nobody,
) -> list[Row]:
    """Measures a run on its held-out images.

    Running statistics are used, and averaged parameters where the run has them (`Run.raw` is the
    same run without). Deterministic; the number of devices affects rounding only.

    Args:
      run: a run, with its state on any devices.
      references: fitted to the run's images; None loads these and fits them.
      extractor: from `inception.load`, for FID and KID.
      say: takes a line before each step.

    Raises:
      InputError: the run's images cannot be loaded, or too few are held out, or the extractor does
        not take them.
      DivergedError: translations are not finite.
    """
    channels = run.settings.data.channels
    if extractor is not None and channels not in (1, 3):
        raise InputError(
            f"{extractor.name} takes images of 1 or 3 channels, and these have {channels}: "
            "evaluate without --inception"
        )
    references = references or references_of(run, say=say)
    fewest = min(map(len, references.real.values()))
    if extractor is not None and fewest < scores.LEAST_IN_FEATURES:
        raise InputError(
            f"{fewest} held-out images are too few for {extractor.name}: "
            f"{scores.LEAST_IN_FEATURES} are needed, and thousands for numbers to compare"
        )
    # Translate on one device, whatever the run is trained on.
    translate = replace(run, state=generators_only(run.state)).apply
    routes = (*run.gan.directions, *run.gan.cycles)
    return measure_translations(
        run.settings, references, translate, routes, step=run.step, extractor=extractor, say=say
    )


def measure_translations(
    s: Settings,
    references: References,
    translate: Translate,
    routes: Sequence[str] = ("ab", "ba", "aba", "bab"),
    *,
    step: int,
    extractor: Extractor | None = None,
    say: Say = _nobody,
) -> list[Row]:
    """Measures whatever translates the held-out images, be it a run or another program.

    Args:
      s: settings with the domains and their images.
      references: fitted to these images.
      translate: translates float images in [0, 1].
      routes: what is measured: directions, and round trips such as ``aba``.
      step: number of finished steps, for messages.
      extractor: see `measure`.
      say: see `measure`.

    Raises:
      DivergedError: translations are not finite.
      InputError: they are numbers up to 255.
    """
    rows = _measure_references(references, s.domains)
    for direction in (route for route in routes if len(route) == 2):
        source, target = direction
        # Translate the held-out images of the source domain, and back.
        real, route = references.real[source], (s.domains.name(source), s.domains.name(target))
        say(f"translating and measuring {' → '.join(route)}, {len(real)} held-out pictures")
        made = translate(real, direction)
        require_finite(made, step, route)
        if np.max(made) > _BYTES:
            reach = f"translations {' → '.join(route)} reach {np.max(made):g}"
            raise InputError(f"{reach}: images in [0, 1] are measured, divide by 255")
        t = scores.Translations(route, real, made, references.real[target])
        again = translate(made, target + source) if direction + source in routes else None
        rows += _measure_direction(s, references, direction, t, again, extractor)
    # What is read from images that cannot show it, such as the hue of grey ones, means nothing.
    return [row for row in rows if row.name.rpartition("/")[2] not in references.left_out]


def require_finite(made: Shaped[Any, "..."], step: int, route: Sequence[str]) -> None:
    """Refuses translations that say nothing of how good a run is.

    Args:
      made: translations of held-out images.
      step: number of finished steps.
      route: the domains that they lead through.

    Raises:
      DivergedError: a number is not finite.
    """
    if not np.isfinite(np.asarray(made, np.float32)).all():
        raise DivergedError(f"step {step}: translations {' → '.join(route)} are not finite")


def remarks(rows: Sequence[Row], references: References) -> list[str]:
    """Says what a table does not: which images are measured, what is left out or undefined."""
    undefined = {row.name: row.reason for row in rows if row.reason}
    return [
        *references.remarks,
        *references.other_pictures,
        *table.notes(references.left_out, "left out"),
        *table.notes(undefined, f"undefined ({table.DASH})"),
    ]


def write(run: Run, rows: Sequence[Row], references: References, path: Path | None = None) -> Path:
    """Writes what `measure` found.

    Args:
      run: the run that was measured.
      rows: what `measure` returned.
      references: what it was compared with.
      path: the file; `evaluation.json` of the run if None.

    Returns:
      The file.
    """
    path = path or demo.results(run.path) / layout.EVALUATION_FILE
    report = {
        "step": run.step,
        "parameters": "raw" if run.state.ema is None else "averaged",
        "held_out": {run.domains.name(d): len(x) for d, x in references.real.items()},
        "rows": table.as_json(rows),
        "left_out": dict(references.left_out),
        "remarks": remarks(rows, references),
        "other_pictures": list(references.other_pictures),
        "versions": host.versions(),
    }
    files.write_json(path, report)
    return path


def _measure_references(references: References, domains: Domains) -> list[Row]:
    """Measures how good classifier and probes are themselves, on held-out real images."""
    shares = [references.classifier.share(x, d) for d, x in references.real.items()]
    count = 2 * min(map(len, references.real.values()))  # the mean of two shares
    rows = [scores.share_row((" and ".join(domains),), "judge", float(np.mean(shares)), count)]
    for d, trained in references.probes.items():
        route = (domains.name(d),)
        rows += attributes.probe_accuracy(trained, references.real[d], references.known[d], route)
    return rows


def _measure_direction(
    s: Settings,
    references: References,
    direction: str,
    t: scores.Translations,
    again: FloatImages | None,
    extractor: Extractor | None,
) -> list[Row]:
    source, target = direction
    # Measures of any images.
    rows: list[Row] = []
    if again is not None:
        rows += scores.measure_reconstruction(t, again)
    rows += scores.measure_realism(t)
    rows += scores.measure_border(t)
    rows += scores.measure_domain(t, references.classifier, target)
    if extractor is not None:
        rows += scores.measure_features(t, extractor)
    rows += scores.measure_diversity(t)
    if held_out.are_pairs(s):
        rows += scores.measure_pairs(t)
    # Measures of what a translation should keep.
    rows += scores.measure_colour(t)
    if source in references.known and target in references.probes:
        probe, known = references.probes[target], references.known[source]
        rows += attributes.preserved(probe, t.made, known, t.route)
    return rows
