"""Declares what the pages take from the results; `render` writes it there.

``TABLES`` has the tables by the name between their marks. ``SENTENCES`` has, by page, parts of
sentences with a place for each number, and what the results give for these places. Whatever these
pages say about speed, memory or quality is one of the two, or in a paragraph about what was
observed once.
"""

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks import collectives, comparison, demo, flops, matching, scaling, tables

Reports = Mapping[str, Any]
Numbers = Callable[[Reports], Sequence[float]]

CYCLES = {
    f"{recipe}, 64 px, {batch}": f"train_step-{recipe}-64px-batch{batch}"
    for recipe, batch in (("official", 32), ("official", 16), ("book", 16), ("best", 16))
}
# `best` as it is, and as it was: with batch norm, and losses that see colours as they are.
SHOWN = "quality-bags-shoes-32px"
SETS = "quality-bags-footwear-32px", "quality-edges-photos-32px"
EARLIER = (
    "quality-bags-shoes-32px-earlier",
    "quality-bags-footwear-32px-earlier",
    "quality-edges-photos-32px-earlier",
)
AGAIN = "quality-bags-shoes-32px-again"
CUTS = "quality-bags-shoes-32px-cut", "quality-edges-photos-32px-cut"
LARGER = "quality-bags-shoes-64px"
FULL = "quality-bags-shoes-64px-full"
LARGE_CUT = "quality-bags-shoes-64px-cut-two"
COMPARED = (SHOWN, LARGER, FULL, *SETS, *EARLIER, *CUTS, LARGE_CUT)
CHALLENGED = {"bags ↔ shoes, 32 px": SHOWN, "bags ↔ shoes, 64 px": LARGER}
COLLECTIVES = {recipe: f"collectives-{recipe}-batch256" for recipe in ("best", "official", "book")}


def _chosen(found: Reports, names: Mapping[str, str]) -> dict[str, Any]:
    return {title: found[name] for title, name in names.items()}


def _cycles(found: Reports) -> dict[str, Any]:
    return {title: r["works"]["cycle"] for title, r in _chosen(found, CYCLES).items()}


def _other_sizes(found: Reports) -> dict[str, Any]:
    sizes = re.compile(r"cycle, batch (\d+) at (\d+)px")
    works = found["batch_sizes-official"]["works"].items()
    named = [(match, work) for name, work in works if (match := sizes.fullmatch(name))]
    return {f"official, {match[2]} px, {match[1]}": work for match, work in named}


def _compared(name: str) -> Callable[[Reports], str]:
    return lambda found: comparison.table(comparison.read(found[name]))


def _challenged(found: Reports) -> str:
    """The deciding measures wherever CycleGAN was run, too."""
    known = {title: found[name] for title, name in CHALLENGED.items() if name in found}
    reports = {title: r for title, r in known.items() if comparison.CHALLENGER in r["recipes"]}
    if not reports:
        raise KeyError(f"no results have {comparison.CHALLENGER}")
    names = "best", "official", comparison.CHALLENGER
    return comparison.table_after_equal_time(reports, names, comparison.DECISIVE)


TABLES: dict[str, Callable[[Reports], str]] = {
    "every benchmark": lambda found: tables.every(found.values()),
    "cycles": lambda found: tables.cycles(_cycles(found)),
    "other sizes": lambda found: tables.cycles(_other_sizes(found)),
    "challenged": _challenged,
    "demo": lambda found: demo.table(found["demo"]),
    "matching": lambda found: matching.table(found["matching"]),
    "matching, choice": lambda found: matching.choice(found["matching"]),
    "matching, times": lambda found: matching.times(found["matching"]),
    "collectives": lambda found: tables.counts(_chosen(found, COLLECTIVES)),
    "projections": lambda found: tables.projections(_chosen(found, COLLECTIVES)),
    **{name: _compared(name) for name in COMPARED},
}


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


# Speed and memory.


def _speedups(found: Reports) -> list[float]:
    """Time of PyTorch's published loop, and of its fastest form, by the library's."""
    cases = [work["sides"] for work in _cycles(found).values()]
    fastest = [min(s["torch tuned"]["ratio"], s["torch compiled"]["ratio"]) for s in cases]
    return [*_range([s["torch published"]["ratio"] for s in cases]), *_range(fastest)]


def _flax(found: Reports) -> Sequence[float]:
    official = [found[name]["works"] for name in CYCLES.values() if "official" in name]
    return _range([works["G update"]["sides"]["flax"]["ratio"] for works in official])


def _naive(found: Reports) -> Sequence[float]:
    """Time of XLA's kernel gradients of transposed convolutions, by the library's."""
    works = found["layers"]["works"]
    names = [n for n in works if n.startswith("transpose") and n.endswith("kernel gradient")]
    return _range([1 / works[n]["sides"]["library"]["ratio"] for n in names])


