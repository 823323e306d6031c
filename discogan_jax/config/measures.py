"""The measures of the evaluation, by name: what each one is, and which values of it are better.

`evaluation` measures them, and a config names one in `train.keep_best`. Imports no JAX.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

Better = Literal["higher", "lower", "nearer"]

MEASURES: dict[str, tuple[str, Better]] = {
    "mse": ("mean squared error", "lower"),
    "psnr": ("PSNR in dB", "higher"),
    "ssim": ("SSIM", "higher"),
    "sliced_wasserstein": ("sliced Wasserstein distance × 1000", "lower"),
    "grid_energy": ("energy of the up-sampling grid, that of real ones being 1", "lower"),
    "judge": ("told apart by the judge", "higher"),
    "domain_test": ("share taken for {target}", "higher"),
    "kernel_distance": ("kernel distance in the judge's features", "lower"),
    "density": ("density", "nearer"),
    "coverage": ("coverage", "higher"),
    "diversity": ("diversity of outputs / inputs", "nearer"),
    "distinct_neighbours": ("distinct nearest neighbours", "higher"),
    "pair_l1": ("L1 to the true pair", "lower"),
    "pair_psnr": ("PSNR in dB to the true pair", "higher"),
    "pair_ssim": ("SSIM to the true pair", "higher"),
    "hue_error": ("hue error in degrees", "lower"),
    "hue_correlation": ("hues turned or mirrored as one, correlation", "higher"),
    "lightness_correlation": ("correlation of lightness", "higher"),
    "warmth_correlation": ("correlation of warm or cool colour (red − blue)", "higher"),
    "neutral_chroma": ("colour in what should be grey (mean chroma)", "nearer"),
    "border_lightness": ("lightness of the border, 2 px wide", "nearer"),
    "border_chroma": ("colour in the border (mean chroma)", "nearer"),
    # Of drawn images, see `attributes`.
    "read_hue_error": ("reader's hue error in degrees", "lower"),
    "read_lightness_correlation": ("reader's correlation of lightness", "higher"),
    "read_pattern": ("patterns read right", "higher"),
    "read_tilt_error": ("reader's tilt error in degrees (rms)", "lower"),
    "true_hue_error": ("hue error to the truth, degrees", "lower"),
    "true_hue_map_error": ("true hues turned or mirrored as one, rms error in degrees", "lower"),
    "true_hue_map_correlation": ("true hues turned or mirrored as one, correlation", "higher"),
    "true_lightness": ("correlation with true lightness, either way", "higher"),
    "true_pattern": ("patterns that map one to one", "higher"),
    "true_tilt_error": ("tilt kept or mirrored, rms error in degrees", "lower"),
    "true_tilt_correlation": ("tilt kept or mirrored, correlation", "higher"),
}
"""Per measure, its description, a part of `evaluation.json`, and which values are better."""

HEADLINE: Mapping[str, str] = {
    "kernel_distance": "looks real",
    "sliced_wasserstein": "textures look real",
    "pair_ssim": "like its true pair",
    "hue_error": "colour kept",
    "lightness_correlation": "lightness kept",
    "psnr": "comes back",
    "diversity": "varies",
}
"""The measures to look at first, in this order, by their names for people.

Which of them a run has depends on its images, see `evaluation.held_out`: five or six in general.
"""

_RECONSTRUCTION = ("mse", "psnr", "ssim")
_OF_THE_JUDGES = ("judge", "read_")  # of the networks that measure, not of translations


def better(name: str) -> Better | None:
    """Returns which values of a measure are better, of whatever images; None if it is unknown."""
    return MEASURES.get(name.rpartition("/")[2], ("", None))[1]


def of_translations(a: str, b: str) -> Iterator[str]:
    """Yields the names of the measures by which a step can be the best, alone and with a route.

    Args:
      a: name of domain a.
      b: name of domain b.
    """
    for measure, (_, values) in MEASURES.items():
        if values != "nearer" and not measure.startswith(_OF_THE_JUDGES):
            yield measure
            for route in ((a, b), (b, a)):
                yield _of_route(route, measure)


def headlines(a: str, b: str, there: Collection[str]) -> dict[str, dict[str, str]]:
    """Returns what is shown first of an evaluation, wherever it is shown.

    Args:
      a: name of domain a.
      b: name of domain b.
      there: names of the rows that the evaluation has.

    Returns:
      By direction (``bags → shoes``), the names for people by the names of the rows.
    """
    found = {}
    for route in ((a, b), (b, a)):
        names = {_of_route(route, measure): text for measure, text in HEADLINE.items()}
        if rows := {name: text for name, text in names.items() if name in there}:
            found[" → ".join(route)] = rows
    return found


def _of_route(route: tuple[str, str], measure: str) -> str:
    """Returns the name of a row: that of a reconstruction has the way back in it."""
    back = route[:1] if measure in _RECONSTRUCTION else ()
    return f"{'_to_'.join(route + back)}/{measure}"
