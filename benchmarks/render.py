"""Writes the committed results as tables into `docs/performance.md`.

python -m benchmarks.render
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS
from discogan_jax.evaluation.table import markdown
from discogan_jax.files import replacing

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- results: written by benchmarks.render -->", "<!-- end of results -->"


def seconds(value: float) -> str:
    """Writes a duration in seconds or milliseconds."""
    return f"{value:.2f} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def cases(found: Mapping[str, Any]) -> str:
    """Writes what `harness` measured as a table: a row per case and implementation."""
    matrix = next(iter(found.values()))["sides"].values()
    full = max(row["gflops_per_second"] for row in matrix)
    head = "work", "side", "median", "quartiles", "of the matrix rate", "time by reference's, 95%"
    rows: list[Sequence[str]] = [head]
    for name, work in found.items():
        for side, row in work["sides"].items():
            speed = row["gflops_per_second"]
            low, high = row["ratio_interval"]
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


def section(report: Mapping[str, Any]) -> str:
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


def page(text: str, reports: Iterator[Mapping[str, Any]]) -> str:
    """Replaces the results between the two marks of a page."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return "\n\n".join([before + BEGIN, *map(section, reports), END + after])


def main() -> None:
    """The command."""
    reports = (json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json")))
    timed = (report for report in reports if "works" in report or "sides" in report)
    text = page(PAGE.read_text(), timed)
    with replacing(PAGE) as temporary:
        temporary.write_text(text)
    print(PAGE)


if __name__ == "__main__":
    main()
