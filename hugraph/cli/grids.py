"""Tables of results, for a terminal, for Markdown and for LaTeX."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from rich.text import Text

from hugraph.cli.terminal import ascii_only, inert, write_line, write_table

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


class Cell(NamedTuple):
    """A cell of a table that has no form yet."""

    text: str
    deviation: str = ""
    place: int | None = None  # 1 is the best of the column


class Grid(NamedTuple):
    """A table that has no form yet."""

    caption: str
    header: list[str]
    rows: list[list[Cell]]
    footer: list[Cell] | None = None


def write_grids(grids: Iterable[Grid]) -> None:
    """Writes tables to standard output, the best of each column bold, the second underlined."""
    plus_minus = "+-" if ascii_only() else "±"
    styles = {1: "bold", 2: "underline"}
    for number, grid in enumerate(grids):
        if number:
            write_line()
        write_line(grid.caption)
        rows = [
            [
                Text(
                    f"{inert(text)} {plus_minus} {deviation}" if deviation else inert(text),
                    styles.get(place or 0, ""),
                )
                for text, deviation, place in row
            ]
            for row in (*grid.rows, *([grid.footer] if grid.footer else []))
        ]
        write_table(grid.header, rows, whole=grid.header[1:], parted=True)


def markdown(grids: Iterable[Grid]) -> str:
    """Tables in Markdown, the best of each column bold, the second in italics."""
    plus_minus = "+-" if ascii_only() else "±"

    def text(raw: str) -> str:
        return re.sub(r"([\\`*_~\[\]<>|])", r"\\\1", inert(raw))

    def cell(one: Cell) -> str:
        mark = {1: "**", 2: "*"}.get(one.place or 0, "")
        deviation = f" {plus_minus} {one.deviation}" if one.deviation else ""
        return f"{mark}{text(one.text)}{deviation}{mark}"

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    tables = [
        [
            f"{text(grid.caption)}\n",
            line(map(text, grid.header)),
            line(["---", *["--:"] * (len(grid.header) - 1)]),
            *(line(map(cell, row)) for row in grid.rows),
            *([line(map(cell, grid.footer))] if grid.footer else []),
        ]
        for grid in grids
    ]
    return "\n\n".join("\n".join(table) for table in tables)


def latex(grids: Iterable[Grid]) -> str:
    """Tables for LaTeX with booktabs, the best of each column bold, the second underlined."""

    def text(raw: str) -> str:
        escaped = "".join(_LATEX.get(character, character) for character in inert(raw))
        return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", escaped)  # a minus is no hyphen

    def cell(one: Cell) -> str:
        deviation = rf" $\pm$ {one.deviation}" if one.deviation else ""
        mark = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(one.place or 0, "%s")
        return mark % f"{text(one.text)}{deviation}"

    def line(cells: Iterable[str]) -> str:
        row = " & ".join(cells)
        begin = "{}" if row.startswith(("[", "*")) else ""  # not an option of the line before
        return rf"{begin}{row} \\"

    tables = [
        [
            f"% {inert(grid.caption)}",
            rf"\begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}",
            r"\toprule",
            line(map(text, grid.header)),
            r"\midrule",
            *(line(map(cell, row)) for row in grid.rows),
            *([r"\midrule", line(map(cell, grid.footer))] if grid.footer else []),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        for grid in grids
    ]
    head = "% \\usepackage{booktabs}\n"
    return head + "\n\n".join("\n".join(table) for table in tables)
