"""Reads CSV and Parquet files into tables of text, so that no id is ever taken for a number."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from gzip import BadGzipFile, GzipFile
from typing import NamedTuple

import numpy as np
import polars as pl

from hugraph.data.folder import Folder
from hugraph.errors import DataError

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_OTHER_COMPRESSIONS = (b"\x28\xb5\x2f\xfd", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
_BYTES_PER_CELL = 16  # what a text cell takes at least, once it is in memory
_ENDINGS = (".csv", ".csv.gz", ".parquet")
_IDS = ("user", "item")


class Table(NamedTuple):
    """A table of text and where it stood."""

    frame: pl.DataFrame  # all columns text; empty cells and blank ids are null; no row is all null
    rows: np.ndarray  # (len(frame),) number of each row in the file; in CSV the header is row 1
    path: str

    def at(self, row: int) -> str:
        """Names the place of a row of `frame`, for messages."""
        return f"{self.path}, row {self.rows[row]}"


def find_table(folder: Folder, stem: str) -> str | None:
    """The file of `folder` that holds the table `stem`, if there is one.

    Raises:
        DataError: If there is more than one.
    """
    found = [stem + ending for ending in _ENDINGS if stem + ending in folder.names]
    if len(found) > 1:
        raise DataError(
            f"{' and '.join(found)} are both there",
            at=str(folder.path),
            fix="keep one of them",
        )
    return found[0] if found else None


def read_table(
    folder: Folder, name: str, *, required: Sequence[str], known: Collection[str] | None = None
) -> Table:
    """Reads a CSV (plain or gzip) or Parquet file, by its content rather than by its name.

    Args:
        folder: Where the file is.
        name: Its name.
        required: Columns that must be there.
        known: Columns to keep, where present; all of them by default.

    Raises:
        DataError: If the file is damaged, malformed, too large, lacks a column or has one twice.
    """
    path = str(folder.path / name)
    content = folder.read(name)
    if content.startswith(_GZIP):
        content = _expand(content, folder.max_bytes, path)
    if content.startswith(_PARQUET):
        frame, first_row = _parquet(content, folder.max_bytes, path, required, known), 0
    else:
        frame, first_row = _csv(content, path, required, known), 2
    frame = frame.select(pl.when(pl.all() != "").then(pl.all()))
    ids = [pl.col(column) for column in _IDS if column in required]
    frame = frame.with_columns(pl.when(each.str.strip_chars() != "").then(each) for each in ids)
    filled = ~frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
    return Table(frame.filter(filled), first_row + np.flatnonzero(filled.to_numpy()), path)


def _expand(content: bytes, max_bytes: int, path: str) -> bytes:
    try:
        with GzipFile(fileobj=io.BytesIO(content)) as stream:
            expanded = stream.read(max_bytes + 1)
    except EOFError:
        raise DataError(
            f"gzip ends early, at byte {len(content):,}", at=path, fix="fetch the file again"
        ) from None
    except (BadGzipFile, zlib.error) as error:
        raise DataError(f"gzip is damaged: {error}", at=path, fix="fetch the file again") from None
    if len(expanded) > max_bytes:
        raise DataError(
            f"{len(content):,} compressed bytes expand to more than max_bytes {max_bytes:,}",
            at=path,
            fix="raise max_bytes, if you trust the file and the memory is there",
        )
    return expanded


def _csv(
    content: bytes, path: str, required: Sequence[str], known: Collection[str] | None
) -> pl.DataFrame:
    if content.startswith(_OTHER_COMPRESSIONS):  # which polars would expand without a limit
        raise DataError("compressed with something other than gzip", at=path, fix="use gzip")
    columns = _header(content, path)
    _check_columns(columns, path, required)
    try:
        frame = pl.read_csv(content, infer_schema=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _malformed(content, len(columns), path, str(error)) from None
    if frame.width != len(columns):
        raise _malformed(content, len(columns), path, "the header cannot be read")
    frame.columns = columns
    if frame[columns[-1]].has_nulls():  # polars fills a row that is too short with nulls
        where = _ragged_row(content, len(columns))
        if where:
            raise DataError(where, at=path, fix="give every row the fields of the header")
    return frame.select([column for column in columns if known is None or column in known])


def _header(content: bytes, path: str) -> list[str]:
    line = content.split(b"\n", 1)[0]
    try:
        columns = next(csv.reader([line.decode("utf-8-sig").rstrip("\r")], strict=True), [])
    except UnicodeDecodeError as error:
        raise _not_utf8(error, path) from None
    except csv.Error as error:
        raise DataError(
            f"the header cannot be read: {error}", at=f"{path}, row 1", fix="save it as plain CSV"
        ) from None
    columns = [column.strip() for column in columns]
    if not any(columns):
        raise DataError("the file is empty", at=path, fix="write a header and at least one row")
    return columns


def _check_columns(columns: Sequence[str], path: str, required: Sequence[str]) -> None:
    got = ",".join(columns)
    got = got if len(got) <= 80 else got[:80] + "…"
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DataError(
            f"column {twice[0]!r} is there twice: {got}", at=path, fix="rename or drop one of them"
        )
    for column in required:
        if column in columns:
            continue
        near = get_close_matches(column, [known.lower() for known in columns], n=1)
        separators = [mark for mark in (";", "\t", "|") if mark in got]
        if len(columns) == 1 and separators:
            fix = f"separate the columns by commas; the file looks like {separators[0]!r} does"
        elif near:
            given = next(known for known in columns if known.lower() == near[0])
            fix = f"rename column {given!r} to {column!r}"
        else:
            fix = "write the names of the columns into the first line"
        raise DataError(
            f"no column {column!r}: expected {','.join(required)}, got {got!r}", at=path, fix=fix
        )


def _malformed(content: bytes, width: int, path: str, reason: str) -> DataError:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return _not_utf8(error, path)
    return DataError(
        _ragged_row(content, width) or f"not well-formed CSV: {reason.splitlines()[0]}",
        at=path,
        fix='give every row the fields of the header; write a quote inside a field as ""',
    )


def _not_utf8(error: UnicodeDecodeError, path: str) -> DataError:
    return DataError(f"byte {error.start:,} is not UTF-8", at=path, fix="save the file as UTF-8")


def _ragged_row(content: bytes, width: int) -> str | None:
    """Says where the first row stands that has not `width` fields, or whose quote stays open."""
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""), strict=True)
    begin = 1
    try:
        for fields in reader:
            if fields and len(fields) != width:
                return f"line {begin} has {len(fields)} fields, the header has {width}"
            begin = reader.line_num + 1
    except csv.Error as error:
        if "end of data" in str(error) or "expected after" in str(error):
            return f"the row of line {begin} has a quote that is not closed, or text after one"
    return None


def _parquet(
    content: bytes,
    max_bytes: int,
    path: str,
    required: Sequence[str],
    known: Collection[str] | None,
) -> pl.DataFrame:
    try:
        schema = pl.read_parquet_schema(io.BytesIO(content))
        _check_columns(list(schema), path, required)
        columns = [column for column in schema if known is None or column in known]
        rows = pl.scan_parquet(io.BytesIO(content)).select(pl.len()).collect().item()
        if rows * len(columns) * _BYTES_PER_CELL > max_bytes:
            raise DataError(
                f"{rows:,} rows of {len(columns)} columns take more than max_bytes {max_bytes:,}",
                at=path,
                fix="raise max_bytes, if you trust the file and the memory is there",
            )
        for column in columns:
            _check_type(column, schema[column], column in (*_IDS, "token"), path)
        frame = pl.read_parquet(io.BytesIO(content), columns=columns)
        moments = frame.select(pl.col(pl.Datetime, pl.Date).cast(pl.Datetime("us")).cast(pl.Int64))
        return frame.with_columns(moments).select(pl.all().cast(pl.String))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(
            f"Parquet cannot be read: {str(error).splitlines()[0]}",
            at=path,
            fix="the file is damaged: fetch or write it again",
        ) from None


def _check_type(column: str, dtype: pl.DataType, is_id: bool, path: str) -> None:
    if is_id and dtype.is_float():
        raise DataError(
            f"column {column!r} is {dtype}: large ids would be rounded",
            at=path,
            fix="write string or integer ids",
        )
    text = isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))
    plain = text or dtype.is_integer() or not (is_id or dtype.is_nested() or dtype == pl.Binary)
    if not plain:
        raise DataError(
            f"column {column!r} is {dtype}, not text or a number",
            at=path,
            fix="convert the column to text, or drop it",
        )
