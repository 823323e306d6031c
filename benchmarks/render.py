"""Writes the committed results as tables into `docs/performance.md`.

python -m benchmarks.render
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS
from discogan_jax.files import replacing

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- results: written by benchmarks.render -->", "<!-- end of results -->"


def seconds(value: float) -> str:
    """A duration in the unit that fits it."""
    return f"{value:.2f} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def works(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a table of what `harness` measured."""
    matrix = next(iter(found.values()))["sides"].values()
    full = max(row["gflops_per_second"] for row in matrix)
    yield "| work | side | median | quartiles | of the matrix rate | time by reference's, 95% |"
    yield "|---|---|---|---|---|---|"
    for name, work in found.items():
        for side, row in work["sides"].items():
            speed = row["gflops_per_second"]
            low, high = row["ratio_interval"]
            cells = [
                name,
                side,
                seconds(row["median"]),
                "–".join(map(seconds, row["quartiles"])),
                f"{speed / full:.0%}" if speed else "",
                "reference"
                if side == work["reference"]
                else f"{row['ratio']:.2f} ({low:.2f}–{high:.2f})",
            ]
            yield f"| {' | '.join(cells)} |"


def sides(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a table of what `turns` measured: a number a row, a side a column."""
    numbers = list(dict.fromkeys(name for rows in found.values() for name in rows))
    yield f"| median (range) | {' | '.join(found)} |"
    yield "|---" * (len(found) + 1) + "|"
    for name in numbers:
        cells = []
        for rows in found.values():
            row = rows.get(name)
            spread = "–".join(f"{x:,.3g}" for x in row["range"]) if row else ""
            several = row is not None and row["n"] > 1
            cells.append("" if row is None else f"{row['median']:,.4g}" + f" ({spread})" * several)
        yield f"| {name.replace('_', ' ')} | {' | '.join(cells)} |"


def section(report: Mapping[str, Any]) -> str:
    """One benchmark's results in Markdown."""
    about, settings = report["machine"], dict(report["settings"])
    took = settings.pop("took")
    on = about.get("gpu") or f"{about['cpu']}, {about['cores']} cores"
    packages = about["packages"]
    versions = [f"jax {packages['jax']}"]
    versions += [f"torch {about['torch']}"] if "torch" in about else []
    facts = ", ".join(f"{k} {v}" for k, v in settings.items() if v not in (None, False))
    load = f"load {report['load']['start']:.1f} to {report['load']['end']:.1f}"
    lines = works(report["works"]) if "works" in report else sides(report["sides"])
    head = f"{on}; {', '.join(versions)}; {facts}; took {took:.0f} s, {load}."
    return "\n".join([f"### {report['benchmark']}", "", head, "", *lines])


def page(text: str, reports: Iterator[Mapping[str, Any]]) -> str:
    """A page with the results between its two marks replaced."""
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
