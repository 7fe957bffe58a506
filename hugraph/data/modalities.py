"""Reads what is known of items by modality and aligns it with the items of a dataset."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import polars as pl
import torch

from hugraph.data.features import checked_float32
from hugraph.data.folder import Folder
from hugraph.data.ids import indices_of
from hugraph.data.npy import map_npy, parse_npy
from hugraph.data.table import Table, find_table, read_table
from hugraph.errors import DataError
from hugraph.interfaces import TokenBag


class Matrix(NamedTuple):
    """A feature matrix as it stands in its file."""

    values: np.ndarray  # (num_rows, dim), any real number type
    ids: pl.Series | None  # (num_rows,) raw item ids, if the modality came with a list of them
    path: str


def is_file_name(modality: str) -> bool:
    """A name in letters, digits, _ and -, other than interactions and items.

    It begins with a letter or digit. No other name becomes a file, so none leaves its directory.
    """
    named = re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]*", modality)
    return named is not None and modality.lower() not in ("interactions", "items")


def find_modalities(folder: Folder) -> dict[str, str]:
    """The file of each modality in a dataset's directory, by the modality's name.

    Raises:
        DataError: If a modality has two files.
    """
    dense = {name.removesuffix(".npy") for name in folder.names if name.endswith(".npy")}
    stems = {name.split(".tokens.")[0] for name in folder.names if ".tokens." in name}
    tokens = {stem: find_table(folder, f"{stem}.tokens") for stem in stems}
    found = {stem: name for stem, name in tokens.items() if name}
    for modality in sorted(dense & set(found)):
        raise DataError(
            f"{modality}.npy and {found[modality]} are both there",
            at=str(folder.path),
            fix="keep one of them, or rename one",
        )
    return dict(sorted((found | {stem: f"{stem}.npy" for stem in dense}).items()))


def read_modality(
    folder: Folder, modality: str, file: str, *, memory_map: bool = False
) -> Matrix | Table:
    """Reads a file that [`find_modalities`][hugraph.data.modalities.find_modalities] found.

    Args:
        folder: Where it is.
        modality: Name of the modality.
        file: Name of the file.
        memory_map: Whether a matrix stays on disk.

    Raises:
        DataError: If it cannot be used.
    """
    if not file.endswith(".npy"):
        return read_table(folder, file, required=("item", "token"), known=("item", "token"))
    path = str(folder.path / file)
    if memory_map and f"{modality}.ids" in folder.names:
        raise DataError(
            f"{modality}.ids orders the rows, and what stays on disk cannot be put in order",
            at=path,
            fix="save the rows in the order of the items and remove the list of ids, "
            "or set data.memory_map to false",
        )
    values = map_npy(folder.check(file)) if memory_map else parse_npy(folder.read(file), at=path)
    ids = None
    if f"{modality}.ids" in folder.names:
        ids = _read_ids(folder, f"{modality}.ids")
        if len(ids) != len(values):
            raise DataError(
                f"{file} has {len(values):,} rows, {modality}.ids has {len(ids):,} ids",
                at=path,
                fix="write one id for each row",
            )
    return Matrix(values, ids, path)


def align(
    raw: Matrix | Table, modality: str, item_ids: pl.Series, warnings: list[str]
) -> np.ndarray | TokenBag:
    """Gives each item its features.

    Args:
        raw: What was read.
        modality: Its name, for warnings.
        item_ids: Raw ids of the dataset's items, `(num_items,)`.
        warnings: Takes what the reader should know.

    Returns:
        A float32 matrix `(num_items, dim)`, on disk if it was left there, with zeros where an item
        lacks the modality, or bags of tokens, numbered as they first appear, item by item.

    Raises:
        DataError: If rows and items do not fit, a value cannot be used, or no item has any.
    """
    features: np.ndarray | TokenBag
    if isinstance(raw, Table):
        features, strangers = _align_tokens(raw, item_ids)
    else:
        features, strangers = _align_matrix(raw, item_ids)
    if strangers:
        warnings.append(f"{modality}: {strangers:,} ids left out that are no items of the dataset")
    return features


def _align_matrix(matrix: Matrix, item_ids: pl.Series) -> tuple[np.ndarray, int]:
    rows, columns = matrix.values.shape
    if matrix.ids is not None:
        features = checked_float32(matrix.values, matrix.ids.to_numpy(), at=matrix.path)
        places = indices_of(matrix.ids, item_ids)
        aligned = np.zeros((len(item_ids), columns), dtype=np.float32)
        aligned[places[places >= 0]] = features[places >= 0]
        if not aligned.any():
            raise _no_items(matrix.path)
        return aligned, int((places < 0).sum())
    if rows != len(item_ids):
        transposed = "; it looks transposed" if columns == len(item_ids) else ""
        raise DataError(
            f"{rows:,} rows of {columns:,} values for {len(item_ids):,} items{transposed}",
            at=matrix.path,
            fix="write a row for each row of the items file, in its order, "
            "or list the item ids in a file <modality>.ids",
        )
    return checked_float32(matrix.values, item_ids.to_numpy(), at=matrix.path), 0


def _align_tokens(table: Table, item_ids: pl.Series) -> tuple[TokenBag, int]:
    lacking = table.frame.select(pl.any_horizontal(pl.all().is_null())).to_series()
    if lacking.any():
        raise DataError(
            f"{lacking.sum():,} rows lack an item or a token",
            at=table.at(int(lacking.arg_max() or 0)),
            fix="fill them in, or leave the rows out",
        )
    places = indices_of(table.frame["item"], item_ids)
    order = np.argsort(places, kind="stable")[(places < 0).sum() :]
    if not len(order):
        raise _no_items(table.path)
    words = table.frame["token"][order]
    vocabulary = words.unique(maintain_order=True)
    sizes = np.bincount(places[order], minlength=len(item_ids))
    bag = TokenBag(
        tokens=torch.from_numpy(indices_of(words, vocabulary)),
        offsets=torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)])),
        num_tokens=len(vocabulary),
    )
    strangers = table.frame["item"].filter(pl.Series(places < 0)).n_unique()
    return bag, strangers


def _read_ids(folder: Folder, name: str) -> pl.Series:
    path = str(folder.path / name)
    try:
        text = folder.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte {error.start:,} is not UTF-8", at=path, fix="save the file as UTF-8"
        ) from None
    ids = pl.Series([line.removesuffix("\r") for line in text.rstrip("\r\n").split("\n")])
    faults = ~ids.is_first_distinct() | (ids.str.strip_chars() == "")
    if faults.any():
        first = int(faults.arg_max() or 0)
        raise DataError(
            f"id {ids[first]!r} is empty or stands there twice",
            at=f"{path}, line {first + 1}",
            fix="write one id a line, each once",
        )
    return ids


def _no_items(path: str) -> DataError:
    return DataError(
        "holds nothing for any item of the dataset",
        at=path,
        fix="use the item ids of the interactions",
    )
