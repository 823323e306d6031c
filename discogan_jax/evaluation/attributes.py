"""Measures for drawn images, whose hue, lightness, pattern and tilt are known.

Per domain, a probe is trained to predict the attributes of real images; what it predicts for a
translation is compared with what the input is known to show. As in the paper's rotation study (Kim
et al. 2017, arXiv 1703.05192, section 4.2) an angle counts as kept whether it comes out the same,
mirrored or rotated by a constant; so does a pattern that always becomes the same other pattern.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from discogan_jax.data.catalogue.items import PATTERNS, Item
from discogan_jax.evaluation import probe
from discogan_jax.evaluation.metrics import attribute_correlation
from discogan_jax.evaluation.probe import ByteOrFloatImages
from discogan_jax.evaluation.scores import Route, chance_row, row
from discogan_jax.evaluation.table import Row

HUES = ("read_hue_error", "true_hue_error", "true_hue_map_error", "true_hue_map_correlation")
"""The measures that need colour."""


@dataclass(frozen=True)
class Attributes:
    """What images show, one value each.

    Attributes:
      hue: degrees.
      lightness: 0 to 1.
      pattern: index in `items.PATTERNS`.
      tilt: degrees.
    """

    hue: Float[np.ndarray, "N"]
    lightness: Float[np.ndarray, "N"]
    pattern: Int[np.ndarray, "N"]
    tilt: Float[np.ndarray, "N"]

    @classmethod
    def of(cls, items: Sequence[Item]) -> "Attributes":
        """Collects the attributes of drawn items."""
        shown = ((i.hue, i.lightness, PATTERNS.index(i.pattern), i.tilt) for i in items)
        return cls(*map(np.array, zip(*shown, strict=True)))


@dataclass(frozen=True)
class AttributeProbe:
    """Predicts `Attributes` from images of one domain.

    Attributes:
      probe: predicts cosine and sine of the hue, standardised lightness and tilt, and a score for
        every pattern.
      mean: mean lightness and tilt of the training images.
      spread: standard deviations of both.
    """

    probe: probe.Probe
    mean: Float[np.ndarray, "2"]
    spread: Float[np.ndarray, "2"]

    @classmethod
    def fit(cls, images: UInt8[np.ndarray, "N H W C"], known: Attributes) -> "AttributeProbe":
        """Trains one on real images."""
        # Angles become points on a circle, numbers are standardised, patterns one-hot.
        hue = np.radians(known.hue)
        linear = np.stack([known.lightness, known.tilt], 1)
        mean, spread = linear.mean(0), np.maximum(linear.std(0), 1e-6)
        targets = [
            np.stack([np.cos(hue), np.sin(hue)], 1),
            (linear - mean) / spread,
            2 * np.eye(len(PATTERNS))[known.pattern],  # seldom 1, so they need more weight
        ]
        return cls(probe.fit(images, np.concatenate(targets, 1)), mean, spread)

    def predict(self, images: ByteOrFloatImages) -> Attributes:
        """Predicts what images show."""
        # The columns are those of the targets in `fit`.
        outputs = self.probe.predict(images).astype(np.float64)
        hue = np.degrees(np.arctan2(outputs[:, 1], outputs[:, 0])) % 360
        lightness, tilt = (outputs[:, 2:4] * self.spread + self.mean).T
        return Attributes(hue, lightness, outputs[:, 4:].argmax(1), tilt)


def probe_accuracy(
    trained: AttributeProbe, real: ByteOrFloatImages, known: Attributes, route: Route
) -> list[Row]:
    """Measures how well a probe predicts held-out real images: a bound for translations."""
    found = trained.predict(real)
    lightness = known.lightness, found.lightness
    measured = {
        "read_hue_error": attribute_correlation.hue_error(known.hue, found.hue),
        "read_lightness_correlation": attribute_correlation.correlation(*lightness),
        "read_pattern": float((found.pattern == known.pattern).mean()),
        "read_tilt_error": float(np.sqrt(np.square(found.tilt - known.tilt).mean())),
    }
    return [row(route, name, value) for name, value in measured.items()]


def preserved(
    trained: AttributeProbe, made: ByteOrFloatImages, known: Attributes, route: Route
) -> list[Row]:
    """Measures how well translations preserve the known attributes of their inputs.

    Args:
      trained: a probe of the target domain.
      made: translations.
      known: attributes of their inputs.
      route: of the translations.
    """
    found = trained.predict(made)
    # The attribute that is compared, and how.
    measures = {
        "true_hue_error": ("hue", attribute_correlation.hue_error),
        "true_hue_map_error": ("hue", attribute_correlation.map_error),
        "true_hue_map_correlation": ("hue", attribute_correlation.map_correlation),
        "true_lightness": ("lightness", _either_way),
        "true_pattern": ("pattern", attribute_correlation.label_agreement),
        "true_tilt_error": ("tilt", tilt_error),
        "true_tilt_correlation": ("tilt", _either_way),
    }
    return [
        chance_row(route, name, measure, getattr(known, attribute), getattr(found, attribute))
        for name, (attribute, measure) in measures.items()
    ]


def tilt_error(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> float:
    """Measures how far tilts are from being kept, mirrored or not.

    Tilts lie in a range about upright, not all round: besides the identity, only its mirror image
    and a constant offset are allowed.

    Args:
      x: tilts of the inputs in degrees.
      y: tilts of the outputs.

    Returns:
      The root mean squared error in degrees, of the better direction.
    """
    return min(float((y - sign * x).std()) for sign in (1, -1))


def _either_way(x: np.ndarray, y: np.ndarray) -> float:
    return abs(attribute_correlation.correlation(x, y))
