"""From a model and its intents to what pictures show of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hugraph.interfaces import DotProduct, IntentModel, Recommender
from hugraph.report.assignments import assignment_steps, item_assignments
from hugraph.report.intents import IntentLevel
from hugraph.report.runs import Epoch
from hugraph.report.tree import in_order, intent_tree, telling


class Series(NamedTuple):
    """What was measured in some epochs."""

    epochs: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True)
class ItemSpace:
    """Items as one modality of a model has them.

    Attributes:
        vectors: `(num_items, dim)`: distributions over the intents of all levels; of a model
            without intents, its item vectors.
        levels: Those that tell items apart, the finest first; none of a model without intents.
        strongest: Of each of these levels, the strongest intent of each item, `(num_items,)`.
    """

    vectors: NDArray[np.float64]
    levels: tuple[IntentLevel, ...]
    strongest: tuple[NDArray[np.int64], ...]


def by_modality(levels: Sequence[IntentLevel]) -> dict[str, tuple[IntentLevel, ...]]:
    """The levels of each modality, the finest first."""
    grouped = groupby(levels, key=lambda level: level.modality)
    return {modality: tuple(own) for modality, own in grouped}


def item_spaces(model: Recommender, levels: Sequence[IntentLevel] = ()) -> dict[str, ItemSpace]:
    """The items as each modality has them; nothing of a model without vectors of items.

    Args:
        model: With the weights to look at.
        levels: Its intents, if it has any.
    """
    if not isinstance(model, IntentModel):
        with torch.no_grad():
            scorer = model.scorer()
        if not isinstance(scorer, DotProduct):
            return {}
        return {"items": ItemSpace(scorer.items.detach().double().cpu().numpy(), (), ())}
    spaces = {}
    described = by_modality(levels)
    for modality, steps in assignment_steps(model).items():
        chained = item_assignments(steps)
        shown = telling(described[modality])
        strongest = tuple(one.argmax(axis=1) for one in chained[: len(shown)])
        spaces[modality] = ItemSpace(np.concatenate(chained, axis=1), shown, strongest)
    return spaces


class Heat(NamedTuple):
    """A matrix of weights."""

    title: str
    weights: NDArray[np.floating]  # (num_rows, num_columns)
    rows: Sequence[str]  # their names; none for items
    columns: Sequence[str]  # their names


def ordered_assignments(
    model: IntentModel, levels: Sequence[IntentLevel]
) -> dict[str, tuple[Heat, ...]]:
    """The assignments of each level of each modality, alike beside alike.

    Intents stand as in the [tree][hugraph.report.tree.intent_tree], those of a level that it leaves
    out by their size; items by their strongest intent. Intents that the tree leaves out for want of
    items are left out.

    Args:
        model: With the weights to look at.
        levels: Its intents.
    """
    found = {}
    described = by_modality(levels)
    for modality, steps in assignment_steps(model).items():
        own = described[modality]
        orders = in_order(intent_tree(own))
        for level in own[len(orders) :]:
            largest = sorted(level.intents, key=lambda one: -one.soft_size)
            orders.append([intent.index for intent in largest])
        place = np.full(steps[0].shape[1], len(orders[0]))
        place[orders[0]] = np.arange(len(orders[0]))
        items = np.lexsort((-steps[0].max(axis=1), place[steps[0].argmax(axis=1)]))
        rows, names = items.tolist(), [""] * len(items)
        heats = []
        for level, step, columns in zip(own, steps, orders, strict=True):
            shown = [level.intents[column].name for column in columns]
            below = "items" if level.level == 1 else f"level {level.level - 1}"
            title = f"{below} to level {level.level}"
            heats.append(
                Heat(title, step[np.ix_(rows, columns)], names if any(names) else (), shown)
            )
            rows, names = columns, shown
        found[modality] = tuple(heats)
    return found


def measured(epochs: Sequence[Epoch]) -> dict[str, dict[str, Series]]:
    """By loss term and by kind of validation metric, then by line, what was measured.

    Args:
        epochs: Of one run.
    """
    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for epoch in epochs:
        for term, value in epoch.terms.items():
            panels.setdefault(term, {}).setdefault(term, []).append((epoch.number, value))
    for epoch in epochs:
        for metric, value in epoch.validation.items():
            kind = f"validation {metric.partition('@')[0]}"
            panels.setdefault(kind, {}).setdefault(metric, []).append((epoch.number, value))
    return {
        name: {line: Series(*map(list, zip(*pairs, strict=True))) for line, pairs in lines.items()}
        for name, lines in panels.items()
    }
