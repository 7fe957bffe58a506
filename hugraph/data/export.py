"""Writes a dataset as a directory that `load_directory` reads back."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from hugraph.data.dataset import Dataset
from hugraph.data.files import PLANTED
from hugraph.data.folder import CHECKSUMS
from hugraph.data.modalities import is_file_name
from hugraph.data.split import PARTS
from hugraph.errors import DataError, ResourceError
from hugraph.interfaces import TokenBag


def write_directory(dataset: Dataset, path: str | Path) -> None:
    """Writes interactions, items, one file for each modality, and their checksums.

    [`load_directory`][hugraph.data.files.load_directory] gives the same dataset back, but for its
    name, fingerprint and warnings; users are numbered as they first appear. Planted truth becomes
    columns of the items file that begin with `planted_`; they mark the data as synthetic.

    Args:
        dataset: What to write.
        path: A directory that does not exist yet, or is empty.

    Raises:
        DataError: If the directory holds anything, or a modality's name is not that of a file.
        ResourceError: If the system refuses to write.
    """
    directory = Path(path)
    unfit = [modality for modality in dataset.features if not is_file_name(modality)]
    if unfit:
        raise DataError(
            f"no file can have the name of modality {unfit[0]!r}",
            at=dataset.name,
            fix="name it in letters, digits, _ and -, and neither interactions nor items",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise DataError(
                "the directory is not empty",
                at=str(directory.absolute()),
                fix="name a new one; nothing is ever overwritten",
            )
        sums = []
        for name, content in _files(dataset):
            _write(directory / name, content)
            sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
        _write(directory / CHECKSUMS, "".join(sums).encode())
    except OSError as error:
        raise ResourceError(
            f"the dataset cannot be written: {error.strerror or error}",
            at=str(directory.absolute()),
            fix="check permissions and free space",
        ) from None


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:  # not even what appeared meanwhile is overwritten
        file.write(content)


def _files(dataset: Dataset) -> Iterator[tuple[str, bytes]]:
    yield "interactions.csv", _csv(_interactions(dataset))
    yield "items.csv", _csv(_items(dataset))
    for modality, features in dataset.features.items():
        if isinstance(features, TokenBag):
            yield f"{modality}.tokens.csv", _csv(_tokens(features, dataset.item_ids))
        else:
            stream = io.BytesIO()
            np.save(stream, features, allow_pickle=False)
            yield f"{modality}.npy", stream.getvalue()


def _interactions(dataset: Dataset) -> pl.DataFrame:
    columns = {
        "user": pl.Series(dataset.user_ids[dataset.users], dtype=pl.String),
        "item": pl.Series(dataset.item_ids[dataset.items], dtype=pl.String),
    }
    if dataset.timestamps is not None:
        columns["timestamp"] = pl.Series(dataset.timestamps)
    if dataset.ratings is not None:
        columns["rating"] = pl.Series(dataset.ratings)
    if dataset.given_split is not None:
        columns["split"] = pl.Series(np.array(PARTS)[dataset.given_split])
    return pl.DataFrame(columns)


def _items(dataset: Dataset) -> pl.DataFrame:
    item = pl.Series("item", dataset.item_ids, dtype=pl.String)
    known = pl.DataFrame() if dataset.item_table is None else dataset.item_table
    truth = [pl.Series(PLANTED + level, labels) for level, labels in dataset.truth.items()]
    return pl.DataFrame([item, *known.drop("item", strict=False), *truth])


def _tokens(bag: TokenBag, item_ids: np.ndarray) -> pl.DataFrame:
    items = np.repeat(item_ids, np.diff(bag.offsets.numpy()))
    return pl.DataFrame({"item": pl.Series(items, dtype=pl.String), "token": bag.tokens.numpy()})


def _csv(frame: pl.DataFrame) -> bytes:
    return frame.write_csv().encode()
