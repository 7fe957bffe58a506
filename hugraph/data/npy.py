"""Reads a matrix from the bytes of a `.npy` file without trusting its header."""

from __future__ import annotations

import io
import tokenize
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hugraph.errors import DataError

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 2**16  # numpy refuses those above 10,000 bytes
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class _Layout(NamedTuple):
    shape: tuple[int, int]
    fortran_order: bool
    dtype: np.dtype
    offset: int


def parse_npy(content: bytes, *, at: str) -> np.ndarray:
    """The matrix in a `.npy` file, as a read-only view `(rows, columns)` in the machine's order.

    Accepts float16, float32, float64 and integers, in either byte order and either memory order.
    Nothing is unpickled, and nothing is allocated for a size that only the header claims.

    Args:
        content: The whole file.
        at: Its path, for messages.

    Raises:
        DataError: If it is no `.npy` file, is cut short, or holds anything but a matrix of numbers.

    Source:
        [The npy format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
    """
    (rows, columns), fortran_order, dtype, offset = _layout(content, len(content), at)
    matrix = np.frombuffer(content, dtype, offset=offset)
    matrix = matrix.reshape((columns, rows)).T if fortran_order else matrix.reshape((rows, columns))
    return matrix.astype(dtype.newbyteorder("="), copy=False)


def map_npy(path: Path) -> np.memmap:
    """The matrix in a `.npy` file, mapped read-only: it stays on disk until it is used.

    Raises:
        DataError: If it cannot be parsed, or is not float32 row by row in the machine's order.
    """
    with path.open("rb") as file:
        head, size = file.read(_LONGEST_HEADER), path.stat().st_size
    layout = _layout(head, size, str(path))
    if layout.fortran_order or layout.dtype != np.float32:
        order = "column by column" if layout.fortran_order else "row by row"
        raise DataError(
            f"a matrix of {layout.dtype} {order} cannot be mapped",
            at=str(path),
            fix="save np.ascontiguousarray(features, 'float32'), or set data.memory_map to false",
        )
    return np.memmap(path, layout.dtype, "r", layout.offset, layout.shape)


def _layout(content: bytes, size: int, at: str) -> _Layout:
    """What the header says, checked against the size of the file of which `content` is the head."""
    if not content.startswith(_MAGIC):
        start = content[:16].decode("ascii", errors="replace")
        raise DataError(
            f"not a .npy file (starts with {start!r})" if content else "the file is empty",
            at=at,
            fix="write it with numpy.save",
        )
    shape, fortran_order, dtype, offset = _header(content, at)
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        kind = "object" if dtype.hasobject else str(dtype)
        raise DataError(
            f"{kind} dtype is not allowed; float16, float32, float64 and integers are",
            at=at,
            fix="save features.astype('float32')",
        )
    if len(shape) != 2 or any(type(length) is not int or length < 1 for length in shape):
        raise DataError(
            f"shape {shape} is not that of a matrix with a row for each item",
            at=at,
            fix="save an array of shape (number of items, number of features)",
        )
    rows, columns = shape
    expected = offset + rows * columns * dtype.itemsize
    if size != expected:
        raise DataError(
            f"the header announces {rows:,} x {columns:,} {dtype.name}, {expected:,} bytes; "
            f"the file has {size:,}",
            at=at,
            fix="the file is cut short or damaged: fetch or write it again",
        )
    return _Layout((rows, columns), fortran_order, dtype, offset)


def _header(content: bytes, at: str) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    stream = io.BytesIO(content[:_LONGEST_HEADER])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers written by Python 2
            read = _HEADERS[np.lib.format.read_magic(stream)]
            shape, fortran_order, dtype = read(stream)
    except (
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        SyntaxError,
        RecursionError,
        MemoryError,
        tokenize.TokenError,
    ):
        raise DataError(
            "the .npy header cannot be read", at=at, fix="write the file again with numpy.save"
        ) from None
    return shape, fortran_order, dtype, stream.tell()
