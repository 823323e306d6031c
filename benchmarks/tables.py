"""Writes results as Markdown tables, for the pages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks import collectives, scaling
from discogan_jax.evaluation.table import markdown

Report = Mapping[str, Any]
PYTORCH = {
    "torch published": "PyTorch, published loop",
    "torch tuned": "PyTorch, no redundant work",
    "torch compiled": "`torch.compile`",
}


def seconds(value: float) -> str:
    """Writes a duration in seconds or milliseconds."""
    return f"{value:.2f} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def cases(found: Mapping[str, Any]) -> str:
    """Writes what `harness` measured as a table: a row per case and implementation."""
    matrix = next(iter(found.values()))["sides"].values()
    full = max(row["gflops_per_second"] for row in matrix)
    head = "work", "side", "median", "quartiles", "of the matrix rate", "time by reference's, range"
    rows: list[Sequence[str]] = [head]
    for name, work in found.items():
        for side, row in work["sides"].items():
            speed = row["gflops_per_second"]
            low, high = row["ratio_range"]
            ratio = f"{row['ratio']:.2f} ({low:.2f}–{high:.2f})"
            quartiles = "–".join(map(seconds, row["quartiles"]))
            share = f"{speed / full:.0%}" if speed else ""
            ratio = "reference" if side == work["reference"] else ratio
            rows.append([name, side, seconds(row["median"]), quartiles, share, ratio])
    return markdown(rows)


def processes(found: Mapping[str, Any]) -> str:
    """Writes a table of whole processes: a row per number, a column per implementation."""
    cells = [["median (range)", *found]]
    for name in dict.fromkeys(name for rows in found.values() for name in rows):
        cells.append([name.replace("_", " ")])
        for rows in found.values():
            row = rows.get(name)
            spread = "–".join(f"{x:,.3g}" for x in row["range"]) if row else ""
            several = row is not None and row["n"] > 1
            cell = "" if row is None else f"{row['median']:,.4g}" + f" ({spread})" * several
            cells[-1].append(cell)
    return markdown(cells)


def section(report: Report) -> str:
    """Writes the results of one benchmark in Markdown."""
    about, settings = report["machine"], dict(report["settings"])
    took = settings.pop("took")
    on = about.get("gpu") or f"{about['cpu']}, {about['cores']} cores"
    packages = about["packages"]
    versions = [f"jax {packages['jax']}"]
    versions += [f"torch {about['torch']}"] if "torch" in about else []
    facts = ", ".join(f"{k} {v}" for k, v in settings.items() if v not in (None, False))
    load = f"load {report['load']['start']:.1f} to {report['load']['end']:.1f}"
    table = cases(report["works"]) if "works" in report else processes(report["sides"])
    head = f"{on}; {', '.join(versions)}; {facts}; took {took:.0f} s, {load}."
    return "\n".join([f"### {report['benchmark']}", "", head, "", table])


def every(reports: Iterable[Report]) -> str:
    """Writes the results of all benchmarks of speed and memory."""
    timed = (report for report in reports if "works" in report or "sides" in report)
    return "\n\n".join(map(section, timed))


def cycles(works: Mapping[str, Mapping[str, Any]]) -> str:
    """Writes the times of cycles: a row per case, a column per implementation.

    Args:
      works: what `harness` measured of a cycle, by the name of its row.
    """
    sides = [side for side in PYTORCH if side in next(iter(works.values()))["sides"]]
    rows = [["recipe, pixels, batch", "this library", *(PYTORCH[side] for side in sides)]]
    for name, work in works.items():
        rows.append([name, f"{work['sides']['jax']['median']:.2f} s"])
        for row in (work["sides"][side] for side in sides):
            low, high = row["ratio_range"]
            rows[-1].append(f"{row['median']:.2f} s ({row['ratio']:.2f}; {low:.2f} to {high:.2f})")
    return markdown(rows)


def counts(reports: Mapping[str, Report]) -> str:
    """Writes the collectives of a cycle: a row per program.

    Args:
      reports: what `scaling` counted, by the name of the recipe.
    """
    rows: list[Sequence[str]] = [["recipe, state", "collectives", "their results", "longest chain"]]
    for recipe, report in reports.items():
        gradients = 2 * report["gradients"]["gen"] + report["gradients"]["dis"]
        for state, kinds in report["programs"].items():
            calls = ", ".join(f"{t['calls']} {kind}" for kind, t in kinds.items())
            sizes = ", ".join(f"{t['size'] / 2**20:.0f}" for t in kinds.values())
            whole = state != "sharded"
            of = (
                f" ({kinds['all-reduce']['size'] / gradients:.2f} of the gradients)"
                if whole
                else ""
            )
            chain = str(report["chain"]) if whole else ""
            rows.append([f"{recipe}, {state}", calls, f"{sizes} MiB{of}", chain])
    return markdown(rows)


def projections(reports: Mapping[str, Report]) -> str:
    """Writes the efficiencies that the same counts let expect of one host and of many."""
    many = {"network": collectives.MANY_HOSTS}
    ways: dict[str, dict[str, Any]] = {
        "8 GPUs in one host": {"network": collectives.ONE_HOST},
        "512 GPUs, one ring": many,
        "each host sums first": (first := many | {"hosts_first": True}),
        "and gradients in bfloat16": first | {"bfloat16": True},
    }
    rows = [["recipe", "computing", *ways]]
    for recipe, report in reports.items():
        found = [scaling.projected(report, **way) for way in ways.values()]
        rows.append([recipe, f"{1e3 * found[0].computing:.1f} ms"])
        rows[-1] += [f"{1e3 * p.communicating:.1f} ms: {p.efficiency:.0%}" for p in found]
    return markdown(rows)


def summary(reports: Mapping[str, Report]) -> str:
    """Writes what a user of one machine wants to know: a row per recipe, shape and precision.

    Args:
      reports: the results of that machine, by benchmark.
    """
    head = (
        "this library",
        "fastest of torch.compile",
        "of the matrix rate",
        "100,000 cycles",
        "memory",
    )
    rows: list[Sequence[str]] = [["recipe, pixels, batch", *head]]
    for name, report in reports.items():
        if not name.startswith("train_step-"):
            continue
        matrix, *_, cycle = report["works"].values()
        full = max(row["gflops_per_second"] for row in matrix["sides"].values())
        sides, settings = cycle["sides"], report["settings"]
        shape = f"batch {settings['batch']} at {settings['size']}px"
        memory = reports.get(f"memory-{settings['recipe']}", {"sides": {}})["sides"].get(shape, {})
        for side in ("jax", "jax, bfloat16"):
            if side not in sides:
                continue
            row, half = sides[side], "bfloat16" in side
            others = [
                s["median"] / row["median"]
                for name, s in sides.items()
                if name.startswith("torch compiled") and ("bfloat16" in name) == half
            ]
            taken = memory.get("device_peak_mib")
            rows.append(
                [
                    f"{settings['recipe']}, {settings['size']}, {settings['batch']}{side[3:]}",
                    seconds(row["median"]),
                    f"{min(others):.2f} times as long" if others else "–",
                    f"{row['gflops_per_second'] / full:.0%}",
                    f"{1e5 * row['median'] / 3600:.1f} h",
                    f"{taken['median']:,.0f} MiB" if taken and not half else "–",
                ]
            )
    return markdown(rows)
