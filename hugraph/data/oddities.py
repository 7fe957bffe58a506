"""What a reader should know of a dataset as it stands, whatever it was before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hugraph.data.dataset import Dataset
from hugraph.data.features import constant_columns, repeated_columns
from hugraph.data.ids import lookalikes
from hugraph.interfaces import TokenBag


def with_oddities(dataset: Dataset, before: Dataset | None = None) -> Dataset:
    """The dataset with a warning of each oddity, in numbers that are true of it.

    Args:
        dataset: What is looked at.
        before: What it was made of; warnings of the oddities of `before` are left out.
    """
    outdated = set() if before is None else set(_oddities(before))
    kept = [warning for warning in dataset.warnings if warning not in outdated]
    return replace(dataset, warnings=(*kept, *_oddities(dataset)))


def _oddities(dataset: Dataset) -> Iterator[str]:
    for kind, ids in (("user", dataset.user_ids), ("item", dataset.item_ids)):
        if pairs := lookalikes(ids.tolist()):
            one, other = pairs[0]
            yield f"{len(pairs):,} {kind} ids look like others, as {one!r} and {other!r}"
    idle = dataset.num_items - len(np.unique(dataset.items))
    if idle:
        yield f"{idle:,} of {dataset.num_items:,} items have no interaction"
    full = np.count_nonzero(np.bincount(dataset.users) == dataset.num_items)
    if full:
        yield f"{full:,} users have every item, nothing can be recommended to them"
    for modality, features in dataset.features.items():
        if not isinstance(features, TokenBag):
            constant = constant_columns(features)
            repeated = repeated_columns(features) & ~constant
            for kind, columns in (("constant", constant), ("repeated", repeated)):
                if columns.any():
                    yield f"{modality}: {columns.sum():,} of {len(columns):,} columns {kind}"
        missing = np.count_nonzero(~dataset.present(modality))
        if missing:
            yield f"{modality}: {missing:,} of {dataset.num_items:,} items lack it"
