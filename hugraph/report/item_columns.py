"""What is known of items, as columns of a table: titles, ids, and their strongest intents."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hugraph.data.dataset import Dataset
from hugraph.interfaces import IntentColumn, IntentModel, Recommender
from hugraph.report.assignments import assignment_steps, item_assignments


def item_columns(
    model: Recommender,
    dataset: Dataset,
    items: NDArray[np.int64],
    names: Mapping[IntentColumn, str],
) -> dict[str, list[str]]:
    """Title and raw id of items, and for each modality and level the intent they have most of.

    Args:
        model: With the weights to look at; one without intents gives no columns of them.
        dataset: What it was fitted on; if it has no titles, neither has the table.
        items: Which items, `(n,)`.
        names: Of intents by modality, level and index; others go by their numbers.

    Returns:
        By the name of the column, a text for each item.
    """
    columns = {"title": [dataset.title(item) for item in items.tolist()]}
    if not any(columns["title"]):
        columns = {}
    columns["item"] = [str(dataset.item_ids[item]) for item in items]
    if isinstance(model, IntentModel):
        for modality, steps in assignment_steps(model).items():
            for level, assignment in enumerate(item_assignments(steps), start=1):
                columns[f"{modality} {level}"] = [
                    names.get(IntentColumn(modality, level, intent), f"intent {intent}")
                    for intent in assignment[items].argmax(axis=1).tolist()
                ]
    return columns
