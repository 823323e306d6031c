"""What is measured of translations of any images: float images in [0, 1] in, rows out."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from discogan_jax.evaluation import probe
from discogan_jax.evaluation.metrics import (
    attributes,
    colour,
    features,
    reconstruction,
    sliced_wasserstein,
)
from discogan_jax.evaluation.metrics import diversity as metrics_diversity
from discogan_jax.evaluation.metrics.inception import Extractor
from discogan_jax.evaluation.metrics.inception import distances as distances_of
from discogan_jax.evaluation.table import Better, Path, Row

Images = Float[np.ndarray, "N S S 3"]

HALVES = "halves of real ones"
HELD_OUT = "held-out real ones"
CHANCE = "random pairs"

LEAST_IN_FEATURES = 8


@dataclass(frozen=True)
class Judge:
    """Tells the domains apart, having seen the real training images of both; a feature space, too.

    Attributes:
      reader: says -1 for domain a, 1 for b.
      known: per domain, features of the training images.
    """

    reader: probe.Reader
    known: dict[str, Float[np.ndarray, "N features"]]

    @classmethod
    def taught(cls, train: dict[str, UInt8[np.ndarray, "N S S 3"]], seed: int = 0) -> "Judge":
        """Trains one on as many images of either domain."""
        most = min(probe.MAX_IMAGES // 2, *(len(x) for x in train.values()))
        some = {d: np.asarray(x[_evenly(len(x), most)]) for d, x in train.items()}
        answers = np.repeat(np.array([[-1.0], [1.0]]), most, 0)
        taught = probe.fit(np.concatenate([some["a"], some["b"]]), answers, seed)
        return cls(taught, {d: taught.features(x) for d, x in some.items()})

    def share(self, images: Images, domain: str) -> float:
        """The share of images that it takes for the domain's."""
        said = self.reader.read(images)[:, 0]
        return float(((said > 0) if domain == "b" else (said <= 0)).mean())


def reconstructed(x: Images, again: Images, path: Path) -> list[Row]:
    """How near images are to themselves after the way there and back."""
    found = reconstruction.paired(x, again)
    return [
        path.mean("mse", "mean squared error", found["mse"], "lower"),
        path.mean("psnr", "PSNR in dB", found["psnr"], "higher"),
        path.mean("ssim", "SSIM", found["ssim"], "higher"),
    ]


def real_looking(made: Images, real: Images, path: Path) -> list[Row]:
    """Sliced Wasserstein distance, and what up-sampling leaves.

    On halves, so that references are of as many images.
    """
    count = min(len(made), len(real))
    first, second = sliced_wasserstein.halves(count)

    def distance(x: Images, y: Images) -> float:
        return 1000 * sliced_wasserstein.sliced_wasserstein(x, y, pooled=True)["mean"]

    value = distance(made[:count][first], real[:count][second])
    reference = sliced_wasserstein.between_halves(distance, real[:count])
    what = "sliced Wasserstein distance × 1000"
    grid = metrics_diversity.grid_energy(made[:count][first], real[:count][second])
    usual = sliced_wasserstein.between_halves(metrics_diversity.grid_energy, real[:count])
    told = "energy of the up-sampling grid, that of real ones being 1"
    return [
        path.row("sliced_wasserstein", what, value, "lower", reference, HALVES),
        path.row("grid_energy", told, grid, "lower", usual, HALVES),
    ]


def judged(made: Images, real: Images, judge: Judge, domain: str, path: Path) -> list[Row]:
    """What the judge takes translations for, and where they lie in its feature space.

    The set that both translations and held-out images are compared with is that of the training
    images, so value and reference are of equally many images.

    Args:
      made: translations.
      real: held-out images of the target domain.
      judge: taught on training images.
      domain: ``a`` or ``b``, the target.
      path: for the rows.
    """
    count = min(len(made), len(real))
    known = judge.known[domain]
    ours, theirs = (judge.reader.features(x[:count]) for x in (made, real))
    rows = [
        path.row(
            "domain_test",
            f"share taken for {path.domains[-1]}",
            judge.share(made, domain),
            "higher",
            judge.share(real, domain),
            HELD_OUT,
        )
    ]
    if min(count, len(known)) >= 4:  # what an estimate without bias needs
        value, reference = (features.kernel_distance(x, known) for x in (ours, theirs))
        rows.append(
            path.row(
                "kernel_distance",
                "kernel distance in the judge's features",
                value.value,
                "lower",
                reference.value,
                HELD_OUT,
                (value.low, value.high),
            )
        )
    if len(known) > 5:
        there, usual = (features.density_coverage(known, x) for x in (ours, theirs))
        rows += [
            path.row("density", "density", there.density, "nearer", usual.density, HELD_OUT),
            path.row("coverage", "coverage", there.coverage, "higher", usual.coverage, HELD_OUT),
        ]
    return rows


