"""Trains and compares the three objectives on drawings with known angles."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from discogan_jax import runs
from discogan_jax.configs import rotation
from discogan_jax.data import catalogue
from discogan_jax.errors import DivergedError, InputError
from discogan_jax.evaluation import evaluate
from discogan_jax.files import find_json
from discogan_jax.images import save
from discogan_jax.runs import layout
from discogan_jax.train import sweep
from discogan_jax.train.sweep import Outcome
from discogan_jax.train.variants import Variant
from experiments.rotation import figure as rotation_figure

# The plain GAN of the published rotation tasks has the adversarial loss alone, with weight 1.
PLAIN = {"loss.objective": "gan", "loss.adversarial": 1.0, "loss.feature": 0.0}
OTHERS = [Variant(name, {"loss.objective": name}) for name in ("recongan", "discogan")]
VARIANTS = [Variant("gan", PLAIN), *OTHERS]
TILTS = (-75.0, 75.0)
TRAIN, VAL = 2000, 200  # drawings of each kind

# Columns of the table: a row of the evaluation, of which the value or the reference is shown.
COLUMNS = {
    "angle/correlation": ("bags_to_shoes/true_tilt_correlation", "value"),
    "by chance/correlation": ("bags_to_shoes/true_tilt_correlation", "reference"),
    "angle/rms error": ("bags_to_shoes/true_tilt_error", "value"),
    "by chance/rms error": ("bags_to_shoes/true_tilt_error", "reference"),
    "reconstruction/PSNR": ("bags_to_shoes_to_bags/psnr", "value"),
    "outputs/diversity": ("bags_to_shoes/diversity", "value"),
    "outputs/classified as shoes": ("bags_to_shoes/domain_test", "value"),
    "real shoes/probe error": ("shoes/read_tilt_error", "value"),
}


def settings(archives: Path, data_dir: Path, steps: int) -> ConfigDict:
    """Makes the config of every run, except for objective and seed."""
    config = rotation.get_config()
    config.data.archives = str(archives)
    config.data.data_dir = str(data_dir)
    config.train.steps = steps
    return config


def table(outcomes: Sequence[Outcome]) -> str:
    """Formats the main measures and their chance values: mean ± standard deviation over seeds."""
    shown = []
    for outcome in outcomes:
        rows = {}
        if not outcome.error:
            report = find_json(outcome.job.directory / layout.EVALUATION_FILE) or {"rows": []}
            rows = {row["name"]: row for row in report["rows"]}
        found = {
            column: rows[name][which] for column, (name, which) in COLUMNS.items() if name in rows
        }
        measures = {k: np.nan if v is None else v for k, v in found.items()}
        shown.append(replace(outcome, measures=measures))
    return sweep.table(shown, list(COLUMNS))


def figure(outcomes: Sequence[Outcome]) -> UInt8[np.ndarray, "H W 3"]:
    """Draws the angles of held-out bags and of the shoes made from them, a panel per run."""
    panels, references = [], None
    for outcome in outcomes:
        run = runs.open(outcome.job.directory)
        if references is None:
            references = evaluate.fit_references(run.settings, run.images())
        made = run.apply(references.real["a"], "ab")
        found = references.probes["b"].predict(made).tilt
        name = f"{outcome.job.variant.name}, seed {outcome.job.seed}"
        panels.append(rotation_figure.panel(name, references.known["a"].tilt, found))
    return np.concatenate(panels, 1)


def compare(
    workdir: Path,
    data_dir: Path,
    seeds: int,
    steps: int,
    *,
    drawings: tuple[int, int] = (TRAIN, VAL),
    say: Callable[[str], None] = print,
) -> None:
    """Draws, trains, measures, prints the table and writes `rotation.png`.

    Args:
      workdir: folder of the runs.
      data_dir: folder of the drawings and the arrays made of them.
      seeds: number of runs of each objective.
      steps: length of a run.
      drawings: number of images of each kind, for training and held out.
      say: prints a line.

    Raises:
      InputError: a number is out of range, a folder cannot be written, or `workdir` has runs of
        other settings.
      DivergedError: a loss was not finite; the other runs are finished, and in the table.
      InterruptedRunError: a signal was received; the same call resumes the study.
    """
    for name, value in (("seeds", seeds), ("steps", steps)):
        if value < 1:
            raise InputError(f"--{name}={value}: at least 1 is needed")
    archives = data_dir / "rotation"
    config = settings(archives, data_dir, steps)
    say(f"drawings of bags and shoes: {archives}")
    catalogue.write_archives(archives, train=drawings[0], val=drawings[1], tilt_range=TILTS)
    sweep.require_ours_in(workdir, "rotation.png")
    outcomes = sweep.run(config, VARIANTS, workdir, seeds=range(seeds), say=say)
    say(f"\n{table(outcomes)}\n")
    if first := [o for o in outcomes if o.job.seed == 0 and not o.error]:
        save(workdir / "rotation.png", figure(first))
        say(f"{workdir}/rotation.png shows the angles, seed 0; {sweep.TABLE_FILE} has all measures")
    if bad := sum(bool(o.error) for o in outcomes):
        raise DivergedError(f"{bad} of {len(outcomes)} runs diverged")
