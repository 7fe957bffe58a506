import copy
import os
import pickle
import tempfile
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph import file_matrix
from hugraph.errors import ResourceError
from hugraph.file_matrix import FileMatrix


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(file_matrix, "ROW_BLOCK_BYTES", 4 * 3 * 2)
    monkeypatch.setattr(file_matrix, "COLUMN_BLOCK_BYTES", 4 * 5 * 2)


NUMBERS = torch.arange(15.0).reshape(5, 3)


def test_rows_come_back_in_the_order_asked_for():
    matrix = FileMatrix.from_rows([NUMBERS[:2], NUMBERS[2:]])
    assert matrix.shape == (5, 3) and len(matrix) == 5
    assert matrix.rows(torch.tensor([4, 0, 4])).tolist() == [[12, 13, 14], [0, 1, 2], [12, 13, 14]]
    assert matrix.rows(torch.tensor([], dtype=torch.int64)).shape == (0, 3)
    assert_close(matrix.read(), NUMBERS)


def test_blocks_of_rows_and_of_columns_are_the_whole(small_blocks):
    matrix = FileMatrix.from_rows([NUMBERS])
    blocks = list(matrix.blocks())
    assert blocks == [range(2), range(2, 4), range(4, 5)]
    assert_close(torch.cat([matrix.read(rows) for rows in blocks]), NUMBERS)
    columns = [block.clone() for block in matrix.columns()]
    assert [block.shape[1] for block in columns] == [2, 1]
    assert_close(torch.cat(columns, dim=1), NUMBERS)
    assert_close(FileMatrix.from_columns(columns).read(), NUMBERS)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 150), st.integers(1, 150))
def test_any_columns_come_back_to_the_last_bit(num_rows, dim, row_bytes, column_bytes):
    torch.manual_seed(0)
    numbers = torch.randn(num_rows, dim)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(file_matrix, "ROW_BLOCK_BYTES", row_bytes)
        patched.setattr(file_matrix, "COLUMN_BLOCK_BYTES", column_bytes)
        matrix = FileMatrix.from_rows([numbers])
        assert torch.equal(torch.cat([b.clone() for b in matrix.columns()], dim=1), numbers)
        halved = FileMatrix.from_columns(block / 2 for block in matrix.columns())
        assert torch.equal(halved.read(), numbers / 2)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 99), st.data())
def test_any_rows_of_a_file_with_something_before_them_are_read(num_rows, dim, offset, data):
    torch.manual_seed(0)
    numbers = torch.randn(num_rows, dim)
    chosen = data.draw(st.lists(st.integers(0, num_rows - 1)))
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x" * offset + numbers.numpy().tobytes())
        file.flush()
        matrix = FileMatrix(file, (num_rows, dim), offset)
    index = torch.tensor(chosen, dtype=torch.int64)
    assert torch.equal(matrix.rows(index), numbers[index])  # the file is closed and has no name


def test_other_numbers_are_stored_as_float32():
    assert_close(FileMatrix.from_rows([NUMBERS.double()]).read(), NUMBERS)


@pytest.mark.parametrize("index", [[-1], [5], [0, 7]])
def test_rows_that_are_not_there_are_refused(index):
    with pytest.raises(IndexError, match=r"\[0, 5\)"):
        FileMatrix.from_rows([NUMBERS]).rows(torch.tensor(index))


def test_a_file_that_is_cut_short_is_an_error(tmp_path):
    path = tmp_path / "features"
    path.write_bytes(NUMBERS.numpy().tobytes())
    with path.open("rb") as file:
        matrix = FileMatrix(file, (5, 3))
    os.truncate(path, 50)
    assert matrix.rows(torch.tensor([3])).tolist() == [[9, 10, 11]]
    for read in (matrix.read, lambda: matrix.rows(torch.tensor([0, 4]))):
        with pytest.raises(ResourceError, match="cut short") as caught:
            read()
        assert caught.value.at == str(path)


def test_a_full_disk_names_the_directory_and_a_remedy(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(Path("/dev/full").open, "r+b"))
    with pytest.raises(ResourceError, match="No space left") as caught:
        FileMatrix.from_rows([NUMBERS])
    assert "TMPDIR" in caught.value.fix


def test_without_a_directory_for_temporary_files_the_variable_is_named(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    with pytest.raises(ResourceError, match="No usable temporary directory") as caught:
        FileMatrix.from_rows([NUMBERS])
    assert caught.value.at == "TMPDIR" and "TMPDIR" in caught.value.fix


def test_an_error_of_whoever_gives_the_blocks_is_not_one_of_writing():
    def unreadable():
        yield NUMBERS
        raise OSError(5, "Input/output error", "features.npy")

    with pytest.raises(OSError, match=r"features\.npy"):
        FileMatrix.from_rows(unreadable())


def test_a_copy_reads_the_file_when_the_original_is_gone():
    matrix = FileMatrix.from_rows([NUMBERS])
    copied = copy.deepcopy(matrix)
    del matrix
    assert_close(copied.read(), NUMBERS)


def test_a_matrix_is_not_pickled():
    with pytest.raises(TypeError, match="cannot be sent to another"):
        pickle.dumps(FileMatrix.from_rows([NUMBERS]))


def test_a_matrix_that_nobody_holds_closes_its_file():
    before = len(os.listdir("/proc/self/fd"))
    matrix = FileMatrix.from_rows([NUMBERS])
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del matrix
    assert len(os.listdir("/proc/self/fd")) == before
