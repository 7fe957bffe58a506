"""Which interactions a model learns from, chooses by, and is judged on."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from hugraph.data.dataset import Dataset
from hugraph.data.folder import Folder
from hugraph.data.ids import indices_of
from hugraph.data.table import read_table
from hugraph.errors import DataError

TRAIN, VALIDATION, TEST = 0, 1, 2
PARTS = ("train", "validation", "test")


class Pairs(NamedTuple):
    """Interactions of one part, aligned, in the order of the dataset."""

    users: np.ndarray  # (num_interactions of the part,) int64
    items: np.ndarray  # (num_interactions of the part,) int64


@dataclass(frozen=True, eq=False)
class Split:
    """A dataset's interactions in three parts.

    Attributes:
        train: What models learn from and graphs are built of.
        validation: What early stopping and choices look at; may be empty.
        test: What is looked at once, at the end.
        hash: SHA-256 over raw ids and parts. It depends neither on the order of rows nor on the
            numbering of users and items.
        counts: Interactions of each part, and what a reader should know of them:
            `users_without_training` (of all users), `cold_items_in_validation` and
            `cold_items_in_test` (items there without a training interaction),
            `items_without_interactions` (in any part).
    """

    train: Pairs
    validation: Pairs
    test: Pairs
    hash: str
    counts: Mapping[str, int]


def make_split(dataset: Dataset, parts: np.ndarray) -> Split:
    """Takes the interactions of `dataset` apart.

    Args:
        dataset: Holds the interactions.
        parts: Part of each, `(num_interactions,)`: `TRAIN`, `VALIDATION` or `TEST`.

    Raises:
        ValueError: If `parts` does not fit the interactions.
        DataError: If nothing is left to train on or to test with.
    """
    if len(parts) != dataset.num_interactions:
        raise ValueError(f"{len(parts)} parts for {dataset.num_interactions} interactions")
    if not np.isin(parts, (TRAIN, VALIDATION, TEST)).all():
        raise ValueError(f"parts must be 0, 1 or 2, got {np.unique(parts)}")
    pairs = [Pairs(dataset.users[parts == p], dataset.items[parts == p]) for p in range(3)]
    train, validation, test = pairs
    for part in (TRAIN, TEST):
        if not len(pairs[part].users):
            raise DataError(
                f"no {PARTS[part]} interaction among {dataset.num_interactions:,}",
                at=dataset.name,
                fix="choose another split scheme or other ratios",
            )
    counts = {part: len(pairs[p].users) for p, part in enumerate(PARTS)}
    trained_users = np.bincount(train.users, minlength=dataset.num_users) > 0
    occurs = [np.bincount(part.items, minlength=dataset.num_items) > 0 for part in pairs]
    counts["users_without_training"] = int((~trained_users).sum())
    for p in (VALIDATION, TEST):
        counts[f"cold_items_in_{PARTS[p]}"] = int((occurs[p] & ~occurs[TRAIN]).sum())
    counts["items_without_interactions"] = int((~np.logical_or.reduce(occurs)).sum())
    return Split(train, validation, test, hash=_hash(dataset, parts), counts=counts)


def encode_split(split: Split, dataset: Dataset) -> bytes:
    """A split as a Parquet file with the columns `user`, `item` (raw ids) and `split`."""
    frames = [
        pl.DataFrame(
            {
                "user": dataset.user_ids[pairs.users],
                "item": dataset.item_ids[pairs.items],
                "split": [part] * len(pairs.users),
            },
            schema={"user": pl.String, "item": pl.String, "split": pl.String},
        )
        for part, pairs in zip(PARTS, (split.train, split.validation, split.test), strict=True)
    ]
    buffer = io.BytesIO()
    pl.concat(frames).write_parquet(buffer)
    return buffer.getvalue()


def read_split(path: str | Path, dataset: Dataset) -> Split:
    """Reads what [`encode_split`][hugraph.data.split.encode_split] made.

    Raises:
        DataError: If the file is damaged, or its interactions are not exactly those of `dataset`.
    """
    path = Path(path)
    table = read_table(Folder(path.parent), path.name, required=("user", "item", "split"))
    parts = table.frame["split"].replace_strict(PARTS, range(3), default=None)
    users = indices_of(table.frame["user"], dataset.user_ids)
    items = indices_of(table.frame["item"], dataset.item_ids)
    known = (users >= 0) & (items >= 0) & parts.is_not_null().to_numpy()
    stored = users * dataset.num_items + items
    wanted = dataset.users * dataset.num_items + dataset.items
    order = np.argsort(wanted)
    if not known.all() or not np.array_equal(np.sort(stored), wanted[order]):
        raise DataError(
            f"the split has {len(stored):,} interactions, and they are not the "
            f"{len(wanted):,} of dataset {dataset.name!r}",
            at=str(path),
            fix="use the data and filters that the split was made from",
        )
    aligned = np.empty(len(wanted), dtype=np.int8)
    aligned[order] = parts.to_numpy()[np.argsort(stored)]
    return make_split(dataset, aligned)


def _hash(dataset: Dataset, parts: np.ndarray) -> str:
    digest = hashlib.sha256()
    columns = []
    for ids, indices in ((dataset.user_ids, dataset.users), (dataset.item_ids, dataset.items)):
        used = np.flatnonzero(np.bincount(indices, minlength=len(ids)))
        used = used[np.argsort(ids[used])]
        digest.update(json.dumps(ids[used].tolist()).encode())
        rank = np.empty(len(ids), dtype=np.int64)
        rank[used] = np.arange(len(used))
        columns.append(rank[indices])
    order = np.lexsort((columns[1], columns[0]))
    for column in (*columns, parts):
        digest.update(column[order].astype("<i8").tobytes())
    return digest.hexdigest()
