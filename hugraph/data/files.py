"""Loads a dataset from a directory of plain files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
import polars as pl
import polars.selectors as cs
from annotated_types import Ge, Predicate

from hugraph.checks import check_options, distinct
from hugraph.data.dataset import Dataset
from hugraph.data.folder import Folder
from hugraph.data.ids import indices_of
from hugraph.data.interactions import InteractionColumns, read_interactions
from hugraph.data.modalities import Matrix, align, find_modalities, read_modality
from hugraph.data.oddities import with_oddities
from hugraph.data.table import Table, find_table, read_table
from hugraph.errors import DataError, SpecError, hint

PLANTED = "planted_"
"""Begins the names of the columns of an items file that hold a planted truth."""


def load_directory(
    *,
    path: str,
    modalities: Annotated[Sequence[str], Predicate(distinct)] | None = None,
    drop_nulls: bool = False,
    memory_map: bool = False,
    allow_outside: bool = False,
    max_bytes: Annotated[int, Ge(1)] = 8 * 2**30,
) -> Dataset:
    """Loads the dataset in a directory.

    `interactions` (`.csv`, `.csv.gz` or `.parquet`) has the columns `user` and `item`, and may have
    `timestamp` (whole numbers in one unit), `rating` (numbers) and `split` (`train`, `validation`
    or `val`, `test`). `items`, if there, has the column `item`, perhaps `title` and `text`, and any
    others. A modality is a file `<modality>.npy`, or `<modality>.tokens.csv` or `.parquet` with the
    columns `item` and `token`, where a pair may repeat.

    Row `i` of a matrix belongs to the `i`-th line of `<modality>.ids`, if that is there; else to
    the `i`-th row of the items file; else to the item whose id is the number `i`, and then every
    row is an item. With neither an items file nor such a matrix, the items are those interacted
    with.

    Ids are text and stay exactly as written. Users are numbered as they first appear. Of repeated
    pairs the first row stays. Features of unknown items are left out. All this is counted in the
    warnings. If there is a `SHA256SUMS`, what is read must match it.

    Args:
        path: The directory; a relative path counts from the current directory.
        modalities: Which ones to read; all that are there by default.
        drop_nulls: Leave out interactions that lack a value, instead of refusing them.
        memory_map: Leave feature matrices on disk that would not fit into memory. They must be
            float32 with rows in the order of the items, and stay as they are while they are used.
            HUIGN with a sampled hierarchy trains and ranks without holding them; other models, and
            filters that leave out items, read them.
        allow_outside: Follow links that lead out of the directory.
        max_bytes: Largest file that is read, and the most that a compressed one may expand to.

    Raises:
        DataError: If the data are missing, damaged or contradict themselves; names file and row.
        SpecError: If a modality is asked for that is not there.
        ResourceError: If the system refuses to read a file.
        ValueError: If a value is out of its range.
    """
    check_options(load_directory, modalities=modalities, max_bytes=max_bytes)
    folder = Folder(path, max_bytes=max_bytes, allow_outside=allow_outside)
    found = find_modalities(folder)
    chosen = _choose(modalities, found, folder)
    warnings: list[str] = []
    interactions = read_interactions(folder, drop_nulls=drop_nulls, warnings=warnings)
    items = _read_items(folder)
    item_ids = interactions.item_ids if items is None else items.frame["item"]
    raw: dict[str, Matrix | Table] = {}
    numbered = [m for m in chosen if found[m].endswith(".npy") and f"{m}.ids" not in folder.names]
    if items is None and numbered:
        first = raw[numbered[0]] = read_modality(
            folder, numbered[0], found[numbered[0]], memory_map=memory_map
        )
        item_ids = _numbers(first)
    item_indices = _item_indices(interactions, item_ids, items)
    truth = {} if items is None else _truth(items)
    features = {}
    for modality in chosen:  # one after the other: the raw bytes may take as much as the features
        part = raw.pop(modality, None) or read_modality(
            folder, modality, found[modality], memory_map=memory_map
        )
        features[modality] = align(part, modality, item_ids, warnings)
        del part
    _warn_of_twins(found, chosen, folder, warnings)
    dataset = Dataset(
        name=folder.path.resolve().name,
        synthetic=bool(truth),
        user_ids=interactions.user_ids.to_numpy().astype(object),
        item_ids=item_ids.to_numpy().astype(object),
        users=interactions.users,
        items=item_indices,
        timestamps=interactions.timestamps,
        ratings=interactions.ratings,
        given_split=interactions.given_split,
        item_table=None if items is None else items.frame.select(~cs.starts_with(PLANTED)),
        features=features,
        truth=truth,
        fingerprint=folder.fingerprint(),
        files=folder.digests,
        warnings=tuple(warnings),
    )
    return with_oddities(dataset)


def _choose(
    modalities: Sequence[str] | None, found: Mapping[str, str], folder: Folder
) -> list[str]:
    if modalities is None:
        return list(found)
    for modality in modalities:
        if modality not in found:
            raise SpecError(
                f"no modality {modality!r} in this dataset{hint(modality, found)}",
                at=str(folder.path),
                fix=f"add {modality}.npy, or ask for those that are there",
            )
    return list(modalities)


def _read_items(folder: Folder) -> Table | None:
    name = find_table(folder, "items")
    if name is None:
        return None
    table = read_table(folder, name, required=("item",))
    ids = table.frame["item"]
    faults = ids.is_null() | ~ids.is_first_distinct()
    if faults.any():
        first = int(faults.arg_max() or 0)
        raise DataError(
            f"{faults.sum():,} rows have no id or the id of an earlier row; "
            f"the first has {ids[first]!r}",
            at=table.at(first),
            fix="give each item one row and an id of its own",
        )
    return table._replace(frame=table.frame.fill_null(""))


def _numbers(matrix: Matrix | Table) -> pl.Series:
    """The ids of items that are rows of a matrix and nothing else."""
    assert isinstance(matrix, Matrix)
    return pl.int_range(len(matrix.values), eager=True).cast(pl.String)


def _item_indices(
    interactions: InteractionColumns, item_ids: pl.Series, items: Table | None
) -> np.ndarray:
    """The index among `item_ids` of the item of each interaction."""
    item_of = indices_of(interactions.item_ids, item_ids)
    unknown = item_of < 0
    if unknown.any():
        table = interactions.table
        first = int(unknown[interactions.items].argmax())
        examples = ", ".join(map(repr, interactions.item_ids.filter(pl.Series(unknown))[:5]))
        known = f"no row in the items file ({len(item_ids):,} rows)"
        if items is None:
            known = f"no row in the feature matrices (items 0 to {len(item_ids) - 1:,})"
        raise DataError(
            f"{unknown.sum():,} items of the interactions have {known}: {examples}",
            at=table.at(first),
            fix="add rows for them, or leave their interactions out"
            + ("" if items is not None else "; or add an items file that names the rows"),
        )
    return item_of[interactions.items]


def _truth(items: Table) -> dict[str, np.ndarray]:
    planted = items.frame.select(cs.starts_with(PLANTED))
    labels = planted.cast(pl.Int64, strict=False)
    for column in labels:
        if column.has_nulls():
            raise DataError(
                f"column {column.name!r} must hold a whole number for each item",
                at=items.at(int(column.is_null().arg_max() or 0)),
                fix=f"correct it, or drop the columns that begin with {PLANTED}",
            )
    return {column.name.removeprefix(PLANTED): column.to_numpy(writable=True) for column in labels}


def _warn_of_twins(
    found: Mapping[str, str], chosen: Sequence[str], folder: Folder, warnings: list[str]
) -> None:
    twins = defaultdict(list)
    for modality in chosen:
        twins[folder.digests[found[modality]]].append(modality)
    warnings += [
        f"{' and '.join(names)} are the same file" for names in twins.values() if names[1:]
    ]
