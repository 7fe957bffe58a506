"""Matrices that stay on disk, for features that would not fit into memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NoReturn

import numpy as np
import torch
from torch import Tensor

from hugraph.errors import ResourceError

ROW_BLOCK_BYTES = 2**22  # of consecutive rows at a time
COLUMN_BLOCK_BYTES = 2**27  # of columns; the fewer, the more often a file is read


class FileMatrix:
    """A float32 matrix in a file, of which memory holds the rows that are asked for.

    Rows are read, not mapped: what was read before belongs to the system's cache and not to this
    process, and a file that is cut short while it is used ends in an error, not in a signal.

    Args:
        file: Open for reading, and may be closed after; the matrix stands in it row by row, in the
            machine's byte order.
        shape: Rows and columns.
        offset: Where in the file it begins, in bytes.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, int], offset: int = 0) -> None:
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._name = str(file.name)
        self._offset = offset
        self.shape = shape

    @classmethod
    def from_rows(cls, blocks: Iterable[Tensor]) -> FileMatrix:
        """Writes blocks of consecutive rows, `(n, dim)` each, to a file that nobody else sees.

        It lies in the directory for temporary files, `TMPDIR`, and is gone with the process.

        Raises:
            ResourceError: If there is no such directory, or its disk is full.
        """
        num_rows, dim = 0, 0
        with _explained():
            file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115, closed below
        with file:
            for block in blocks:
                rest = (
                    block.to("cpu", torch.float32).contiguous().view(-1).numpy().view(np.uint8).data
                )
                with _explained():
                    while rest:
                        rest = rest[file.write(rest) :]
                num_rows, dim = num_rows + len(block), block.shape[1]
            return cls(file, (num_rows, dim))

    @classmethod
    def from_columns(cls, blocks: Iterable[Tensor]) -> FileMatrix:
        """Writes blocks of consecutive columns, `(num_rows, n)` each, as `from_rows` does."""
        parts = [cls.from_rows([block]) for block in blocks]
        num_rows, dim = parts[0].shape[0], sum(part.shape[1] for part in parts)
        return cls.from_rows(
            torch.cat([part.read(rows) for part in parts], dim=1)
            for rows in _ranges(num_rows, 4 * dim, ROW_BLOCK_BYTES)
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __deepcopy__(self, memo: dict[int, Any]) -> FileMatrix:
        """A copy of a model reads the same file, of which nothing ever changes."""
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a matrix in a file is open in this process and cannot be sent to another")

    def rows(self, index: Tensor) -> Tensor:
        """Reads the rows of `index` `(n,)` int64: `(n, dim)`, on the device of `index`.

        Raises:
            IndexError: If there is no such row.
        """
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise IndexError(f"rows must be in [0, {len(self)})")
        size = 4 * self.shape[1]
        places = (index * size + self._offset).tolist()
        read = bytearray().join([os.pread(self._descriptor, size, place) for place in places])
        return self._matrix(read, len(index)).to(index.device)

    def read(self, rows: range | None = None) -> Tensor:
        """Reads consecutive rows, or all: `(len(rows), dim)`."""
        rows = range(len(self)) if rows is None else rows
        size = 4 * self.shape[1]
        content = np.empty(len(rows) * size, np.uint8)
        rest, place = content.data, self._offset + rows.start * size
        while rest and (count := os.preadv(self._descriptor, [rest], place)):
            rest, place = rest[count:], place + count
        return self._matrix(content[: len(content) - len(rest)] if rest else content, len(rows))

    def blocks(self) -> Iterator[range]:
        """Cuts the rows into ranges that take little memory."""
        return _ranges(len(self), 4 * self.shape[1], ROW_BLOCK_BYTES)

    def columns(self) -> Iterator[Tensor]:
        """Reads all rows of a few columns at a time, from the first to the last: `(num_rows, n)`.

        The file is read once for each block of columns. A block lasts until the next, which takes
        its memory.
        """
        memory = torch.empty(0, device="cpu")
        for chosen in _ranges(self.shape[1], 4 * len(self), COLUMN_BLOCK_BYTES):
            block = memory.resize_(len(self), len(chosen))
            for rows in self.blocks():
                block[rows.start : rows.stop] = self.read(rows)[:, chosen.start : chosen.stop]
            yield block

    def _matrix(self, content: bytearray | np.ndarray, num_rows: int) -> Tensor:
        dim = self.shape[1]
        if len(content) != 4 * num_rows * dim:
            raise ResourceError(
                "a file of features was cut short while it was used",
                at=self._name,
                fix="keep the files of a dataset as they are while it is used",
            )
        return torch.from_numpy(np.frombuffer(content, np.float32).reshape(num_rows, dim))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"features cannot be written ({error.strerror or error})",
            at=tempfile.tempdir or "TMPDIR",  # None where no directory is usable
            fix="free space, or set TMPDIR to a directory on a larger disk",
        ) from error


def _ranges(size: int, bytes_each: int, bytes_together: int) -> Iterator[range]:
    step = max(1, bytes_together // bytes_each)
    return (range(start, min(start + step, size)) for start in range(0, size, step))
