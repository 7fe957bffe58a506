"""Leaves out interactions, and with them the users and items that have none left."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge

from hugraph.data.dataset import Dataset
from hugraph.data.oddities import with_oddities
from hugraph.errors import DataError
from hugraph.interfaces import TokenBag


def filter_interactions(
    dataset: Dataset, *, k_core: Annotated[int, Ge(0)] = 0, min_rating: float | None = None
) -> Dataset:
    """The dataset restricted to liked items and to its k-core.

    First interactions rated below `min_rating` go, then, until nothing changes, those of users and
    items with fewer than `k_core` interactions. Users and items without an interaction then leave
    the dataset with their ids, features and table rows, and the warnings count anew. Without either
    option the dataset comes back as it is, cold items included.

    Args:
        dataset: What to restrict.
        k_core: Fewest interactions of a user and of an item that stay; 0 for no limit.
        min_rating: Lowest rating that counts as an interaction.

    Raises:
        DataError: If nothing remains, or `min_rating` is given and there are no ratings.
    """
    if not k_core and min_rating is None:
        return dataset
    keep = np.ones(dataset.num_interactions, dtype=bool)
    if min_rating is not None:
        if dataset.ratings is None:
            raise DataError(
                f"min_rating {min_rating} asks for ratings, there are none",
                at=dataset.name,
                fix="add a rating column to the interactions, or drop min_rating",
            )
        keep = dataset.ratings >= min_rating
    changed = True
    while changed:
        user_degrees = np.bincount(dataset.users[keep], minlength=dataset.num_users)
        item_degrees = np.bincount(dataset.items[keep], minlength=dataset.num_items)
        core = keep & (user_degrees[dataset.users] >= k_core)
        core &= item_degrees[dataset.items] >= k_core
        changed = bool((core != keep).any())
        keep = core
    options = f"k_core {k_core}, min_rating {min_rating}"
    if not keep.any():
        raise DataError(
            f"nothing remains of {dataset.num_interactions:,} interactions with {options}",
            at=dataset.name,
            fix="lower k_core or min_rating",
        )
    smaller = with_oddities(_restrict(dataset, keep), before=dataset)
    report = (
        f"filtered with {options}: "
        f"interactions {dataset.num_interactions:,} → {smaller.num_interactions:,}, "
        f"users {dataset.num_users:,} → {smaller.num_users:,}, "
        f"items {dataset.num_items:,} → {smaller.num_items:,}"
    )
    return replace(smaller, warnings=(*smaller.warnings, report))


def _restrict(dataset: Dataset, keep: np.ndarray) -> Dataset:
    users, user_of = np.unique(dataset.users[keep], return_inverse=True)
    items, item_of = np.unique(dataset.items[keep], return_inverse=True)

    def kept(column: np.ndarray | None) -> np.ndarray | None:
        return None if column is None else column[keep]

    return replace(
        dataset,
        user_ids=dataset.user_ids[users],
        item_ids=dataset.item_ids[items],
        users=user_of,
        items=item_of,
        timestamps=kept(dataset.timestamps),
        ratings=kept(dataset.ratings),
        given_split=kept(dataset.given_split),
        item_table=None if dataset.item_table is None else dataset.item_table[items],
        features={
            modality: _bags(features, items) if isinstance(features, TokenBag) else features[items]
            for modality, features in dataset.features.items()
        },
        truth={level: labels[items] for level, labels in dataset.truth.items()},
    )


def _bags(bag: TokenBag, items: np.ndarray) -> TokenBag:
    kept = torch.from_numpy(items)
    sizes = bag.offsets.diff()
    keep = torch.zeros(len(sizes), dtype=torch.bool)
    keep[kept] = True
    return TokenBag(
        tokens=bag.tokens[keep.repeat_interleave(sizes)],
        offsets=torch.cat([torch.zeros(1, dtype=torch.int64), sizes[kept].cumsum(0)]),
        num_tokens=bag.num_tokens,
    )
