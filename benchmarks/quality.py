"""Measures the quality of translations over training time: the recipes, and CycleGAN beside them.

    taskset -c 0 python -m benchmarks.quality --archives DIR --steps 1000

Each recipe is trained with each seed and evaluated on held-out images during training; for each
seed, the recipes are trained one after the other. `comparison` says what is compared, and how.
Time is the median time of a step over all runs of the recipe, times the number of steps, so that
other load on the machine has little influence; start-up and evaluation are excluded. Recipes keep
their own losses, optimizers and networks; image size and batch size are common, and all widths are
divided by the same `--narrow`. `official` has no curriculum on any sources: its authors train bags
↔ shoes without one, and that of their edges ↔ photos takes less than 1% of their run, but would be
all of one of 3,000 cycles.

The challenger `cyclegan` has single images, as published, and trains for as long as the run of
`--as_long_as` with the same seed has taken: median time of a step, times the number of steps.

Runs that are already in the folder are not repeated, and each seed has a folder of its own there.
So two processes can share the work, a core each, and a third call with all seeds trains nothing
and collects them:

    taskset -c 0 python -m benchmarks.quality ARGUMENTS --seeds 0 1 &
    taskset -c 1 python -m benchmarks.quality ARGUMENTS --seeds 2 3 4 & wait
    taskset -c 0 python -m benchmarks.quality ARGUMENTS --seeds 0 1 2 3 4

Each call writes `results/quality-NAME.json` and the curves as `docs/quality-NAME.png` for its own
seeds, so that those of the third call remain. Results are named after the number of cores, so the
third call needs `taskset`, too.

`--grids DIR` copies, for each run, the last sample grid within equal time (held-out images, their
translations and reconstructions) as ``DIR/RECIPE,seed=N.png``; `blind` compares these.
"""

import argparse
import math
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine, report
from benchmarks.comparison import CHALLENGER, Curves, draw, equal_time, table
from discogan_jax.config.schema import Settings, flat, from_config, to_json
from discogan_jax.configs import best, default, official
from discogan_jax.errors import DivergedError, InputError, InterruptedRunError
from discogan_jax.files import read_json, read_lines
from discogan_jax.host import keep_freed_memory, use_compile_cache
from discogan_jax.runs import layout
from discogan_jax.train import sweep
from discogan_jax.train.variants import Variant

RECIPES = {"book": default, "official": official, "best": best}
NAMES = (*RECIPES, CHALLENGER)
PAGES = Path(__file__).parent.parent / "docs"