def in_features(made: Images, real: Images, extractor: Extractor, path: Path) -> list[Row]:
    """Fréchet and kernel distance in features of a network that was trained elsewhere.

    On halves, so that the reference is one of as many images; for at least `LEAST_IN_FEATURES`.
    """
    count = min(len(made), len(real))
    first, second = sliced_wasserstein.halves(count)
    ours, theirs = (extractor.features(x[:count]) for x in (made, real))

    def measure(x: np.ndarray, y: np.ndarray) -> dict[str, features.Estimate]:
        return distances_of(x, y, extractor)

    usual = sliced_wasserstein.between_halves(measure, theirs)
    return [
        path.row(
            name.replace(" ", "_"),
            name,
            found.value,
            "lower",
            usual[name].value,
            HALVES,
            (found.low, found.high),
        )
        for name, found in measure(ours[first], theirs[second]).items()
    ]


def varied(made: Images, source: Images, target: Images, path: Path) -> list[Row]:
    """Whether translations differ as their inputs do."""
    first, second = sliced_wasserstein.halves(min(len(made), len(target)))
    diversity = metrics_diversity.diversity(made, source)
    natural = metrics_diversity.diversity(target, source)
    neighbours = metrics_diversity.distinct_neighbours(made[first], target[second])
    of_real = sliced_wasserstein.between_halves(
        metrics_diversity.distinct_neighbours, target[: 2 * len(first)]
    )
    return [
        path.row(
            "diversity", "diversity of outputs / inputs", diversity, "nearer", natural, "real ones"
        ),
        path.row(
            "distinct_neighbours",
            "distinct nearest neighbours",
            neighbours,
            "higher",
            of_real,
            HALVES,
        ),
    ]


def against_pairs(made: Images, truth: Images, path: Path) -> list[Row]:
    """How near translations are to their true partners, and to others'."""
    found, shuffled = reconstruction.paired(made, truth), reconstruction.shuffled(made, truth)
    measures: list[tuple[str, str, Better]] = [
        ("l1", "L1", "lower"),
        ("psnr", "PSNR in dB", "higher"),
        ("ssim", "SSIM", "higher"),
    ]
    return [
        path.mean(
            f"pair_{name}",
            f"{what} to the true pair",
            found[name],
            better,
            float(shuffled[name].mean()),
            "wrong pairs",
        )
        for name, what, better in measures
    ]


def coloured(made: Images, source: Images, target: Images, path: Path) -> list[Row]:
    """What of the foreground's colour is kept; for objects on white.

    Nothing is said where real images of either domain are mostly grey: edges have no hue to keep.
    """
    before, after, usual = (colour.foreground_colour(x) for x in (source, made, target))
    if min(np.isfinite(real.hue).mean() for real in (before, usual)) < 0.5:
        return []
    hue = attributes.against_random(attributes.hue_error, before.hue, after.hue)
    turned = attributes.angles_kept(before.hue, after.hue)["correlation"]
    lightness = attributes.against_random(attributes.correlation, before.lightness, after.lightness)
    return [
        path.row("hue_error", "hue error in degrees", hue.value, "lower", hue.random, CHANCE),
        path.row(
            "hue_correlation",
            "hues turned or mirrored as one, correlation",
            turned.value,
            "higher",
            turned.random,
            CHANCE,
        ),
        path.row(
            "lightness_correlation",
            "correlation of lightness",
            lightness.value,
            "higher",
            lightness.random,
            CHANCE,
        ),
    ]


def _evenly(count: int, most: int) -> np.ndarray:
    return np.linspace(0, count - 1, most).astype(int)
