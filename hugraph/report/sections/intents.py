"""The intents of a run: their tree, and a table of each level."""

from collections.abc import Callable, Sequence
from typing import Any

from hugraph.data.dataset import Dataset
from hugraph.report import figures
from hugraph.report.intents import Intent, IntentLevel
from hugraph.report.page import Block, Cell, Details, Number, Plot, Prose, Section, Table
from hugraph.report.sections.cells import counted, table_of, three
from hugraph.report.sections.pictures import TITLE, svg
from hugraph.report.tree import Branch, intent_tree, telling
from hugraph.report.views import by_modality

_FEW = 5  # keywords and items in a hover


def intents(
    levels: Sequence[IntentLevel], dataset: Dataset
) -> tuple[Section, dict[str, list[dict[str, Any]]]]:
    """The tree and the table of intents, and what the page's script draws of them.

    Args:
        levels: Of all modalities.
        dataset: Whose items are named.
    """

    def label(item: int) -> str:
        return dataset.title(item) or str(dataset.item_ids[item])

    modalities = by_modality(levels)
    trees = {name: intent_tree(own) for name, own in modalities.items()}
    text = (
        "Sizes are shares of all assignments. Coarse intents are inside, finer ones outside; each "
        "stands under its strongest parent. Point at one for its keywords and items, click to "
        "enlarge; the table below has the same."
    )
    still = svg(figures.tree(trees), "The intents as a tree, with their names and sizes.")
    blocks: list[Block] = []
    if doubted := [f"{one.modality} {one.level}" for one in levels if one.remark]:
        said = f"Not to be believed as they stand: levels {', '.join(doubted)}; the table says why."
        blocks.append(Prose(said, beware=True))
    dropped = [one for one in levels if not one.tells_apart and one.level > 1]
    if dropped:
        blocks.append(Prose("Levels that do not tell items apart are left out of the tree."))
    blocks += [Plot("tree", text, still), _level_table(levels)]
    for name, own in modalities.items():
        for one in own:
            blocks.append(
                Details(
                    f"{name}, level {one.level}: {len(one.intents)} intents",
                    [_intent_table(one, own, label)],
                    open=one is own[0] and name == next(iter(modalities)),
                )
            )
    drawn = {
        name: [
            {"id": "root", "parent": "", "name": name, "size": 0, "branch": None,
             "said": []},
            *_nodes(branches, "root", label),
        ]
        for name, branches in trees.items()
    }  # fmt: skip
    return Section("intents", "Intents", blocks), drawn


def _level_table(levels: Sequence[IntentLevel]) -> Table:
    columns = [*dict.fromkeys(column for one in levels for column in one.agreement)]
    rows: list[list[Cell]] = []
    for one in levels:
        row: list[Cell] = [one.modality, one.level, len(one.intents)]
        row += [three(one.entropy), three(one.information), three(one.coherence)]
        row.append(three(one.shuffled_coherence))
        for column in columns:
            match = one.agreement.get(column)
            row += [three(match.nmi), three(match.shuffled)] if match else ["", ""]
        rows.append([*row, one.remark])
    header = ["modality", "level", "intents", "entropy", "information", "coherence"]
    header.append("coherence, shuffled")
    for column in columns:
        header += [f"NMI with {column}", "shuffled"]
    header.append("remark")
    return table_of("How far each level tells items apart, and how far to believe it", header, rows)


def _intent_table(
    level: IntentLevel, levels: Sequence[IntentLevel], label: Callable[[int], str]
) -> Table:
    above = next((one for one in telling(levels) if one.level == level.level + 1), None)
    rows: list[list[Cell]] = []
    for intent in sorted(level.intents, key=lambda one: -one.soft_size):
        if not intent.used:
            continue
        parent = intent.parents[0] if intent.parents and above is not None else None
        rows.append(
            [
                intent.name,
                Number(intent.soft_size, f"{intent.soft_size:.1%}"),
                Number(intent.hard_size, f"{intent.hard_size:,}"),
                "" if intent.taste is None else Number(intent.taste, f"{intent.taste:.1%}"),
                ", ".join(f"{term} {weight:.2f}" for term, weight in intent.keywords[:_FEW]),
                "; ".join(label(item) for item, _ in intent.typical[:_FEW]),
                f"{above.intents[parent.intent].name} {parent.weight:.0%}"
                if parent and above
                else "",
                _labels(intent),
                three(intent.coherence),
                intent.remark,
            ]
        )
    left_out = len(level.intents) - len(rows)
    caption = f"Intents of {level.modality}, level {level.level}"
    caption += f"; {left_out} without items are left out" if left_out else ""
    header = ["name", "share", "items", "taste", "keywords", "most typical items", "parent"]
    return table_of(caption, [*header, "labels", "coherence", "remark"], rows)


def _labels(intent: Intent) -> str:
    columns: dict[str, list[str]] = {}
    for lift in intent.lifts[:3]:
        columns.setdefault(lift.column, []).append(f"{lift.label} ×{lift.lift:.1f}")
    return "; ".join(f"{column}: {', '.join(labels)}" for column, labels in columns.items())


def _nodes(
    branches: Sequence[Branch], parent: str, label: Callable[[int], str], root: int | None = None
) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    for place, one in enumerate(branches):
        intent, color = one.intent, place if root is None else root
        name = f"{intent.level}/{intent.index}"
        nodes.append(
            {
                "id": name,
                "parent": parent,
                "name": intent.name,
                "size": 0 if one.children else round(intent.soft_size, 6),
                "branch": color,
                "said": _said(intent, one.weight if root is not None else None, label),
            }
        )
        nodes += _nodes(one.children, name, label, color)
    return nodes


def _said(intent: Intent, weight: float | None, label: Callable[[int], str]) -> list[str]:
    said = [f"{intent.soft_size:.1%} of all assignments, {counted(intent.hard_size, 'item')}"]
    if weight is not None:
        said.append(f"to the intent above: {weight:.0%}")
    if intent.keywords:
        said.append(f"keywords: {', '.join(term for term, _ in intent.keywords[:_FEW])}")
    said += [label(item)[:TITLE] for item, _ in intent.typical[:_FEW]]
    return said