def _outside_loops(found: Reports) -> Sequence[float]:
    """Time of large layers outside of loops, by the time inside."""
    works = found["layers"]["works"]
    small = "matrix", "3→64", "64→3", "512→1"
    large = [work["sides"] for name, work in works.items() if not any(n in name for n in small)]
    return _range([s["library"]["median"] / s["library, loop"]["median"] for s in large])


def _working_memory(found: Reports) -> Sequence[float]:
    return [found["memory-official"]["sides"]["batch 32 at 64px"]["working_mib"]["median"]]


def _reading(found: Reports) -> Sequence[float]:
    """Seconds of the book's loop by the library's; processor time of the library by Pillow's."""
    sides = found["data"]["sides"]
    library, pillow = (sides[name]["cpu_seconds"]["median"] for name in ("library", "pillow"))
    return [sides["book"]["seconds"]["ratio"], library / pillow]


def _starts(found: Reports) -> Sequence[float]:
    sides = found["startup"]["sides"]
    names = "second start", "resumed", "first start"
    return [sides[name]["first step begun"]["median"] for name in names]


def _translating(found: Reports) -> Sequence[float]:
    works = found["translating"]["works"]
    names = "a picture, official at 64 px", "a picture, demo at 32 px"
    return [works[name]["sides"]["command"]["ratio"] for name in names]


def _overhead(found: Reports) -> Sequence[float]:
    numbers = []
    for rows in found["loop"]["sides"].values():
        ratio = rows["time_by_bare"]
        numbers += [ratio["median"], *ratio["range"], rows["data_wait_fraction"]["median"]]
    return numbers


def _demo(found: Reports) -> Sequence[float]:
    """Steps and minutes of training."""
    return [found["demo"]["settings"]["steps"], statistics.median(found["demo"]["seconds"]) / 60]


def _demo_hues(found: Reports) -> Sequence[float]:
    """The number of seeds, and the range of their hue errors in the worse direction."""
    errors = found["demo"]["measures"]["true_hue_error"]
    return [len(errors), *_range(errors)]


def _on_gpus(_: Reports) -> Sequence[float]:
    """TFLOP, share and peak in TFLOP/s, milliseconds of a cycle, minutes of 100,000 of them."""
    works = [flops.updates(recipe, 64, 256)["cycle"] for recipe in ("official", "book")]
    seconds = [work / (collectives.SHARE_OF_PEAK * collectives.PEAK_FLOPS) for work in works]
    return [
        *(work / 1e12 for work in works),
        *_peak(_),
        *(1e3 * second for second in seconds),
        *(1e5 * second / 60 for second in seconds),
    ]


# Many devices.


def _peak(_: Reports) -> Sequence[float]:
    return [collectives.SHARE_OF_PEAK, collectives.PEAK_FLOPS / 1e12]


def _networks(_: Reports) -> Sequence[float]:
    one, many = collectives.ONE_HOST, collectives.MANY_HOSTS
    return [one.inside / 1e9, 1e6 * one.latency, many.between / 1e9, 1e6 * many.latency]


def _feed() -> Sequence[float]:
    """Bytes of an image, MB of a cycle, GB that eight devices read in a second, KB of an image."""
    image = 64 * 64 * 3
    cycle = 2 * 3 * 256 * image
    return [image, cycle / 1e6, 8 * 30 * cycle / 1e9, image / 1024]


def _combined(found: Reports) -> Sequence[float]:
    """All-reduces of the official recipe without and with combining."""
    programs = found[COLLECTIVES["official"]]["programs"]
    return [programs[state]["all-reduce"]["calls"] for state in ("replicated, jit", "replicated")]


def _on_one_host(found: Reports) -> Sequence[float]:
    """Efficiency of the official recipe within a host, and latency's share of the rest."""
    report = found[COLLECTIVES["official"]]
    one = scaling.projected(report, collectives.ONE_HOST)
    calls = sum(t["calls"] for t in report["programs"]["replicated"].values())
    return [one.efficiency, calls * collectives.ONE_HOST.latency / one.communicating]


def _more_images(found: Reports) -> Sequence[float]:
    """The official recipe's best efficiency on many hosts; the same with four times the images."""
    report = found[COLLECTIVES["official"]]
    reports = report, {**report, "flops": 4 * report["flops"]}
    found = [scaling.projected(r, collectives.MANY_HOSTS, hosts_first=True) for r in reports]
    return [p.efficiency for p in found]


def _meanwhile(found: Reports) -> Sequence[float]:
    """The efficiency of `best` on many hosts where it also sums and computes at the same time."""
    many = {"network": collectives.MANY_HOSTS, "hosts_first": True, "overlapped": True}
    return [scaling.projected(found[COLLECTIVES["best"]], **many).efficiency]


