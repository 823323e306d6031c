"""Trains and compares the three objectives on points in the plane."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from discogan_jax import steps
from discogan_jax.errors import InputError
from discogan_jax.evaluation.table import aligned
from discogan_jax.files import read_json, require_ours, write_json
from discogan_jax.host import versions
from discogan_jax.images import save
from discogan_jax.losses import LossWeights
from discogan_jax.state import Adam, DiscoGAN, Objective, TrainState
from experiments.toy import figure as toy_figure
from experiments.toy import system as toy_system

OBJECTIVES: tuple[Objective, ...] = ("gan", "recongan", "discogan")
BATCH = 200
HIDDEN = 64
LEARNING_RATE = 1e-3
ADAM = Adam(LEARNING_RATE, 0.5, 0.999)
CHECKS = 20  # number of measurements in a run, including the one at its end
POINTS = 400  # held-out points per mode
MEASURES = ("covered", "landed", "purity", "shared", "rmse_a", "rmse_b")


def system(objective: Objective) -> DiscoGAN:
    """Builds the networks, and the losses of the paper's formulas, with all weights 1."""
    return DiscoGAN(
        generator=toy_system.DenseGenerator((HIDDEN,) * 2),
        discriminator=toy_system.DenseDiscriminator((HIDDEN,) * 4),
        gen_tx=ADAM,
        dis_tx=ADAM,
        weights=LossWeights(),
        objective=objective,
        g_updates=1,
    )


class HeldOut(NamedTuple):
    """Points that are not used for training."""

    a: Float[jax.Array, "modes POINTS 2"]
    b: Float[jax.Array, "modes POINTS 2"]


def held_out() -> HeldOut:
    """Draws the same points for all runs, `POINTS` of every mode."""
    key_a, key_b = jax.random.split(jax.random.key(2017))
    return HeldOut(
        toy_system.draw_each(key_a, toy_system.MODES_A, POINTS),
        toy_system.draw_each(key_b, toy_system.MODES_B, POINTS),
    )


@dataclass(frozen=True)
class Runs:
    """The runs of one objective, one per seed.

    Attributes:
      history: for each measurement, its cycle and the values of every seed.
      state: final state of the first seed.
      translated: held-out points of A, translated by that state.
      seconds: duration, including compilation.
    """

    history: list[dict[str, Any]]
    state: TrainState
    translated: Float[np.ndarray, "modes POINTS 2"]
    seconds: float


def run(gan: DiscoGAN, seeds: int, cycles: int, points: HeldOut) -> Runs:
    """Trains an objective with several seeds in parallel, and measures at intervals."""
    began = time.perf_counter()
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    # The initial state does not depend on the objective: with one objective, this compiles once.
    states = toy_system.create(replace(gan, objective="gan"), keys)
    measure = jax.jit(jax.vmap(lambda state: _measure(gan, state, points)))
    history = []
    stops = sorted({max(1, round(cycles * i / CHECKS)) for i in range(1, CHECKS + 1)})
    for start, stop in itertools.pairwise([0, *stops]):
        states, _ = toy_system.train(gan, BATCH, states, keys, jnp.int32(stop - start))
        translated, errors = jax.device_get(measure(states))
        counted = [
            asdict(toy_system.coverage(toy_system.mode_counts(x), POINTS)) for x in translated
        ]
        for i, seed in enumerate(counted):
            seed |= {name: float(error[i]) for name, error in errors.items()}
        history.append({"cycle": stop, "seeds": counted})
    first = jax.tree.map(lambda x: x[0], states)
    return Runs(history, first, translated[0], time.perf_counter() - began)


def _measure(gan: DiscoGAN, state: TrainState, points: HeldOut) -> tuple[Any, dict[str, Any]]:
    """Translates A's points, and measures the root mean squared errors of both reconstructions."""
    a, b = (x.reshape(-1, 2) for x in points)
    sums = steps.eval_step(gan, state, {"a": a, "b": b})
    errors = {
        f"rmse_{d}": jnp.sqrt(sums[f"const_{d}_sum"] / sums[f"const_{d}_count"])
        for d in "ab"
        if f"const_{d}_sum" in sums
    }
    return steps.translate(gan, state, a).reshape(points.a.shape), errors


Summary = dict[str, dict[str, float] | None]


