"""A measured number beside what to read it with; tables of them."""

import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Better = Literal["higher", "lower", "nearer"]

_Z = 1.96  # standard errors to either side hold 95%


@dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
      name: for programs: which images, a slash, the measure: ``bags_to_shoes/hue_error``.
      what: for people: what was measured, with its unit.
      value: the number.
      reference: what to read it beside, or None.
      beside: what the reference is.
      better: ``higher``, ``lower`` or ``nearer`` (to the reference).
      interval: a 95% confidence interval of the value, as other held-out images would move it, or
        None.
    """

    name: str
    what: str
    value: float
    reference: float | None
    beside: str
    better: Better
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Path:
    """Where the images of a row went: names of domains, one or more.

    Attributes:
      domains: such as ``("bags", "shoes")`` for bags translated to shoes.
    """

    domains: tuple[str, ...]

    def row(
        self,
        name: str,
        what: str,
        value: float,
        better: Better,
        reference: float | None = None,
        beside: str = "",
        interval: tuple[float, float] | None = None,
    ) -> Row:
        """A row about these images; see `Row`."""
        return Row(
            f"{'_to_'.join(self.domains)}/{name}",
            f"{' → '.join(self.domains)}: {what}",
            float(value),
            None if reference is None else float(reference),
            beside,
            better,
            interval,
        )

    def mean(
        self,
        name: str,
        what: str,
        values: Float[np.ndarray, "N"],
        better: Better,
        reference: float | None = None,
        beside: str = "",
    ) -> Row:
        """A row of a mean over images, with the interval of a mean (normal approximation)."""
        with np.errstate(invalid="ignore"):  # equal images: an infinite ratio, and no spread
            mean, reach = float(values.mean()), _Z * float(values.std()) / math.sqrt(len(values))
        interval = (mean - reach, mean + reach)
        return self.row(name, what, mean, better, reference, beside, interval)


def aligned(cells: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Lays out cells in columns, two spaces apart.

    Args:
      cells: rows of texts. A row of one cell is a heading: it runs on over the other columns.
      right: numbers of the columns that are aligned to the right, counted from 0.

    Returns:
      A line per row, without trailing spaces.
    """
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


def table(rows: Iterable[Row]) -> str:
    """Rows as text, in columns."""
    cells = [("measured on held-out images", "value", "(95%)", "beside", "", "better")]
    cells += [
        (r.what, short(r.value), _span(r.interval), short(r.reference), r.beside, r.better)
        for r in rows
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(6)]
    aligned = [
        f"{a:<{widths[0]}}  {v:>{widths[1]}} {s:<{widths[2]}}  {b:>{widths[3]}}  "
        f"{c:<{widths[4]}}  {d}"
        for a, v, s, b, c, d in cells
    ]
    return "\n".join(line.rstrip() for line in aligned)


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows as JSON knows them; numbers that are not finite become null."""
    return [{name: _plain(value) for name, value in asdict(row).items()} for row in rows]


def short(value: float | None) -> str:
    """A number in four digits."""
    return "" if value is None else f"{value:.4g}"


def _span(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"({short(interval[0])} to {short(interval[1])})"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