def _one_card(found: Reports) -> Sequence[float]:
    """The efficiency of `best` where a host's GPUs share a network card, and with everything."""
    network = collectives.MANY_HOSTS
    shared = {"network": replace(network, between=network.between / network.devices)}
    ways = {}, {"overlapped": True, "bfloat16": True}
    report = found[COLLECTIVES["best"]]
    found_ = [scaling.projected(report, **shared, hosts_first=True, **way) for way in ways]
    return [p.efficiency for p in found_]


def _sharding(found: Reports) -> Sequence[float]:
    """Communication of the sharded state by that of the replicated one, within a host."""
    report = found[COLLECTIVES["official"]]
    whole, split = (
        scaling.projected(report, collectives.ONE_HOST, state)
        for state in ("replicated", "sharded")
    )
    return [split.communicating / whole.communicating]


# Quality.


def _curves(found: Reports, name: str) -> dict[str, comparison.Curves]:
    return comparison.read(found[name])


def _end(found: Reports, name: str, recipe: str, measure: str) -> list[float]:
    """What each seed of a recipe reached in the end."""
    return [values[-1] for values in _curves(found, name)[recipe].values[measure]]


def _wins(*names: str, other: str = "official") -> Numbers:
    """Makes the numbers of measures that `best` wins, that decide, and that the other one wins."""

    def numbers(found: Reports) -> Sequence[float]:
        winners = [
            comparison.winner(measure, curves, "best", other)
            for curves in (_curves(found, name) for name in names)
            for measure in comparison.DECISIVE
            if comparison.shared(measure, curves)
        ]
        return winners.count("best"), len(winners), winners.count(other)

    return numbers


def _recommended(found: Reports) -> Sequence[float]:
    """Seeds, seconds, and the deciding measures in which `best` is ahead, or another recipe."""
    curves = _curves(found, SHOWN)
    paper, challenger = (_wins(SHOWN, other=name)(found) for name in ("official", "cyclegan"))
    return [len(curves["best"].values["psnr"]), comparison.equal_time(curves), *paper, *challenger]


def _repeated(found: Reports) -> Sequence[float]:
    """Values of `official` that came out equal, of all; measures that `best` won again, of all."""
    first, again = (_curves(found, name)["official"].values for name in (SHOWN, AGAIN))
    pairs = [(x, y) for row, seeds in first.items() for x, y in zip(seeds, again[row], strict=True)]
    won, measures, _ = _wins(AGAIN)(found)
    return sum(x[-1] == y[-1] for x, y in pairs), len(pairs), won, measures


def _step_times(found: Reports) -> Sequence[float]:
    ratios = []
    for name in COMPARED:
        curves = _curves(found, name)
        ratios.append(curves["best"].seconds_per_step / curves["official"].seconds_per_step)
    return _range(ratios)


def _pairs(found: Reports) -> Sequence[float]:
    name = EARLIER[2]
    seeds = [_end(found, name, recipe, "pair_ssim") for recipe in ("best", "official")]
    return [x for values in seeds for x in _range(values)]


def _expected(*names: str, size: str = SHOWN) -> Numbers:
    """Makes medians over seeds on bags and shoes in the end, measure by measure, of recipes."""
    rows = "psnr", "hue_error", "coverage"
    return lambda found: [
        comparison.median(_end(found, size, name, row)) for row in rows for name in names
    ]


