"""What the held-out images of a run allow to measure: which are looked at, and what is left out."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from discogan_jax.config.schema import Settings
from discogan_jax.data import sources
from discogan_jax.data.sources import Splits
from discogan_jax.errors import InputError
from discogan_jax.evaluation import attributes, probe, scores
from discogan_jax.evaluation.metrics import colour
from discogan_jax.evaluation.scores import FloatImages
from discogan_jax.state import Domains

MAX_IMAGES = 500
MIN_IMAGES = 2
FEW_IMAGES = 50
HOLD_OUT = "hold more of them out (for folders: put them into a folder 'val' beside 'train')"


def choose(s: Settings, loaded: Mapping[str, Splits]) -> dict[str, Int[np.ndarray, "rows"]]:
    """Chooses the held-out rows that are measured: all, or `MAX_IMAGES` that are evenly spaced.

    Args:
      s: the run's settings.
      loaded: its images.

    Returns:
      Rows per domain; the same ones of both where row i of one domain is the partner of row i of
      the other.

    Raises:
      InputError: too few images are held out.
    """
    counts = {d: len(x.val) for d, x in loaded.items()}
    for d, count in counts.items():
        if count < MIN_IMAGES:
            raise InputError(
                f"{s.domains.name(d)}: {count} held-out image; measuring needs {MIN_IMAGES}, "
                f"and reliable numbers need about a hundred: add pictures, or {HOLD_OUT}"
            )
    if max(counts.values()) > MAX_IMAGES and are_pairs(s):
        counts = dict.fromkeys(counts, min(counts.values()))
    return {d: probe.spaced(count, min(count, MAX_IMAGES)) for d, count in counts.items()}


def are_pairs(s: Settings) -> bool:
    """Whether held-out image i of one domain is the partner of image i of the other."""
    return sources.are_pairs(s.data.source_a, s.data.source_b)


def remarks(
    domains: Domains, loaded: Mapping[str, Splits], rows: Mapping[str, Int[np.ndarray, "_"]]
) -> list[str]:
    """Says how many held-out images are measured, whether they are few, how many are trained on.

    Args:
      domains: names of the domains.
      loaded: images per domain.
      rows: rows that `choose` returned.
    """
    found = []
    for d, x in loaded.items():
        name, count = domains.name(d), len(x.val)
        if len(rows[d]) < count:
            found.append(f"{name}: {len(rows[d]):,} of {count:,} held-out pictures, evenly spaced")
        else:
            found.append(f"{name}: {count:,} held-out picture{'s' if count != 1 else ''}")
        if leaked := x.about.get("leaked"):
            equal = "is equal to a training picture"
            equal = equal if leaked == 1 else "are equal to training pictures"
            found.append(f"{name}: {leaked:,} of {count:,} held-out pictures {equal}")
    return [*found, *few(domains, rows)]


def few(domains: Domains, rows: Mapping[str, Int[np.ndarray, "_"]]) -> list[str]:
    """Warns, in a line, of domains with so few held-out images that chance decides.

    Args:
      domains: names of the domains.
      rows: rows that `choose` returned.
    """
    small = [f"{len(x)} of {domains.name(d)}" for d, x in rows.items() if len(x) < FEW_IMAGES]
    if not small:
        return []
    return [
        f"few held-out pictures ({', '.join(small)}): below {FEW_IMAGES}, most differences between "
        f"steps or runs are chance; add pictures, or {HOLD_OUT}"
    ]


def left_out(
    domains: Domains, real: Mapping[str, FloatImages], *, drawn: bool, trained: int
) -> dict[str, str]:
    """Finds the measures that have no row, whatever the translations are.

    Args:
      domains: names of the domains.
      real: held-out images per domain.
      drawn: whether they are drawn, so that `attributes` are measured.
      trained: number of training images of a domain that the domain classifier has seen.

    Returns:
      The reason for each measure.
    """
    found: dict[str, str] = {}
    # Colour is that of RGB images with a foreground that has any.
    channels = real["a"].shape[-1]
    if channels != colour.RGB:
        names = (*scores.COLOURS, "border_chroma", *(attributes.HUES if drawn else ()))
        found |= dict.fromkeys(names, f"colour needs 3 channels, not {channels}")
    elif grey := [domains.name(d) for d, x in real.items() if not colour.has_hues(x)]:
        found |= dict.fromkeys(scores.COLOURS, f"most {' and '.join(grey)} have no colour")
    elif few_grey := _few_neutral(domains, real):
        found["neutral_chroma"] = few_grey
    # Distance and overlap need enough images.
    if (fewest := min(trained, *map(len, real.values()))) < scores.LEAST_IN_KERNEL:
        reason = f"its error is too large below {scores.LEAST_IN_KERNEL} images; there are {fewest}"
        found["kernel_distance"] = reason
    if (held := min(map(len, real.values()))) < scores.LEAST_IN_HALVES:
        reason = f"it needs {scores.LEAST_IN_HALVES} held-out images, not {held}"
        found["distinct_neighbours"] = reason
    if trained < scores.LEAST_IN_COVERAGE:
        reason = f"it needs {scores.LEAST_IN_COVERAGE} training images, not {trained}"
        found |= dict.fromkeys(("density", "coverage"), reason)
    return found


def _few_neutral(domains: Domains, real: Mapping[str, FloatImages]) -> str:
    """Says how many grey images there are if they are too few to be measured; else returns ""."""
    found = {d: int(colour.is_neutral(colour.foreground_colour(x)).sum()) for d, x in real.items()}
    if min(found.values()) >= scores.LEAST_NEUTRAL:
        return ""
    counts = " and ".join(f"{n} of {domains.name(d)}" for d, n in found.items())
    return f"{counts} are grey, and {scores.LEAST_NEUTRAL} of each are needed"
