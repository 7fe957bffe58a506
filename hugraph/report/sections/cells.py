"""How a report writes numbers and tables."""

import math
from collections.abc import Sequence

from hugraph.report.page import Cell, Number, Table


def table_of(caption: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """A table without the columns that are empty in every row."""
    kept = [column for column in range(len(header)) if any(row[column] != "" for row in rows)]
    shown = [[row[column] for column in kept] for row in rows]
    return Table(caption, [header[column] for column in kept], shown)


def counted(number: int, what: str) -> str:
    """A number and what it counts: `1 user`, `2,000 users`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def four(value: float) -> Cell:
    """A number with four decimals; nothing for one that is not finite."""
    return _fixed(value, 4)


def three(value: float) -> Cell:
    """A number with three decimals; nothing for one that is not finite."""
    return _fixed(value, 3)


def shortest(value: float | None) -> Cell:
    """A number with four digits that tell; nothing for none."""
    return "" if value is None else Number(value, f"{value:.4g}")


def ratio(value: float, baseline: float) -> Cell:
    """How many times as large a value is; nothing where there is nothing to compare it with."""
    if not baseline or not math.isfinite(baseline):
        return ""
    return Number(value / baseline, f"{value / baseline:.2f}×")


def interval(low: float, high: float) -> str:
    """From where to where, or that a single user gives no bounds."""
    return f"{low:.4f} to {high:.4f}" if math.isfinite(low) else "unbounded"


def _fixed(value: float, decimals: int) -> Cell:
    if not math.isfinite(value):
        return ""
    return Number(value, f"{round(value, decimals) + 0.0:.{decimals}f}")  # never -0.000