def variants(args: argparse.Namespace) -> list[Variant]:
    """Returns the recipes as variants of a sweep, adjusted to be comparable."""
    found = []
    for name in args.recipes:
        if name == CHALLENGER:
            continue
        config = RECIPES[name].get_config()
        data, train = config.data, config.train
        config.domains = tuple(args.domains)
        data.source_a, data.source_b = args.sources
        data.archives, data.data_dir = args.archives, args.data_dir
        data.image_size, data.batch_size = args.image_size, args.batch
        config.model.width //= args.narrow
        every = args.steps // args.points
        train.steps, train.evaluate_every, train.log_every = args.steps, every, max(every // 5, 1)
        train.sample_every, train.checkpoint_every, train.keep_every = every, args.steps, 0
        fields = flat(to_json(from_config(config)))
        found.append(Variant(name, {k: v for k, v in fields.items() if k != "seed"}))
    return found


def directory(folder: Path, name: str, seed: int) -> Path:
    """Returns the folder of a run. Each seed has its own, which one process at a time works in."""
    return folder / f"seed={seed}" / f"{name},seed={seed}"


def train(args: argparse.Namespace, folder: Path) -> tuple[list[float | None], list[str]]:
    """Trains and measures all recipes with all seeds, as far as they are not in the folder.

    Returns:
      How long each run took, None if it was interrupted; why runs have no numbers.

    Raises:
      InputError: runs of other settings are there, or the images cannot be used.
      InterruptedRunError: a signal arrived; the same call goes on.
    """
    took: list[float | None] = []
    bad = []
    for seed in args.seeds:
        place = folder / f"seed={seed}"
        outcomes = sweep.run(default.get_config(), variants(args), place, seeds=[seed])
        took += [o.seconds for o in outcomes]
        bad += [f"{o.job.directory}: {o.error}" for o in outcomes if o.error]
        if CHALLENGER not in args.recipes or bad:
            continue
        (job,) = [o.job for o in outcomes if o.job.variant.name == args.as_long_as]
        try:
            took.append(challenge(args, folder, job.settings))
        except DivergedError as error:
            bad.append(f"{directory(folder, CHALLENGER, seed)}: {error}")
    return took, bad


def challenge(args: argparse.Namespace, folder: Path, settings: Settings) -> float:
    """Trains the challenger for as long as another recipe; returns how long it took in all."""
    from benchmarks import cyclegan  # PyTorch

    place = directory(folder, CHALLENGER, settings.seed)
    speeds = steps_per_second(directory(folder, args.as_long_as, settings.seed))
    seconds = args.steps / statistics.median(speeds)
    print(f"{place}: {seconds:.0f} seconds, as {args.as_long_as}", flush=True)
    found = cyclegan.run(settings, cyclegan.WIDTH // args.narrow, seconds, args.points, place)
    return float(found["took"])


def steps_per_second(run: Path) -> list[float]:
    """Reads the speeds of a run, but for the first one, which includes compilation."""
    lines = read_lines(run / layout.METRICS_FILE)
    return [line["steps_per_second"] for line in lines if "steps_per_second" in line][1:]


def curves(folder: Path, name: str, seeds: Sequence[int]) -> Curves:
    """Reads the measures that the runs of a recipe wrote."""
    speeds: list[float] = []
    evaluated: list[dict[int, Mapping[str, float]]] = []
    for seed in seeds:
        run = directory(folder, name, seed)
        speeds += steps_per_second(run)
        lines = read_lines(run / layout.METRICS_FILE)
        evaluated.append(
            {line["step"]: line for line in lines if any(key.startswith("eval/") for key in line)}
        )
    at = sorted(set.intersection(*(set(steps) for steps in evaluated)))
    measured = [[steps[step] for step in at] for steps in evaluated]
    rows = read_json(directory(folder, name, seeds[0]) / layout.EVALUATION_FILE)["rows"]
    real = {row["name"]: row["reference"] for row in rows if row["reference"] is not None}
    return Curves.of(1 / statistics.median(speeds), at, measured, real)


def challengers_curves(folder: Path, seeds: Sequence[int], reference: Curves) -> Curves:
    """Reads the measures of the challenger, which ends when the reference ends.

    Seeds have different numbers of iterations in the same time; the median is the one of `steps`.
    """
    from benchmarks import cyclegan

    runs = [read_json(directory(folder, CHALLENGER, seed) / cyclegan.FILE) for seed in seeds]
    measured = [
        [{name: x for name, x in point.items() if x is not None} for point in run["points"]]
        for run in runs
    ]
    points = zip(*measured, strict=True)
    steps = [round(statistics.median(p["step"] for p in point)) for point in points]
    return Curves.of(reference.seconds[-1] / steps[-1], steps, measured, {})


def copy_grids(
    folder: Path, found: Mapping[str, Curves], seeds: Sequence[int], where: Path
) -> None:
    """Copies the last sample grid of each run within equal time."""
    where.mkdir(parents=True, exist_ok=True)
    end = equal_time(found)
    for name, c in found.items():
        for seed in seeds:
            samples = directory(folder, name, seed) / layout.SAMPLES
            grids = sorted(samples.glob("*.png"))
            # Seeds of the challenger end after different numbers of iterations.
            last = math.inf if name == CHALLENGER else 1.000001 * end / c.seconds_per_step
            if within := [path for path in grids if int(path.stem) <= last]:
                shutil.copyfile(within[-1], where / f"{name},seed={seed}.png")
            else:
                print(f"{samples} has no grid of the first {end:.0f} seconds")


def published_sources() -> list[str]:
    """Returns the sources of the default config."""
    data = default.get_config().data
    return [data.source_a, data.source_b]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="bags-shoes", help="name of the results")
    parser.add_argument("--recipes", nargs="+", default=[*NAMES], choices=NAMES)
    parser.add_argument(
        "--as_long_as",
        default="official",
        choices=RECIPES,
        help=f"the recipe whose time {CHALLENGER} is given",
    )
    parser.add_argument("--archives", help="folder of the pix2pix archives; downloaded if missing")
    parser.add_argument("--data_dir", default="data")
    parser.add_argument("--sources", nargs=2, default=published_sources(), help="one per domain")
    parser.add_argument("--domains", nargs=2, default=["bags", "shoes"])
    parser.add_argument("--image_size", type=int, default=32, help="pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--narrow", type=int, default=1, help="divides each recipe's width")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--points", type=int, default=10, help="number of evaluations")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--folder", type=Path, default=Path("runs/quality"))
    parser.add_argument("--grids", type=Path, help="a folder for a sample grid of each run")
    args = parser.parse_args()
    if args.points < 1 or args.steps % args.points:
        parser.error(
            f"--steps {args.steps} is no multiple of --points {args.points}: it is "
            "measured so many times, the last time at the end"
        )
    if CHALLENGER in args.recipes and args.as_long_as not in args.recipes:
        parser.error(
            f"{CHALLENGER} is trained for as long as {args.as_long_as}: add that to --recipes, or "
            "name one of them with --as_long_as"
        )
    if CHALLENGER in args.recipes and not machine.has_torch():
        parser.error(f"{CHALLENGER} needs PyTorch: pip install '.[bench]', or choose --recipes")
    keep_freed_memory(args.batch * args.image_size**2)  # as training does
    use_compile_cache()
    folder = args.folder / args.name
    try:
        took, bad = train(args, folder)
    except InputError as error:
        parser.error(str(error))
    except InterruptedRunError as error:
        sys.exit(str(error))
    if bad:
        sys.exit("nothing to compare:\n" + "\n".join(bad))
    # What the runs have measured.
    found = {name: curves(folder, name, args.seeds) for name in args.recipes if name in RECIPES}
    if CHALLENGER in args.recipes:
        reference = found[args.as_long_as]
        found[CHALLENGER] = challengers_curves(folder, args.seeds, reference)
    if args.grids:
        copy_grids(folder, found, args.seeds, args.grids)
    draw(found, PAGES / f"quality-{args.name}.png")
    places = ("archives", "data_dir", "sources", "folder", "grids")  # of this machine
    settings = {name: value for name, value in vars(args).items() if name not in places}
    times = [seconds for seconds in took if seconds is not None]
    if len(times) == len(took):  # unknown where a run was interrupted
        settings["took"] = sum(times)
    kept = {"recipes": {name: asdict(c) for name, c in found.items()}}
    report.keep(f"quality-{args.name}", {"settings": settings}, kept, table(found))


if __name__ == "__main__":
    main()
