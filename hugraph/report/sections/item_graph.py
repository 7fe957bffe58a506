"""What graph of items a run rests on."""

from collections.abc import Mapping

from hugraph.report import figures
from hugraph.report.page import Details, Number, Prose, Section, Table
from hugraph.report.sections.pictures import svg


def item_graph(edges: Mapping[int, int], chosen: int | None) -> Section:
    """How many edges the item graph has at each threshold.

    Args:
        edges: By threshold.
        chosen: That of the run.
    """
    text = (
        "Two items are joined if at least so many users have both in training. The bars are those "
        "of Figure 3 of the HUIGN paper"
    )
    text += f"; the run's threshold, {chosen}, stands out." if chosen else "."
    table = Table(
        "Edges by threshold",
        ["least number of common users", "edges"],
        [[threshold, Number(count, f"{count:,}")] for threshold, count in edges.items()],
    )
    drawn = svg(figures.histogram(edges, chosen), text)
    return Section("graph", "Item graph", [Prose(text), drawn, Details("The numbers", [table])])
