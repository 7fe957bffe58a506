"""What a dataset is, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hugraph.data.dataset import Dataset
from hugraph.data.features import constant_columns, repeated_columns
from hugraph.data.split import Split
from hugraph.interfaces import TokenBag

_QUANTILES = {"min": 0.0, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}


@dataclass(frozen=True)
class ModalityDescription:
    """One modality of a dataset.

    Attributes:
        kind: `matrix` or `tokens`.
        shape: Items and columns, or items and distinct tokens.
        missing: Items that lack the modality.
        mean_norm: Mean Euclidean norm of the rows that are there; of a token bag, its mean size.
        constant_columns: Columns with one value; 0 for tokens.
        repeated_columns: Columns that equal an earlier one; 0 for tokens.
    """

    kind: str
    shape: tuple[int, int]
    missing: int
    mean_norm: float
    constant_columns: int
    repeated_columns: int


@dataclass(frozen=True)
class Description:
    """A dataset in numbers; `dataclasses.asdict` makes it ready for JSON.

    Attributes:
        name: Name of the dataset.
        synthetic: Whether it was drawn from a planted model.
        fingerprint: SHA-256 over its files.
        users: Number of users.
        items: Number of items.
        interactions: Number of distinct pairs.
        sparsity: Share of all pairs without an interaction, 0 to 1.
        user_degrees: Quantiles of the interactions of a user.
        item_degrees: Quantiles of the interactions of an item.
        timestamps: First and last, in the unit of the file, or none.
        ratings: Lowest and highest, or none.
        titles: Items with a title.
        modalities: By name.
        split: Counts of a split, as in [`Split`][hugraph.data.split.Split]; empty without one.
        bytes: Memory that interactions and features take.
        warnings: What the reader should know.
    """

    name: str
    synthetic: bool
    fingerprint: str
    users: int
    items: int
    interactions: int
    sparsity: float
    user_degrees: Mapping[str, int]
    item_degrees: Mapping[str, int]
    timestamps: tuple[int, int] | None
    ratings: tuple[float, float] | None
    titles: int
    modalities: Mapping[str, ModalityDescription]
    split: Mapping[str, int]
    bytes: int
    warnings: tuple[str, ...]


def describe(dataset: Dataset, split: Split | None = None) -> Description:
    """Counts what there is to know of a dataset, and of a split of it."""
    pairs = dataset.num_users * dataset.num_items
    times, ratings = dataset.timestamps, dataset.ratings
    return Description(
        name=dataset.name,
        synthetic=dataset.synthetic,
        fingerprint=dataset.fingerprint,
        users=dataset.num_users,
        items=dataset.num_items,
        interactions=dataset.num_interactions,
        sparsity=1 - dataset.num_interactions / pairs,
        user_degrees=_quantiles(np.bincount(dataset.users, minlength=dataset.num_users)),
        item_degrees=_quantiles(np.bincount(dataset.items, minlength=dataset.num_items)),
        timestamps=None if times is None else (int(times.min()), int(times.max())),
        ratings=None if ratings is None else (float(ratings.min()), float(ratings.max())),
        titles=sum(bool(dataset.title(item)) for item in range(dataset.num_items)),
        modalities={modality: _modality(dataset, modality) for modality in dataset.features},
        split={} if split is None else dict(split.counts),
        bytes=_bytes(dataset),
        warnings=dataset.warnings,
    )


def _modality(dataset: Dataset, modality: str) -> ModalityDescription:
    features, present = dataset.features[modality], dataset.present(modality)
    missing = int((~present).sum())
    if isinstance(features, TokenBag):
        size = len(features.tokens) / max(int(present.sum()), 1)
        return ModalityDescription(
            "tokens", (dataset.num_items, features.num_tokens), missing, size, 0, 0
        )
    constant = constant_columns(features)
    return ModalityDescription(
        kind="matrix",
        shape=(dataset.num_items, features.shape[1]),
        missing=missing,
        mean_norm=float(np.linalg.norm(features[present], axis=1).mean()) if present.any() else 0.0,
        constant_columns=int(constant.sum()),
        repeated_columns=int((repeated_columns(features) & ~constant).sum()),
    )


def _quantiles(degrees: np.ndarray) -> dict[str, int]:
    values = np.quantile(degrees, list(_QUANTILES.values()), method="inverted_cdf")
    return dict(zip(_QUANTILES, values.astype(int).tolist(), strict=True))


def _bytes(dataset: Dataset) -> int:
    columns = (dataset.users, dataset.items, dataset.timestamps, dataset.ratings)
    total = sum(column.nbytes for column in columns if column is not None)
    for features in dataset.features.values():
        if isinstance(features, TokenBag):
            total += features.tokens.nbytes + features.offsets.nbytes
        else:
            total += features.nbytes
    return total
