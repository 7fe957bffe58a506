"""Whether other seeds find the same intents."""

from collections.abc import Sequence

from hugraph.report.intents import IntentLevel
from hugraph.report.page import Cell, Details, Prose, Section, Table
from hugraph.report.sections.cells import counted, three
from hugraph.report.stability import LevelStability


def stable(found: Sequence[LevelStability], levels: Sequence[IntentLevel], runs: int) -> Section:
    """Whether other seeds find the same intents.

    Args:
        found: By level; none if no other run is there.
        levels: For the names.
        runs: How many other runs.
    """
    if not found:
        said = Prose(
            "One run cannot say whether another seed finds the same intents: fit the spec with "
            "other seeds, and name those runs with --beside."
        )
        return Section("stability", "Stability", [said])
    rows: list[list[Cell]] = [
        [one.modality, one.level, three(one.mean), three(one.shuffled)] for one in found
    ]
    of_intents: list[list[Cell]] = [
        [intent.name, level.modality, level.level, three(agreed)]
        for one in found
        for level in levels
        if (level.modality, level.level) == (one.modality, one.level)
        for intent, agreed in zip(level.intents, one.intents, strict=True)
        if intent.used
    ]
    text = (
        f"Intents of {counted(runs, 'other run')} are matched one to one with these. The "
        "agreement is the correlation of the assignments: 1 for the same intent, beside it what "
        "matching alone gives."
    )
    header = ["modality", "level", "agreement", "agreement, items shuffled"]
    by_intent = Table("By intent", ["intent", "modality", "level", "agreement"], of_intents)
    return Section(
        "stability",
        "Stability",
        [Prose(text), Table("By level", header, rows), Details("Intent by intent", [by_intent])],
    )
