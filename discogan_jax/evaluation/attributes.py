"""What is measured where every image's hue, lightness, pattern and tilt are known.

A reader per domain is taught to tell them from real images; what it reads from a translation is
compared with what the input is known to show. As in the paper's rotation study (Kim et al. 2017,
arXiv 1703.05192, section 4.2) an angle counts as kept whether it comes out the same, mirrored or
turned by a constant; so does a pattern that always becomes the same other pattern.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from discogan_jax.data.catalogue.items import PATTERNS, Item
from discogan_jax.evaluation import probe
from discogan_jax.evaluation.metrics import attributes
from discogan_jax.evaluation.scores import CHANCE
from discogan_jax.evaluation.table import Better, Path, Row

Images = UInt8[np.ndarray, "N S S 3"] | Float[np.ndarray, "N S S 3"]


@dataclass(frozen=True)
class Facts:
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
    def of(cls, items: Sequence[Item]) -> "Facts":
        """What drawn items show."""
        return cls(
            np.array([item.hue for item in items]),
            np.array([item.lightness for item in items]),
            np.array([PATTERNS.index(item.pattern) for item in items]),
            np.array([item.tilt for item in items]),
        )


@dataclass(frozen=True)
class Eyes:
    """Reads `Facts` from images of one domain.

    Attributes:
      reader: says cosine and sine of the hue, the other two in units of their spread, and for
        every pattern how much it looks like it.
      offset: mean lightness and tilt of the images learnt from.
      spread: their standard deviations.
    """

    reader: probe.Reader
    offset: Float[np.ndarray, "2"]
    spread: Float[np.ndarray, "2"]

    @classmethod
    def taught(cls, images: UInt8[np.ndarray, "N S S 3"], facts: Facts, seed: int = 0) -> "Eyes":
        """Trains one on real images."""
        hue = np.radians(facts.hue)
        plain = np.stack([facts.lightness, facts.tilt], 1)
        offset, spread = plain.mean(0), np.maximum(plain.std(0), 1e-6)
        answers = np.concatenate(
            [
                np.cos(hue)[:, None],
                np.sin(hue)[:, None],
                (plain - offset) / spread,
                2 * np.eye(len(PATTERNS))[facts.pattern],  # seldom 1: needs more weight
            ],
            1,
        )
        return cls(probe.fit(images, answers, seed), offset, spread)

    def read(self, images: Images) -> Facts:
        """What the images show, as far as it can tell."""
        said = self.reader.read(images).astype(np.float64)
        hue = np.degrees(np.arctan2(said[:, 1], said[:, 0])) % 360
        lightness, tilt = (said[:, 2:4] * self.spread + self.offset).T
        return Facts(hue, lightness, said[:, 4:].argmax(1), tilt)


def read_right(eyes: Eyes, real: Images, facts: Facts, path: Path) -> list[Row]:
    """How well the eyes read held-out real images: no translation can be read better."""
    found = eyes.read(real)
    tilt_error = float(np.sqrt(np.square(found.tilt - facts.tilt).mean()))
    return [
        path.row(
            "read_hue_error",
            "reader's hue error in degrees",
            attributes.hue_error(facts.hue, found.hue),
            "lower",
        ),
        path.row(
            "read_lightness_correlation",
            "reader's correlation of lightness",
            attributes.correlation(facts.lightness, found.lightness),
            "higher",
        ),
        path.row(
            "read_pattern",
            "patterns read right",
            float((found.pattern == facts.pattern).mean()),
            "higher",
        ),
        path.row("read_tilt_error", "reader's tilt error in degrees (rms)", tilt_error, "lower"),
    ]


def held(eyes: Eyes, made: Images, facts: Facts, path: Path) -> list[Row]:
    """What translations still show of what is known of their inputs.

    Args:
      eyes: of the target domain.
      made: translations.
      facts: of their inputs.
      path: for the rows.
    """
    found = eyes.read(made)
    hue = attributes.against_random(attributes.hue_error, facts.hue, found.hue)
    turned = attributes.angles_kept(facts.hue, found.hue)
    tilt = tilts_kept(facts.tilt, found.tilt)
    lightness = attributes.against_random(
        lambda x, y: abs(attributes.correlation(x, y)), facts.lightness, found.lightness
    )
    pattern = attributes.against_random(
        attributes.labels_kept, facts.pattern.astype(float), found.pattern.astype(float)
    )
    measured: list[tuple[str, str, attributes.Kept, Better]] = [
        ("true_hue_error", "hue error to the truth, degrees", hue, "lower"),
        (
            "true_hue_map_error",
            "hues turned or mirrored as one, rms error in degrees",
            turned["rmse"],
            "lower",
        ),
        (
            "true_hue_map_correlation",
            "hues turned or mirrored as one, correlation",
            turned["correlation"],
            "higher",
        ),
        ("true_lightness", "correlation with true lightness, either way", lightness, "higher"),
        ("true_pattern", "patterns that map one to one", pattern, "higher"),
        ("true_tilt_error", "tilt kept or mirrored, rms error in degrees", tilt["rmse"], "lower"),
        (
            "true_tilt_correlation",
            "tilt kept or mirrored, correlation",
            tilt["correlation"],
            "higher",
        ),
    ]
    return [
        path.row(name, what, value.value, way, value.random, CHANCE)
        for name, what, value, way in measured
    ]


def tilts_kept(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> dict[str, attributes.Kept]:
    """Correlation and root mean squared error (degrees) of tilts, mirrored or not.

    Tilts lie in a range about upright, not all round: the map that is allowed beside the same is
    its mirror image, and a constant offset.

    Args:
      x: tilts of the inputs in degrees.
      y: of the outputs.

    Returns:
      'correlation' and 'rmse', each beside chance.
    """

    def error(a: np.ndarray, b: np.ndarray) -> float:
        return min(float((b - sign * a).std()) for sign in (1, -1))

    return {
        "correlation": attributes.against_random(
            lambda a, b: abs(attributes.correlation(a, b)), x, y
        ),
        "rmse": attributes.against_random(error, x, y),
    }