def summary(history: Sequence[dict[str, Any]]) -> Summary:
    """Averages measurements, and returns mean and standard deviation over the seeds.

    Measures that an objective does not have (a plain GAN does not train a cycle) are None.
    """
    found: Summary = dict.fromkeys(MEASURES)
    for name in MEASURES:
        checks = [[seed.get(name, np.nan) for seed in check["seeds"]] for check in history]
        seeds = np.mean(checks, 0)
        if name in history[0]["seeds"][0]:
            found[name] = {"mean": float(seeds.mean()), "std": float(seeds.std())}
    return found


def table(rows: dict[str, Summary]) -> str:
    """Formats the measures of each objective as a table."""
    head = ("", "B covered", "landed", "purity", "pairs merged", "A>B>A rmse", "B>A>B rmse")
    cells: list[Sequence[str]] = [head]
    for objective, row in rows.items():
        numbers = (row[name] for name in MEASURES)
        texts = (f"{n['mean']:.3f} ± {n['std']:.3f}" if n else "-" for n in numbers)
        cells.append([objective, *texts])
    return aligned(cells, right=range(1, len(head)))


def figure(
    systems: dict[str, tuple[DiscoGAN, Runs]], points: HeldOut, seed: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Draws A's points, and per objective their translations on the output of B's discriminator."""
    side, shown = toy_figure.SIDE, toy_figure.SHOWN
    plane = jnp.asarray(toy_figure.plane())
    a = np.asarray(points.a)[:, :shown]
    blank = np.full((side, side), 1.0)
    panels = [toy_figure.panel(f"points of A: {len(a)} modes", "A", blank, a, None)]
    for name, (gan, runs) in systems.items():
        discriminate = jax.jit(partial(gan.discriminator.apply, train=False))
        logits, _ = discriminate({"params": runs.state.dis.params["b"]}, plane)
        real = np.asarray(jax.nn.sigmoid(logits)).reshape(side, side)
        there, targets = runs.translated[:, :shown], np.asarray(points.b)
        panels.append(toy_figure.panel(f"{name}, seed {seed}", "B", real, there, targets))
    return np.concatenate([*panels, toy_figure.legend(panels[0].shape[0])], 1)


def _require_ours(workdir: Path) -> None:
    """Refuses to replace a table and a figure of something else."""

    def is_toy(_: Path) -> bool:
        return bool(read_json(workdir / "toy.json", {"objectives": dict, "versions": dict}))

    for name in ("toy.json", "toy.png"):
        require_ours(workdir / name, is_toy, overwrite=None)


def compare(workdir: Path, seeds: int, cycles: int, say: Callable[[str], None] = print) -> None:
    """Runs the three objectives, prints the table, writes `toy.json` and `toy.png`.

    Raises:
      InputError: a number is out of range, or the folder cannot be written or has such files of
        something else.
    """
    for name, value in (("seeds", seeds), ("cycles", cycles)):
        if value < 1:
            raise InputError(f"--{name}={value}: at least 1 is needed")
    _require_ours(workdir)
    try:  # now, not after minutes of training
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--workdir={workdir} cannot be made ({error.strerror}): name another folder"
        ) from error
    began = time.perf_counter()
    points = held_out()
    results: dict[str, Any] = {}
    ends: dict[str, Summary] = {}
    halves: dict[str, Summary] = {}
    systems: dict[str, tuple[DiscoGAN, Runs]] = {}
    for objective in OBJECTIVES:
        gan = system(objective)
        runs = run(gan, seeds, cycles, points)
        ends[objective] = summary(runs.history[-1:])
        halves[objective] = summary(runs.history[len(runs.history) // 2 :])
        systems[objective] = (gan, runs)
        results[objective] = {
            "end": ends[objective],
            "second_half": halves[objective],
            "seconds": runs.seconds,
            "history": runs.history,
        }
        say(f"{objective}: {seeds} seeds, {cycles} cycles in {runs.seconds:.0f} s")
    seconds = time.perf_counter() - began
    settings = {
        "seeds": list(range(seeds)), "cycles": cycles, "batch": BATCH, "hidden": HIDDEN,
        "learning_rate": LEARNING_RATE, "spread": toy_system.SPREAD,
        "modes_a": toy_system.MODES_A.tolist(), "modes_b": toy_system.MODES_B.tolist(),
    }  # fmt: skip
    report = {"settings": settings, "objectives": results, "seconds": seconds}
    write_json(workdir / "toy.json", report | {"versions": versions()})
    save(workdir / "toy.png", figure(systems, points, seed=0))
    say(f"\nAt the end:\n{table(ends)}")
    say(f"\nOn average over the second half of the training:\n{table(halves)}\n")
    say(f"mean ± standard deviation over {seeds} seeds; {workdir}/toy.png; {seconds:.0f} s in all")