SPEED = (
    "{:.1f} to {:.1f} times as fast as the published PyTorch loop and {:.1f} to {:.1f} times as "
    "fast as the fastest PyTorch implementation"
)
DEMO = "after {:,} steps of training, {:.1f} minutes on one CPU core"
AHEAD = (
    "{} seeds each, after {:.0f} seconds of training on one CPU core), it is ahead of the paper's "
    "recipe in {} of the {} measures that decide and behind in {}, and ahead of CycleGAN in {} of "
    "{} and behind in {}"
)
SENTENCES: dict[str, dict[str, Numbers]] = {
    "README.md": {
        DEMO: _demo,
        AHEAD: _recommended,
        SPEED: _speedups,
    },
    "docs/index.md": {DEMO: _demo},
    "docs/performance.md": {
        "{:.1f} to {:.1f} times as fast as the published loop and {:.1f} to {:.1f} times as fast "
        "as the fastest form of PyTorch": _speedups,
        "Flax's own layers take {:.0f} to {:.0f} times as long": _flax,
        "these take {:.0f} to {:.0f} times as long": _naive,
        "needs {:.0f} MiB of working memory": _working_memory,
        "a large layer outside takes {:.1f} to {:.1f} times as long": _outside_loops,
        "reads {:.1f} times as fast as the book's loop, which unpacks, opens, resizes, crops, "
        "saves and loads again. It takes {:.1f} times the processor time": _reading,
        "{:.1f} s from warm caches, {:.1f} s resumed, {:.1f} s with nothing prepared": _starts,
        "`discogan translate` takes {:.1f} times as long for a picture as a bare loop over arrays "
        "in memory with the networks of `official` at 64 px, and {:.1f} times with the small ones "
        "of `demo`": _translating,
        "With the tf feed a step takes {:.2f} times as long as a bare one (runs: {:.2f} to "
        "{:.2f}), and {:.1%} of the time is spent waiting for data; with the device feed {:.2f} "
        "times ({:.2f} to {:.2f}), and {:.1%}.": _overhead,
        "needs {:.2f} TFLOP, the book's {:.2f}. At the {:.0%} of {:.0f} TFLOP/s that well-tuned "
        "small convolutional networks reach, that is {:.1f} and {:.1f} ms per cycle, and thus "
        "{:.0f} and {:.0f} minutes": _on_gpus,
    },
    "docs/scaling.md": {
        "{:,} bytes per image at 64 px: {:.1f} MB with 256 images per device": lambda _: _feed()[
            :2
        ],
        "at 30 cycles per second reads {:.1f} GB/s in random accesses of {:.0f} KB": (
            lambda _: _feed()[2:]
        ),
        "operations / ({:.0%} of {:.0f} TFLOP/s)": _peak,
        "an H100 reaches {:.0%} of the {:.0f} TFLOP/s": _peak,
        "NVLink has {:.0f} GB/s and a latency of {:.0f} µs per collective within a host; the "
        "network has {:.0f} GB/s per GPU and {:.0f} µs": _networks,
        "the official recipe, {} of them become {}": _combined,
        "It ends at {:.0%} within a host, where latency accounts for {:.0%} of the communication": (
            _on_one_host
        ),
        "its {:.0%} there become {:.0%}": _more_images,
        "with that it reaches {:.0%}": _meanwhile,
        "`best` reaches {:.0%}, and with all that is named here {:.0%}": _one_card,
        "The sharded state communicates {:.1f} times as long": _sharding,
    },
    "docs/comparison.md": {},
    "docs/match.md": {},
    "docs/results.md": {
        AHEAD: _recommended,
        "is ahead of `official` in {} of {} measures and behind in {}, and ahead of CycleGAN in {} "
        "of {} and behind in {}": lambda found: [
            x for other in ("official", "cyclegan") for x in _wins(LARGER, other=other)(found)
        ],
        "ahead of `official` in {} of {} measures of the former and behind in {}, and ahead in {} "
        "of {} of the latter and behind in {}": lambda found: [
            x for name in SETS for x in _wins(name)(found)
        ],
        "{} of the {} values of `official` at the end came out equal to the last digit. `best` won "
        "{} of {} measures again": _repeated,
    },
    "docs/tables.md": {
        "`best` is ahead of `official` in {} of {} measures, and `official` in {}": _wins(*EARLIER),
        "ahead in {} of {} decisive measures, `official` in {}": _wins(EARLIER[0]),
        "ahead in {} of {} decisive measures of this task, `official` in {}": _wins(EARLIER[1]),
        "ahead in {} of {} decisive measures of edges ↔ photos, `official` in {}": _wins(
            EARLIER[2]
        ),
        "an SSIM to the true pair of {:.2f} to {:.2f}, those of `official` of {:.2f} to "
        "{:.2f}": _pairs,
        "A step of `best` takes {:.1f} to {:.1f} times as long": _step_times,
        "its grid energy was {:.1f}": lambda found: _end(
            found, "quality-bags-shoes-64px-cut", "best", "grid_energy"
        ),
    },
    "discogan_jax/configs/best.py": {
        AHEAD: _recommended,
        "reconstruction at {:.1f} dB (`official`: {:.1f}), hue errors of {:.0f}° ({:.0f}°), "
        "coverage of {:.2f} ({:.2f})": _expected("best", "official"),
        "64 px, with three seeds, {:.1f} dB ({:.1f}), {:.0f}° ({:.0f}°) and {:.2f} ({:.2f})": (
            _expected("best", "official", size=LARGER)
        ),
        "full width there, with one seed, 750 steps: {:.1f} dB ({:.1f}), {:.0f}° ({:.0f}°) and "
        "{:.2f} ({:.2f})": _expected("best", "official", size=FULL),
    },
    "discogan_jax/configs/sample.py": {
        "{} seeds end with hue errors of {:.0f}° to {:.0f}°": _demo_hues,
    },
    "discogan_jax/configs/official.py": {
        "at {:.1f} dB, with hue errors of {:.0f}° and a coverage of {:.2f}": _expected("official"),
    },
}
PAGES = tuple(SENTENCES)
