"""Whether lists show all items or only popular ones."""

from collections.abc import Mapping

from hugraph.report import figures
from hugraph.report.exposure import Exposure
from hugraph.report.page import Cell, Number, Prose, Section, Table
from hugraph.report.sections.cells import three
from hugraph.report.sections.pictures import svg


def lists(groups: Mapping[str, Exposure], k: int) -> Section:
    """Whether lists show all items or only popular ones.

    Args:
        groups: The lists of the model and of popularity, and the interactions, by name.
        k: Length of the lists.
    """
    text = (
        f"Left, how the places of everybody's {k} best items are shared among items, from the most "
        "popular tenth to the least; right, how unevenly: the dotted line is all items alike."
    )
    rows: list[list[Cell]] = [
        [
            name,
            Number(one.coverage, f"{one.coverage:.1%}"),
            three(one.gini),
            Number(one.tenths[0], f"{one.tenths[0]:.1%}"),
            Number(sum(one.tenths[5:]), f"{sum(one.tenths[5:]):.1%}"),
        ]
        for name, one in groups.items()
    ]
    header = ["whose", "items shown at all", "Gini", "share of the most popular tenth"]
    header += ["share of the less popular half"]
    table = Table(f"Lists of {k} items for every user", header, rows)
    return Section(
        "lists",
        "Popularity and coverage",
        [table, Prose(text), svg(figures.exposures(groups), text)],
    )
