"""How items are assigned to intents, and whether modalities do it alike."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from hugraph.report import figures
from hugraph.report.labels import between
from hugraph.report.page import Cell, Prose, Section, Table
from hugraph.report.sections.cells import three
from hugraph.report.sections.pictures import png
from hugraph.report.views import Heat, ItemSpace


def assignments(panels: Mapping[str, Sequence[Heat]]) -> Section:
    """The heat maps of assignments.

    Args:
        panels: By modality.
    """
    text = (
        "Assignments of items to intents, and of intents to those above them, alike beside alike; "
        "the bar beside each gives the weights. Clear blocks are clear intents; a level of even "
        "colour says nothing."
    )
    drawn = png(figures.heatmap(panels), text)
    return Section("assignments", "Assignments", [Prose(text), drawn])


def modalities(spaces: Mapping[str, ItemSpace], seed: int) -> Section:
    """Whether modalities sort the items alike.

    Args:
        spaces: By modality.
        seed: Of the shuffles.
    """
    if len(spaces) < 2:
        said = Prose("The model has one modality, so there is no other to compare it with.")
        return Section("modalities", "Modalities", [said])
    rng = np.random.default_rng(seed)
    rows: list[list[Cell]] = []
    for (one, first), (other, second) in combinations(spaces.items(), 2):
        for level, (mine, theirs) in enumerate(
            zip(first.strongest, second.strongest, strict=False), start=1
        ):
            found = between(mine, theirs, rng)
            rows.append([f"{one}, {other}", level, three(found.nmi), three(found.shuffled)])
    header = ["modalities", "level", "NMI", "NMI, items shuffled"]
    text = (
        "Normalised mutual information of the items' strongest intents: 1 if both modalities sort "
        "items into the same groups; beside it, what chance gives."
    )
    table = Table("Agreement of modalities", header, rows)
    return Section("modalities", "Modalities", [Prose(text), table])
