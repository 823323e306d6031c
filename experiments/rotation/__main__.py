"""The paper's rotation study (section 4.2): is the angle kept that nobody told the networks of?

    python -m experiments.rotation

Bags and shoes are drawn at angles of -75 to 75 degrees, into `data/rotation`, and three objectives
learn to make shoes of bags, with the loss of the published rotation tasks (`configs/rotation.py`,
where the expected result is). A reader that was taught on drawn shoes tells the angles of
translated ones; the table has their correlation with the bags' angles, and the rms difference in
degrees, mirrored or not and a constant turn left aside, beside what random pairs give.

The runs lie in `runs/rotation`, with `rotation.png` (angles in against angles out, one panel per
objective, first seed), `sweep.md` and `sweep.json` (all measures). The same command skips runs that
are finished and goes on with the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from absl import flags
from jaxtyping import UInt8
from ml_collections import ConfigDict

from configs import rotation
from discogan_jax import runs
from discogan_jax.config import build
from discogan_jax.data import catalogue
from discogan_jax.errors import DivergedError, InputError
from discogan_jax.evaluation import evaluate
from discogan_jax.images import save
from discogan_jax.runs import layout
from discogan_jax.train import command, sweep
from discogan_jax.train.sweep import Outcome
from discogan_jax.train.variants import Variant
from experiments.rotation import figure as rotation_figure

VARIANTS = [Variant(name, {"loss.objective": name}) for name in ("gan", "recongan", "discogan")]
TILTS = (-75.0, 75.0)
TRAIN, VAL = 2000, 200  # drawings of each kind

# Columns of the table: a row of the evaluation, and whether its value or what stands beside it.
COLUMNS = {
    "angle/correlation": ("bags_to_shoes/true_tilt_correlation", "value"),
    "by chance/correlation": ("bags_to_shoes/true_tilt_correlation", "reference"),
    "angle/rms error": ("bags_to_shoes/true_tilt_error", "value"),
    "by chance/rms error": ("bags_to_shoes/true_tilt_error", "reference"),
    "back again/PSNR": ("bags_to_shoes_to_bags/psnr", "value"),
    "outputs/diversity": ("bags_to_shoes/diversity", "value"),
    "outputs/taken for shoes": ("bags_to_shoes/domain_test", "value"),
    "real shoes/read error": ("shoes/read_tilt_error", "value"),
}


def settings(archives: Path, data_dir: Path, steps: int) -> ConfigDict:
    """The config of every run, but for objective and seed."""
    config = rotation.get_config()
    config.data.archives = str(archives)
    config.data.data_dir = str(data_dir)
    config.train.steps = steps
    return config


def table(outcomes: Sequence[Outcome]) -> str:
    """The measures that matter, beside chance: mean ± standard deviation over the seeds."""
    shown = []
    for outcome in outcomes:
        rows = {}
        if not outcome.why:
            report = layout.read_evaluation(outcome.directory) or {"rows": []}
            rows = {row["name"]: row for row in report["rows"]}
        found = {
            column: rows[name][which] for column, (name, which) in COLUMNS.items() if name in rows
        }
        measures = {k: np.nan if v is None else v for k, v in found.items()}
        shown.append(replace(outcome, measures=measures))
    return sweep.table(shown, list(COLUMNS))


def figure(outcomes: Sequence[Outcome]) -> UInt8[np.ndarray, "H W 3"]:
    """The angles of held-out bags and of the shoes made from them, a panel for each run."""
    panels, about = [], None
    for outcome in outcomes:
        run = runs.open(outcome.directory)
        about = about or evaluate.known(run.settings, build.images(run.settings))
        made = run.translate(about.real["a"], run.domains[1])
        found = about.eyes["b"].read(made).tilt
        name = f"{outcome.variant.name}, seed {outcome.seed}"
        panels.append(rotation_figure.panel(name, about.facts["a"].tilt, found))
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
      workdir: of the runs.
      data_dir: of the drawings and what is made of them.
      seeds: runs of each objective.
      steps: length of a run.
      drawings: of each kind, for training and held out.
      say: takes lines for people.

    Raises:
      InputError: a number makes no sense, a folder cannot be written, or `workdir` has runs of
        other settings.
      DivergedError: a loss was not finite; the other runs are done, and in the table.
      InterruptedRunError: SIGTERM or Ctrl-C came; the same call goes on.
    """
    for name, value in (("seeds", seeds), ("steps", steps)):
        if value < 1:
            raise InputError(f"--{name}={value}: at least 1 is needed")
    archives = data_dir / "rotation"
    config = settings(archives, data_dir, steps)
    say(f"drawings of bags and shoes: {archives}")
    catalogue.write_archives(archives, train=drawings[0], val=drawings[1], tilt_range=TILTS)
    outcomes = sweep.run(config, VARIANTS, workdir, seeds=range(seeds), say=say)
    say(f"\n{table(outcomes)}\n")
    if first := [o for o in outcomes if o.seed == 0 and not o.why]:
        save(workdir / "rotation.png", figure(first))
        say(f"{workdir}/rotation.png has the angles, seed 0; {sweep.TABLE_FILE} all measures")
    if bad := sum(bool(o.why) for o in outcomes):
        raise DivergedError(f"{bad} of {len(outcomes)} runs diverged")


def _define_flags() -> None:
    flags.DEFINE_string("workdir", "runs/rotation", "Folder for the runs, table and figure.")
    flags.DEFINE_string("data_dir", "data", "The drawings go into rotation/ there.")
    flags.DEFINE_integer("seeds", 3, "Runs of each objective, with seeds 0, 1, ...")
    flags.DEFINE_integer("steps", rotation.get_config().train.steps, "Length of a run.")


def main() -> None:
    """Runs the command."""
    f, say = flags.FLAGS, partial(print, flush=True)
    compare(Path(f.workdir), Path(f.data_dir), f.seeds, f.steps, say=say)


if __name__ == "__main__":
    _define_flags()
    command.run(main)
