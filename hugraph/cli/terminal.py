"""Writes to a terminal, a pipe or a log; text from data cannot do more than be shown."""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.box import ASCII2, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_ACTIVE = re.compile(  # control characters, separators, bidirectional overrides, surrogates
    "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


def inert(text: object, *, lines: bool = False) -> str:
    """Text in which every character that a terminal might act on is spelled out.

    Args:
        text: Anything; titles and ids of a dataset, values of a spec.
        lines: Whether newlines stay.
    """
    shown = _ACTIVE.sub(
        lambda match: (
            "\n" if lines and match[0] == "\n" else match[0].encode("unicode_escape").decode()
        ),
        str(text),
    )
    return shown.encode("ascii", "backslashreplace").decode() if ascii_only() else shown


def ascii_only() -> bool:
    """Whether this locale or stream cannot show more than ASCII."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LANG")
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    return locale in ("C", "POSIX") or not encoding.startswith("utf")


def write_line(text: str = "", *, end: str = "\n", file: TextIO | None = None) -> None:
    """Writes text, several lines perhaps, as it is but for what a terminal might act on."""
    print(inert(text, lines=True), end=end, file=file or sys.stdout)


def write_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a table: drawn on a terminal, columns parted by two spaces elsewhere."""
    cells = [[inert(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
        for row in [list(header), *cells]:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  ".join(padded).rstrip())
        return
    table = Table(box=ASCII2 if ascii_only() else SIMPLE_HEAD)
    for name in header:
        table.add_column(name, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(file=sys.stdout, highlight=False).print(table)
