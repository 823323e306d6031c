"""Trains the demo, `configs/sample.py`, with several seeds: what `make demo` gives to anybody.

    taskset -c 0 python -m benchmarks.demo --seeds 1 2 3 4 5 6 7 8 9 10

The hues of the drawings are uniformly distributed, so that a run which mirrors them has found a map
that is as good by all losses but the identity term; a single seed shows nothing. Times are those of
the steps, without the start. Runs that are already in the folder are not repeated, and each seed
has a folder of its own, so that processes can share the work as those of `quality` do.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.comparison import spread
from benchmarks.quality import steps_per_second
from discogan_jax.configs import sample
from discogan_jax.evaluation.table import markdown
from discogan_jax.host import use_compile_cache
from discogan_jax.train import sweep
from discogan_jax.train.variants import Variant

ROUTES = "bags_to_shoes", "shoes_to_bags"
# Per measure: its title, whether it is of the round trip, and which direction is the worse one.
MEASURES = {
    "true_hue_error": ("hue error in degrees", False, max),
    "psnr": ("round-trip PSNR in dB", True, min),
    "sliced_wasserstein": ("sliced Wasserstein × 1000", False, max),
    "coverage": ("coverage", False, min),
}


def worse(measures: Mapping[str, float], name: str) -> float:
    """Returns a measure of a run in its worse direction."""
    _, back, worst = MEASURES[name]
    ends = [f"{route}_to_{route.partition('_')[0]}" if back else route for route in ROUTES]
    return worst(measures[f"{end}/{name}"] for end in ends)


def training_seconds(folder: Path, steps: int) -> float:
    """Returns the duration of a run's steps: the median time of a step, times their number."""
    return steps / statistics.median(steps_per_second(folder))


def table(found: Mapping[str, Any]) -> str:
    """Writes a Markdown table of the seeds, and of their median and range."""
    columns = [*(title for title, _, _ in MEASURES.values()), "seconds of training"]
    values = [*(found["measures"][name] for name in MEASURES), found["seconds"]]
    rows = [["seed", *columns]]
    rows += [
        [str(seed), *(f"{x:.3g}" for x in row)]
        for seed, *row in zip(found["seeds"], *values, strict=True)
    ]
    rows.append(["median (range)", *map(spread, values)])
    return markdown(rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(1, 11)])
    parser.add_argument("--data_dir", default="data")
    parser.add_argument("--folder", type=Path, default=Path("runs/demo"))
    args = parser.parse_args()
    use_compile_cache()
    config = sample.get_config()
    config.data.data_dir = args.data_dir
    outcomes = []
    for seed in args.seeds:
        folder = args.folder / f"seed={seed}"
        outcomes += sweep.run(config, [Variant("demo", {})], folder, seeds=[seed])
    if bad := [f"{o.job.directory}: {o.error}" for o in outcomes if o.error]:
        sys.exit("some runs failed:\n" + "\n".join(bad))
    measured = {name: [worse(o.measures, name) for o in outcomes] for name in MEASURES}
    seconds = [training_seconds(o.job.directory, o.job.settings.train.steps) for o in outcomes]
    found = {"seeds": args.seeds, "measures": measured, "seconds": seconds}
    settings = {"steps": config.train.steps}
    times = [o.seconds for o in outcomes if o.seconds is not None]
    if len(times) == len(outcomes):  # unknown where a run was interrupted
        settings["took"] = sum(times)
    report.keep("demo", {"settings": settings}, found, table(found))


if __name__ == "__main__":
    main()
