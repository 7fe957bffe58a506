"""Reads a matrix from the bytes of a `.npy` file without trusting its header."""

from __future__ import annotations

import io
import tokenize
import warnings

import numpy as np

from hugraph.errors import DataError

_MAGIC = b"\x93NUMPY"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


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
    if len(shape) != 2 or any(type(size) is not int or size < 1 for size in shape):
        raise DataError(
            f"shape {shape} is not that of a matrix with a row for each item",
            at=at,
            fix="save an array of shape (number of items, number of features)",
        )
    rows, columns = shape
    expected = offset + rows * columns * dtype.itemsize
    if len(content) != expected:
        raise DataError(
            f"the header announces {rows:,} x {columns:,} {dtype.name}, {expected:,} bytes; "
            f"the file has {len(content):,}",
            at=at,
            fix="the file is cut short or damaged: fetch or write it again",
        )
    matrix = np.frombuffer(content, dtype, offset=offset)
    matrix = matrix.reshape((columns, rows)).T if fortran_order else matrix.reshape((rows, columns))
    return matrix.astype(dtype.newbyteorder("="), copy=False)


def _header(content: bytes, at: str) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    stream = io.BytesIO(content)
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
