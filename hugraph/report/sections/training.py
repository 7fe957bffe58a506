"""How a run learned."""

from collections.abc import Sequence

from hugraph.report import figures
from hugraph.report.page import Cell, Details, Prose, Section, Table
from hugraph.report.runs import Epoch
from hugraph.report.sections.cells import shortest
from hugraph.report.sections.pictures import svg
from hugraph.report.views import measured


def training(epochs: Sequence[Epoch], best_epoch: int) -> Section:
    """The learning curves.

    Args:
        epochs: Of the run.
        best_epoch: Whose weights the model has.
    """
    if not epochs:
        said = Prose("The model has no parameters to train, so there are no learning curves.")
        return Section("training", "Training", [said])
    panels = measured(epochs)
    drawn = figures.curves(panels, best_epoch)
    text = f"Each loss term and validation metric by epoch; the best, {best_epoch}, is dotted."
    columns = [line for lines in panels.values() for line in lines]
    rows: list[list[Cell]] = [
        [
            epoch.number,
            *(shortest({**epoch.terms, **epoch.validation}.get(column)) for column in columns),
        ]
        for epoch in epochs
    ]
    table = Table("Terms, unweighted, and validation metrics", ["epoch", *columns], rows)
    return Section(
        "training",
        "Training",
        [Prose(text), svg(drawn, text), Details("The numbers", [table])],
    )
