"""A measured number with its reference; tables as text, Markdown and JSON."""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from discogan_jax.config.measures import Better

Headlines = Mapping[str, Mapping[str, str]]
"""By heading, the names of rows and their names for people, see `measures.headlines`."""

DASH = "–"
"""Stands in tables for a number that is undefined."""


@dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
      name: key for programs, the route of the images and the measure: ``bags_to_shoes/hue_error``.
      what: description for people, with the unit.
      value: the number; NaN or infinite where it is undefined.
      reference: a number to compare it with, or None.
      beside: description of the reference.
      better: ``higher``, ``lower`` or ``nearer`` (to the reference).
      interval: a 95% confidence interval of the value, for other held-out images, or None. That of
        a mean is Student's, of a share Wilson's, of a distance that of `metrics.features`.
      reason: why value or reference is undefined, or None.
    """

    name: str
    what: str
    value: float
    reference: float | None
    beside: str
    better: Better
    interval: tuple[float, float] | None = None
    reason: str | None = None


def aligned(cells: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Lays out cells in columns, two spaces apart.

    Args:
      cells: rows of texts. A row of one cell is a heading: it extends over the other columns.
      right: numbers of the columns that are aligned to the right, counted from 0.

    Returns:
      A line per row, without trailing spaces.
    """
    # Headings do not count for the widths of columns.
    columns = itertools.zip_longest(*(row for row in cells if len(row) > 1), fillvalue="")
    widths = [max(map(len, column)) for column in columns] or [0]
    lines = []
    for row in cells:
        justified = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join(justified).rstrip())
    return "\n".join(lines)


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """Writes cells as a Markdown table, the first row as its head.

    Args:
      cells: rows of texts, of equal length; vertical bars in them are escaped.

    Returns:
      A line per row and one of dashes, without a newline at the end.
    """
    head, *lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in cells]
    dashes = "|---" * len(cells[0]) + "|"
    return "\n".join([f"| {head} |", dashes, *(f"| {line} |" for line in lines)])


def as_text(rows: Iterable[Row], headlines: Headlines | None = None) -> str:
    """Writes rows as an aligned table.

    Args:
      rows: the rows.
      headlines: the rows to show and their names for people, from `measures.headlines`; None shows
        all rows by their descriptions.
    """
    if headlines is None:
        groups = {"": [(row.what, row) for row in rows]}
    else:
        found = {row.name: row for row in rows}
        groups = {x: [(text, found[n]) for n, text in of.items()] for x, of in headlines.items()}
    # Values are aligned to the right by hand, because intervals follow them in the same column.
    shown = [row for group in groups.values() for _, row in group]
    width = max(map(len, ["value", *(value_text(x.value, x.better, x.interval) for x in shown)]))
    measure = [] if headlines is None else ["measure"]
    head = f"{'value':>{width}} (95% interval)"
    cells = [["measured on held-out images", head, "beside", "", "better", *measure]]
    for heading, group in groups.items():
        cells += [[heading]] if heading else []
        for text, row in group:
            interval = f" ({interval_text(row.interval)})" if row.interval else ""
            number = f"{value_text(row.value, row.better, row.interval):>{width}}{interval}"
            reference = value_text(row.reference, row.better)
            indented = f"  {text}" if heading else text
            cells.append([indented, number, reference, row.beside, row.better])
            cells[-1] += [row.name.rpartition("/")[2]] if measure else []
    return aligned(cells, right={2})


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Converts rows to JSON objects; numbers that are not finite become null."""
    from discogan_jax.files import finite  # imports what tables do without

    return [finite(asdict(row)) for row in rows]


def notes(reasons: Mapping[str, str], what: str) -> list[str]:
    """Says of measures that are left out or undefined why that is: a line for each reason.

    Args:
      reasons: reasons by the names of the measures.
      what: the beginning of a line.
    """
    grouped: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        grouped.setdefault(reason, []).append(name)
    return [f"{what}: {', '.join(names)} ({reason})" for reason, names in grouped.items()]


def four_digits(value: float | None) -> str:
    """Writes a number in four digits, None as nothing, and what is not finite as a dash."""
    if value is None:
        return ""
    return f"{value:.4g}" if math.isfinite(value) else DASH


def value_text(
    value: float | None, better: str | None, interval: Sequence[float | None] | None = None
) -> str:
    """Writes a value in four digits, but none that is below what it can be.

    Nothing of which less is better is below 0 in truth: an estimate that is cannot be told from 0,
    and is written as the end of its interval ("< 0.12"), or as "about 0" without one.

    Args:
      value: the value, None or not finite where it is undefined.
      better: which values are better.
      interval: the interval of the value, or None.
    """
    if value is None or better != "lower" or not value < 0:
        return four_digits(value)
    return "about 0" if interval is None else f"< {four_digits(interval[1])}"


def interval_text(interval: Sequence[float | None] | None) -> str:
    """Writes an interval in four digits: "1.5 to 2"; None as nothing."""
    return " to ".join(map(four_digits, interval or ()))
