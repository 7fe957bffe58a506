"""The one record in which interactions, items, features and raw ids travel together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

import numpy as np
import polars as pl

from hugraph.data.features import present_rows
from hugraph.errors import DataError
from hugraph.interfaces import TokenBag


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Users, items, what users did with items, and what is known of the items.

    Everything is aligned by index: user `u` is `user_ids[u]`, item `i` is `item_ids[i]`, row `i` of
    `item_table`, row `i` of every feature matrix and bag `i` of every token bag. Interaction `n` is
    `(users[n], items[n])`, and each pair stands there once.

    Attributes:
        name: What people call it.
        synthetic: Whether it was drawn from a planted model; shown wherever the dataset is.
        user_ids: Raw user ids, `(num_users,)`, distinct strings.
        item_ids: Raw item ids, `(num_items,)`, distinct strings.
        users: User of each interaction, `(num_interactions,)`, int64.
        items: Item of each interaction, `(num_interactions,)`, int64.
        timestamps: Time of each interaction, `(num_interactions,)`, int64, in the unit of its file.
        ratings: Rating of each interaction, `(num_interactions,)`, float64.
        given_split: Part of each interaction in the split that came with the data,
            `(num_interactions,)`, int8: `TRAIN`, `VALIDATION` or `TEST` of `hugraph.data.split`.
        item_table: What is known of the items, one row each, all columns text; `title` is shown.
        features: By modality, a float32 matrix `(num_items, dim)`, in which a row of zeros means
            that the item lacks the modality, or a bag of tokens per item. A `np.memmap` of float32
            stays on disk.
        truth: Planted intent of each item, `(num_items,)`, int64, by level: `level_1` holds the
            finest. Empty for real data.
        fingerprint: SHA-256 over the files, or over the arrays of a planted dataset.
        files: SHA-256 of each file that was read, by name.
        warnings: What the reader should know, one sentence each.

    Raises:
        ValueError: If an array does not fit the others, an index is out of range, or a pair is
            repeated.
        DataError: If there are fewer than two users, two items or one interaction.
    """

    name: str
    user_ids: np.ndarray
    item_ids: np.ndarray
    users: np.ndarray
    items: np.ndarray
    fingerprint: str
    synthetic: bool = False
    timestamps: np.ndarray | None = None
    ratings: np.ndarray | None = None
    given_split: np.ndarray | None = None
    item_table: pl.DataFrame | None = None
    features: Mapping[str, np.ndarray | TokenBag] = field(default_factory=dict)
    truth: Mapping[str, np.ndarray] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes = {
            "users": self.num_users,
            "items": self.num_items,
            "interactions": self.num_interactions,
        }
        if min(self.num_users, self.num_items) < 2 or self.num_interactions < 1:
            raise DataError(
                ", ".join(f"{size} {kind}" for kind, size in sizes.items()) + " in the dataset",
                at=self.name,
                fix="give at least 2 users, 2 items and 1 interaction",
            )
        for kind in ("items", "timestamps", "ratings", "given_split"):
            column = getattr(self, kind)
            if column is not None and len(column) != len(self.users):
                raise ValueError(f"{len(column)} {kind} for {len(self.users)} interactions")
        for kind, indices in (("users", self.users), ("items", self.items)):
            if indices.min() < 0 or indices.max() >= sizes[kind]:
                raise ValueError(
                    f"{kind} run from {indices.min()} to {indices.max()}, "
                    f"must lie in [0, {sizes[kind]})"
                )
        pairs = np.sort(self.users * self.num_items + self.items)
        repeated = np.count_nonzero(pairs[1:] == pairs[:-1])
        if repeated:
            raise ValueError(f"{repeated} of {len(self.users)} interactions repeat a pair")
        rows: dict[str, int] = {level: len(labels) for level, labels in self.truth.items()}
        if self.item_table is not None:
            rows["item_table"] = len(self.item_table)
        for modality, features in self.features.items():
            per_item = features.offsets[1:] if isinstance(features, TokenBag) else features
            rows[modality] = len(per_item)
        for kind, count in rows.items():
            if count != self.num_items:
                raise ValueError(f"{kind} has {count} rows for {self.num_items} items")

    @property
    def num_users(self) -> int:
        """How many users there are."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """How many items there are."""
        return len(self.item_ids)

    @property
    def num_interactions(self) -> int:
        """How many interactions there are."""
        return len(self.users)

    def user_index(self, raw_id: str) -> int:
        """The index of a raw user id.

        Raises:
            DataError: If no user has that id; names the ids that look like it.
        """
        return _index("user", raw_id, self._user_indices)

    def item_index(self, raw_id: str) -> int:
        """The index of a raw item id.

        Raises:
            DataError: If no item has that id; names the ids that look like it.
        """
        return _index("item", raw_id, self._item_indices)

    def title(self, item: int) -> str:
        """The title of the item with index `item`, or an empty string where none is known."""
        if self.item_table is None or "title" not in self.item_table.columns:
            return ""
        return str(self.item_table["title"][item])

    def present(self, modality: str) -> np.ndarray:
        """Which items have the modality: bool `(num_items,)`."""
        features = self.features[modality]
        if isinstance(features, TokenBag):
            return np.diff(features.offsets.numpy()) > 0
        return present_rows(features)

    @cached_property
    def _user_indices(self) -> dict[str, int]:
        return {raw_id: index for index, raw_id in enumerate(self.user_ids)}

    @cached_property
    def _item_indices(self) -> dict[str, int]:
        return {raw_id: index for index, raw_id in enumerate(self.item_ids)}


def _index(kind: str, raw_id: str, indices: dict[str, int]) -> int:
    if raw_id in indices:
        return indices[raw_id]
    near = get_close_matches(raw_id, indices, n=3) or list(indices)[:3]
    raise DataError(
        f"{kind} {raw_id!r} is not in this dataset ({len(indices):,} {kind}s)",
        fix=f"use the id as the data spells it, for example {', '.join(map(repr, near))}",
    )
