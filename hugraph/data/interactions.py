"""Reads the interactions of a dataset and refuses what cannot be trusted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from hugraph.data.folder import Folder
from hugraph.data.ids import indices_of
from hugraph.data.split import PARTS, TEST, TRAIN, VALIDATION
from hugraph.data.table import Table, find_table, read_table
from hugraph.errors import DataError

_COLUMNS = ("user", "item", "timestamp", "rating", "split")
_SPLIT_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
}
_TIME_UNITS = {"seconds": 0, "milliseconds": 10**11, "microseconds": 10**14, "nanoseconds": 10**17}
_EXAMPLES = 5


class InteractionColumns(NamedTuple):
    """Interactions as read, each pair once, in the order of the file."""

    user_ids: pl.Series  # (num_users,) text, in order of first appearance
    item_ids: pl.Series  # (num_items,) text, in order of first appearance
    users: np.ndarray  # (num_interactions,) int64, indices into user_ids
    items: np.ndarray  # (num_interactions,) int64, indices into item_ids
    timestamps: np.ndarray | None  # (num_interactions,) int64
    ratings: np.ndarray | None  # (num_interactions,) float64
    given_split: np.ndarray | None  # (num_interactions,) int8
    table: Table  # the same rows as text, to name places in messages


def read_interactions(
    folder: Folder, *, drop_nulls: bool, warnings: list[str]
) -> InteractionColumns:
    """Reads `interactions.csv`, `.csv.gz` or `.parquet`.

    Args:
        folder: The dataset's directory.
        drop_nulls: Leave out rows that lack a value, instead of refusing them.
        warnings: Takes what the reader should know.

    Raises:
        DataError: If there is no such file, or a row cannot be used; names the row.
    """
    name = find_table(folder, "interactions")
    if name is None:
        raise DataError(
            "no interactions.csv, interactions.csv.gz or interactions.parquet",
            at=str(folder.path),
            fix=f"add one; the directory has: {folder.listing()}",
        )
    table = read_table(folder, name, required=("user", "item"), known=_COLUMNS)
    table = _without_nulls(table, drop_nulls, warnings)
    if table.frame.is_empty():
        raise DataError("0 interactions", at=table.path, fix="add a row for each interaction")
    for kind in ("user", "item"):
        _examine_float_ids(table, kind, warnings)
    columns = set(table.frame.columns)
    user_ids, item_ids = (table.frame[k].unique(maintain_order=True) for k in ("user", "item"))
    read = InteractionColumns(
        user_ids=user_ids,
        item_ids=item_ids,
        users=indices_of(table.frame["user"], user_ids),
        items=indices_of(table.frame["item"], item_ids),
        timestamps=_timestamps(table) if "timestamp" in columns else None,
        ratings=_ratings(table) if "rating" in columns else None,
        given_split=_given_split(table) if "split" in columns else None,
        table=table,
    )
    return _merged(read, warnings)


def _without_nulls(table: Table, drop_nulls: bool, warnings: list[str]) -> Table:
    frame = table.frame
    lacking = frame.select(pl.any_horizontal(pl.all().is_null())).to_series().to_numpy()
    if not lacking.any():
        return table
    counts = [f"{n:,} without {c}" for c, n in frame.null_count().row(0, named=True).items() if n]
    if not drop_nulls:
        first = ", ".join(map(str, table.rows[lacking][:_EXAMPLES]))
        raise DataError(
            f"{lacking.sum():,} interactions lack a value ({', '.join(counts)}); "
            f"the first in rows {first}",
            at=table.path,
            fix="fill them in, or set drop_nulls: true to leave these rows out",
        )
    warnings.append(f"{lacking.sum():,} interactions left out that lack a value")
    return table._replace(frame=frame.filter(~lacking), rows=table.rows[~lacking])


def _examine_float_ids(table: Table, kind: str, warnings: list[str]) -> None:
    column = table.frame[kind]
    floats = column.str.contains(r"^-?[0-9]+\.0+$")
    if floats.all():
        raise DataError(
            f"all {kind} ids are floats, as {column[0]!r}: ids must be text or whole numbers",
            at=f"{table.path}, column {kind}",
            fix="write them without the decimal point",
        )
    if floats.any():
        found = column.filter(floats)
        warnings.append(f"{found.n_unique():,} {kind} ids are floats, as {found[0]!r}, others not")


def _timestamps(table: Table) -> np.ndarray:
    numbers = table.frame["timestamp"].str.strip_chars().cast(pl.Int64, strict=False)
    unusable = (numbers.is_null() | (numbers < 0).fill_null(False)).to_numpy()
    _refuse(table, "timestamp", unusable, "no whole number of 0 or more", "write epoch seconds")
    times = numbers.to_numpy(writable=True)
    units = np.searchsorted(list(_TIME_UNITS.values()), times, side="right") - 1
    names = list(_TIME_UNITS)
    _refuse(
        table,
        "timestamp",
        units != units[0],
        f"in {names[units[(units != units[0]).argmax()]]}, while row {table.rows[0]} is in "
        f"{names[units[0]]} ({times[0]})",
        "write all timestamps in one unit",
    )
    return times


def _ratings(table: Table) -> np.ndarray:
    numbers = table.frame["rating"].str.strip_chars().cast(pl.Float64, strict=False)
    unusable = ~numbers.is_finite().fill_null(False).to_numpy()
    _refuse(table, "rating", unusable, "no finite number", "write 3.5, with a decimal point")
    return numbers.to_numpy(writable=True)


def _given_split(table: Table) -> np.ndarray:
    names = table.frame["split"].str.strip_chars().str.to_lowercase()
    codes = names.replace_strict(_SPLIT_NAMES, default=-1, return_dtype=pl.Int8)
    parts = codes.to_numpy(writable=True)
    known = ", ".join(_SPLIT_NAMES)
    _refuse(table, "split", parts < 0, "no part of a split", f"write one of: {known}")
    return parts


def _refuse(table: Table, column: str, bad: np.ndarray, why: str, fix: str) -> None:
    if bad.any():
        first = int(bad.argmax())
        raise DataError(
            f"{column} {table.frame[column][first]!r} is {why} ({bad.sum():,} such rows)",
            at=f"{table.at(first)}, column {column}",
            fix=fix,
        )


def _merged(read: InteractionColumns, warnings: list[str]) -> InteractionColumns:
    pairs = read.users * len(read.item_ids) + read.items
    _, first, group = np.unique(pairs, return_index=True, return_inverse=True)
    repeats = len(pairs) - len(first)
    if not repeats:
        return read
    if read.given_split is not None:
        _refuse_leaks(read, read.given_split, first[group])
    warnings.append(f"{repeats:,} repeated interactions merged; the first row of each stays")
    keep = np.sort(first)

    def kept(column: np.ndarray | None) -> np.ndarray | None:
        return None if column is None else column[keep]

    return read._replace(
        users=read.users[keep],
        items=read.items[keep],
        timestamps=kept(read.timestamps),
        ratings=kept(read.ratings),
        given_split=kept(read.given_split),
        table=read.table._replace(frame=read.table.frame[keep], rows=read.table.rows[keep]),
    )


def _refuse_leaks(read: InteractionColumns, parts: np.ndarray, first: np.ndarray) -> None:
    leaks = np.flatnonzero(parts != parts[first])
    if len(leaks):
        examples = "; ".join(
            f"user {user!r}, item {item!r} in {PARTS[parts[first[row]]]} (row "
            f"{read.table.rows[first[row]]}) and {PARTS[parts[row]]} (row {read.table.rows[row]})"
            for row in leaks[:_EXAMPLES].tolist()
            for user, item in [read.table.frame.select("user", "item").row(row)]
        )
        raise DataError(
            f"{len(leaks):,} interactions stand in two parts of the given split: {examples}",
            at=read.table.path,
            fix="keep each pair of user and item in one part, or drop the column split",
        )
