"""Writes to a terminal, a pipe or a log; text from data cannot do more than be shown."""

import json
import os
import re
import sys
import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TextIO

from rich.box import ASCII2, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_ACTIVE = re.compile(  # control characters, separators, bidirectional overrides, surrogates
    "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_NUMBER = re.compile(r"[\d.,+-]*x?")
_ENTRY = re.compile(r"\s*(\* |\$\$|\w+: )")  # begins a paragraph of a docstring


def inert(text: object, *, lines: bool = False, stream: TextIO | None = None) -> str:
    """Text in which every character that a terminal might act on is spelled out.

    Args:
        text: Anything; titles and ids of a dataset, values of a spec.
        lines: Whether newlines stay.
        stream: Where it will be written; standard output by default.
    """
    shown = _ACTIVE.sub(
        lambda match: (
            "\n" if lines and match[0] == "\n" else match[0].encode("unicode_escape").decode()
        ),
        str(text),
    )
    return shown.encode("ascii", "backslashreplace").decode() if ascii_only(stream) else shown


def ascii_only(stream: TextIO | None = None) -> bool:
    """Whether the locale or the stream, by default standard output, has no more than ASCII."""
    locales = map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))
    encoding = ((stream or sys.stdout).encoding or "ascii").lower().replace("-", "")
    return next(filter(None, locales), None) in ("C", "POSIX") or not encoding.startswith("utf")


def count(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: `1 user`, `2,000 users`.

    Args:
        number: How many.
        one: What stands after 1.
        many: What stands after other numbers; `one` with an s if left out.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def write_line(
    text: str = "", *, end: str = "\n", file: TextIO | None = None, wrap: bool = True
) -> None:
    """Writes text, several lines perhaps, as it is but for what a terminal might act on.

    Args:
        text: Prose, or something to copy.
        end: Written after it.
        file: Standard output by default.
        wrap: Whether a terminal gets lines of its width; not for code and commands.
    """
    stream = file or sys.stdout
    shown = inert(text, lines=True, stream=stream)
    if wrap and stream.isatty():
        width = Console(file=stream).width
        shown = "\n".join(_wrapped(line, width) for line in shown.split("\n"))
    print(shown, end=end, file=stream)


def say(text: str, *, wrap: bool = True) -> None:
    """Writes a message to standard error; where none can be read, nothing stops for it.

    Args:
        text: Prose, or something to copy.
        wrap: Whether a terminal gets lines of its width; not for code and commands.
    """
    try:
        write_line(text, file=sys.stderr, wrap=wrap)
        sys.stderr.flush()
    except OSError:  # its reader, `head` perhaps, has gone, or the disk of its file is full
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Drops what a stream of the process still holds, which would fail again at its exit."""
    if stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def write_docstring(text: str) -> None:
    """Writes a docstring; on a terminal its paragraphs are filled to the width."""
    write_line(_unwrapped(text) if sys.stdout.isatty() else text)


def write_json(tree: Any, *, indent: int | None = 2) -> None:
    """Writes JSON for machines, in characters of ASCII that no terminal acts on.

    Args:
        tree: Plain values.
        indent: Spaces for each level; None for one line.
    """
    print(json.dumps(tree, indent=indent).replace("\x7f", r"\u007f"))


def write_table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    whole: Collection[str] = (),
    parted: bool = False,
) -> None:
    """Writes a table: drawn on a terminal, columns parted by two spaces elsewhere.

    Args:
        header: Names of the columns.
        rows: What is in them; a `Text` keeps its style on a terminal.
        whole: Columns that are never folded to fit a terminal; those of numbers never are.
        parted: Whether a table too wide for the terminal becomes several, each with the first
            column, instead of folded.
    """
    cells = [
        [cell if isinstance(cell, Text) else Text(inert(cell)) for cell in row] for row in rows
    ]
    columns = list(zip((Text(inert(name)) for name in header), *cells, strict=True))
    widths = [max(cell.cell_len for cell in column) for column in columns]
    if not sys.stdout.isatty():
        for line in zip(*columns, strict=True):
            padded = (
                cell.plain + " " * (width - cell.cell_len)
                for cell, width in zip(line, widths, strict=True)
            )
            print("  ".join(padded).rstrip())
        return
    console = Console(file=sys.stdout, highlight=False)
    parts = _parts(widths, console.width) if parted else [range(len(columns))]
    for number, part in enumerate(parts):
        box = ASCII2 if ascii_only() else SIMPLE_HEAD
        table = Table(box=box, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        for index in part:
            name, *column = columns[index]
            numbers = all(_NUMBER.fullmatch(cell.plain) for cell in column)
            table.add_column(name, overflow="fold", no_wrap=numbers or header[index] in whole)
        for row in cells:
            table.add_row(*(row[index] for index in part))
        if number:
            console.print()
        console.print(table)


def _parts(widths: Sequence[int], room: int) -> Iterator[Sequence[int]]:
    """Columns that fit into a line together, two spaces between them, the first in every part."""
    part, used = [0], widths[0]
    for index, width in enumerate(widths[1:], start=1):
        if len(part) > 1 and used + 2 + width > room:
            yield part
            part, used = [0], widths[0]
        part.append(index)
        used += 2 + width
    yield part


def _wrapped(line: str, width: int) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    hanging = "    " if indent and _ENTRY.match(line) else ""
    lines = textwrap.wrap(
        line,
        width,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def _unwrapped(docstring: str) -> str:
    """The docstring with each paragraph, and each entry of `Args:`, on one line."""
    lines: list[str] = []
    for line in docstring.splitlines():
        last = lines[-1] if lines else ""
        heading = re.fullmatch(r"[A-Z]\w+:", last)
        if not line.strip() or not last.strip() or heading or _ENTRY.match(line):
            lines.append(line)
        else:
            lines[-1] = f"{last} {line.strip()}"
    return "\n".join(lines)
