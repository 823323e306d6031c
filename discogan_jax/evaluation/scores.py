"""Measures of translations of any images: float images in [0, 1] in, rows of a table out.

To add a measure, write its formula in `metrics` (arrays in, numbers out), a line in
`config.measures.MEASURES`, and in this module a `row` in the function that has the images that it
needs. Nothing else changes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Num

from discogan_jax.config.measures import MEASURES
from discogan_jax.evaluation.metrics import (
    attribute_correlation,
    baselines,
    checkerboard,
    colour,
    diversity,
    features,
    inception,
    intervals,
    reconstruction,
    sliced_wasserstein,
)
from discogan_jax.evaluation.probe import DomainClassifier, spaced
from discogan_jax.evaluation.table import Row

FloatImages = Float[np.ndarray, "N H W C"]

# An attribute of images, a number each.
Values = Num[np.ndarray, "N"]

# Domains that images went through: ("bags", "shoes") for bags translated to shoes.
Route = tuple[str, ...]

HALVES = "halves of real ones"
HELD_OUT = "held-out real ones"
GREY = "grey real ones"
OTHER_INPUTS = "other inputs"

# Its standard error is then up to a fifth of what photos of bags and shoes are apart; of 8, a half.
LEAST_IN_KERNEL = 20
LEAST_IN_FEATURES = 2 * LEAST_IN_KERNEL  # half against half
LEAST_IN_COVERAGE = 6  # more than the number of neighbours
LEAST_IN_HALVES = 4  # a single image is the nearest one of any
LEAST_PAIRS = 5  # with fewer, one pairing in twenty or so is as good by chance
LEAST_NEUTRAL = 10  # the standard error of real photos' mean chroma is then a fifth of it

# What `measure_colour` measures.
COLOURS = (
    "hue_error",
    "hue_correlation",
    "lightness_correlation",
    "warmth_correlation",
    "neutral_chroma",
)

# Per measure, why it may be undefined.
_REASONS = {
    "psnr": "infinite, since an image equals its reconstruction or another one",
    "pair_psnr": "infinite, since an image equals its true or its wrong partner",
    "grid_energy": "real images have nothing that repeats every two or four pixels",
    "diversity": "all inputs are equal",
}
_CORRELATIONS = {name for name, (label, _) in MEASURES.items() if "correlation" in label}
_ALIKE = 1e-9  # attributes that differ by less are equal but for rounding


@dataclass(frozen=True)
class Translations:
    """Held-out images and their translations.

    Attributes:
      route: names of source and target domain.
      source: real images of the source domain.
      made: their translations, in the same order.
      target: real images of the target domain.
    """

    route: Route
    source: FloatImages
    made: FloatImages
    target: Float[np.ndarray, "M H W C"]

    @property
    def count(self) -> int:
        """The number of images on either side of a comparison with the target domain."""
        return min(len(self.made), len(self.target))

    @property
    def equally_many(self) -> tuple[FloatImages, FloatImages]:
        """As many translations as real images of the target domain, evenly spaced."""
        made, target = (x[spaced(len(x), self.count)] for x in (self.made, self.target))
        return made, target


def row(
    route: Route,
    measure: str,
    value: float,
    reference: float | None = None,
    beside: str = "",
    interval: tuple[float, float] | None = None,
    reason: str | None = None,
) -> Row:
    """Makes a row about images that went along a route.

    Args:
      route: names of the domains.
      measure: a key of `MEASURES`, or the description of a distance that is none of them.
      value: see `Row`.
      reference: see `Row`.
      beside: see `Row`.
      interval: see `Row`.
      reason: why the value is undefined, if it is and the measure does not determine that.
    """
    what, better = MEASURES.get(measure, (measure, "lower"))
    defined = math.isfinite(value) and math.isfinite(reference or 0)
    reason = None if defined else reason or _REASONS.get(measure, "not finite")
    name = f"{'_to_'.join(route)}/{measure.replace(' ', '_')}"
    what = f"{' → '.join(route)}: {what.replace('{target}', route[-1])}"
    interval = interval if math.isfinite(value) else None
    return Row(name, what, value, reference, beside, better, interval, reason)


def mean_row(
    route: Route, measure: str, values: Values, reference: float | None = None, beside: str = ""
) -> Row:
    """Makes a row of a mean over images, with its interval."""
    interval = intervals.of_mean(values)
    return row(route, measure, float(values.mean()), reference, beside, interval)


def share_row(
    route: Route,
    measure: str,
    share: float,
    count: int,
    reference: float | None = None,
    beside: str = "",
) -> Row:
    """Makes a row of a share of so many images, with its interval."""
    return row(route, measure, share, reference, beside, intervals.of_share(share, count))


def chance_row(
    route: Route, measure: str, formula: Callable[[Any, Any], float], x: Values, y: Values
) -> Row:
    """Makes a row of how well an attribute of inputs (x) and outputs (y) agrees.

    Random pairs of both are the reference. Too few pairs agree by chance, so that it is undefined;
    so is a correlation where no input differs from another one in the attribute.
    """
    value, chance = attribute_correlation.against_random(formula, x, y)
    there = x[np.isfinite(x) & np.isfinite(y)]
    reason = None
    if len(there) < LEAST_PAIRS:
        value = chance = math.nan
        reason = f"{len(there)} pairs of input and output have it, and {LEAST_PAIRS} are needed"
    elif measure in _CORRELATIONS and np.ptp(there) < _ALIKE:
        value = chance = math.nan
        reason = "all inputs are alike in it"
    return row(route, measure, value, chance, "random pairs", reason=reason)


def halves_row(
    t: Translations, measure: str, formula: Callable[[FloatImages, FloatImages], float]
) -> Row:
    """Makes a row of a measure of two sets of images, beside its value for real ones alone.

    Such a value depends on the number of images, and real ones can be compared with each other only
    half against half: so one half of the translations is compared with the other half of them.
    """
    made, real = t.equally_many
    first, second = baselines.halves(t.count)
    usual = baselines.between_halves(formula, real)
    return row(t.route, measure, formula(made[first], real[second]), usual, HALVES)


def measure_reconstruction(t: Translations, again: FloatImages) -> list[Row]:
    """Compares images with their translations there and back, `again`, and with those of others."""
    others = again[baselines.derangement(len(again))]
    found, wrong = (reconstruction.paired(t.source, made) for made in (again, others))
    route = (*t.route, t.route[0])
    return [
        mean_row(route, name, found[name], float(wrong[name].mean()), OTHER_INPUTS)
        for name in ("mse", "psnr", "ssim")
    ]


def measure_realism(t: Translations) -> list[Row]:
    """Measures the sliced Wasserstein distance and the grid of up-sampling layers."""

    def distance(x: FloatImages, y: FloatImages) -> float:
        return 1000 * sliced_wasserstein.distances(x, y)["mean"]

    return [
        halves_row(t, "sliced_wasserstein", distance),
        halves_row(t, "grid_energy", checkerboard.grid_energy),
    ]


def measure_border(t: Translations) -> list[Row]:
    """Measures whether the outermost pixels are as light and as grey as those of real images.

    It is meant for objects on white: a generator leaves a tint or a frame there. Images other than
    RGB have no colour.
    """
    made, real = (colour.border(x) for x in (t.made, t.target))
    measured = {"border_lightness": (made.lightness, real.lightness)}
    if t.made.shape[-1] == colour.RGB:
        measured["border_chroma"] = (made.chroma, real.chroma)
    return [
        mean_row(t.route, name, values, float(usual.mean()), HELD_OUT)
        for name, (values, usual) in measured.items()
    ]


def measure_domain(t: Translations, classifier: DomainClassifier, domain: str) -> list[Row]:
    """Compares translations with real images by a domain classifier and in its features.

    Both translations and held-out images are compared with the training images, so that value and
    reference are measured on equally many images.

    Args:
      t: the translations.
      classifier: trained on training images.
      domain: the target, ``a`` or ``b``.
    """
    # How the classifier judges them.
    share, usual_share = (classifier.share(x, domain) for x in (t.made, t.target))
    rows = [share_row(t.route, "domain_test", share, len(t.made), usual_share, HELD_OUT)]
    # Distance and overlap in the space of its features, where there are enough images.
    trained = classifier.training_features[domain]
    made, real = map(classifier.probe.features, t.equally_many)
    if min(t.count, len(trained)) >= LEAST_IN_KERNEL:
        value, usual = (features.kernel_distance(x, trained) for x in (made, real))
        interval = (value.low, value.high)
        rows.append(row(t.route, "kernel_distance", value.value, usual.value, HELD_OUT, interval))
    if len(trained) >= LEAST_IN_COVERAGE:
        overlaps = [features.density_coverage(trained, x) for x in (made, real)]
        for name, found, of_real in zip(("density", "coverage"), *overlaps, strict=True):
            rows.append(row(t.route, name, found, of_real, HELD_OUT))
    return rows


def measure_features(t: Translations, extractor: inception.Extractor) -> list[Row]:
    """Measures Fréchet and kernel distance in features of a pretrained network.

    It needs at least `LEAST_IN_FEATURES` images of either kind, of 1 or 3 channels: the network
    takes RGB, so that a grey image is repeated in all three.
    """
    # As `halves_row` does, but each image goes through the network only once.
    first, second = baselines.halves(t.count)
    repeats = 3 // t.made.shape[-1]
    grey = " (grey as RGB)" if repeats > 1 else ""
    made, real = (extractor.features(x.repeat(repeats, axis=-1)) for x in t.equally_many)
    distances = partial(inception.distances, extractor=extractor)
    usual = baselines.between_halves(distances, real)
    return [
        row(t.route, name + grey, found.value, usual[name].value, HALVES, (found.low, found.high))
        for name, found in distances(made[first], real[second]).items()
    ]


def measure_diversity(t: Translations) -> list[Row]:
    """Measures whether translations differ as their inputs do."""
    ratio, usual = (diversity.diversity_ratio(x, t.source) for x in (t.made, t.target))
    rows = [row(t.route, "diversity", ratio, usual, "real ones")]
    if t.count >= LEAST_IN_HALVES:
        rows.append(halves_row(t, "distinct_neighbours", diversity.distinct_neighbours))
    return rows


def measure_pairs(t: Translations) -> list[Row]:
    """Compares translations with their true partners, and with those of others."""
    made, real = t.made[: t.count], t.target[: t.count]
    wrong = real[baselines.derangement(t.count)]
    found, shuffled = (reconstruction.paired(made, partners) for partners in (real, wrong))
    return [
        mean_row(t.route, f"pair_{name}", found[name], float(shuffled[name].mean()), "wrong pairs")
        for name in ("l1", "psnr", "ssim")
    ]


def measure_colour(t: Translations) -> list[Row]:
    """Measures how well the colour of the foreground is kept, for objects on white.

    There are no rows where real images of either domain are mostly grey: edges have no hue.
    """
    if not (colour.has_hues(t.source) and colour.has_hues(t.target)):
        return []
    before, after, real = (colour.foreground_colour(x) for x in (t.source, t.made, t.target))
    hues, lightness = (before.hue, after.hue), (before.lightness, after.lightness)
    warmth = before.warmth, after.warmth
    return [
        chance_row(t.route, "hue_error", attribute_correlation.hue_error, *hues),
        chance_row(t.route, "hue_correlation", attribute_correlation.map_correlation, *hues),
        chance_row(t.route, "lightness_correlation", attribute_correlation.correlation, *lightness),
        chance_row(t.route, "warmth_correlation", attribute_correlation.correlation, *warmth),
        _neutral_row(t.route, before, after, real),
    ]


def _neutral_row(
    route: Route, before: colour.Colour, after: colour.Colour, real: colour.Colour
) -> Row:
    """Makes a row of how colourful the translations of grey images are, beside grey real ones.

    Less colour than in real ones, which the light tints a little, is no better. Translations that
    are all white have no foreground and do not count.
    """
    made = after.mean_chroma[colour.is_neutral(before)]
    made, usual = made[np.isfinite(made)], real.mean_chroma[colour.is_neutral(real)]
    if min(len(made), len(usual)) < LEAST_NEUTRAL:
        counts = f"{len(made)} translations of grey inputs and {len(usual)} grey real ones"
        reason = f"there are {counts}, and {LEAST_NEUTRAL} of each are needed"
        return row(route, "neutral_chroma", math.nan, math.nan, GREY, reason=reason)
    return mean_row(route, "neutral_chroma", made, float(usual.mean()), GREY)
