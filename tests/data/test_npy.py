import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hugraph.data.npy import map_npy, parse_npy
from hugraph.errors import DataError

from .directories import npy


def header(text, data=b""):
    text = text.encode() + b" " * (117 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


class Payload:
    """A pickle that would leave a trace if it were ever loaded."""

    fired = False

    def __reduce__(self):
        return (_fire, ())


def _fire():
    Payload.fired = True


@given(
    arrays(
        st.sampled_from(["<f2", "<f4", ">f4", "<f8", ">f8", "i1", "<i4", ">i8", "u2"]),
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
        elements=st.integers(0, 100),
    ),
    st.booleans(),
)
def test_what_numpy_saves_is_read_back_in_either_order(array, fortran):
    array = np.asfortranarray(array) if fortran else array
    matrix = parse_npy(npy(array), at="f.npy")
    assert matrix.dtype.isnative
    assert np.array_equal(matrix, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"<html><body>not found", "not a .npy file.*<html><body>not"),
        (b"PK\x03\x04 an npz", "not a .npy file"),
        (b"user,item\n1,2\n", "not a .npy file.*user,item"),
        (b"\x93NUMPY\x03\x00" + bytes(100), "header cannot be read"),
        (b"\x93NUMPY\x01\x00", "header cannot be read"),
        (header("{'descr': '<f4'"), "header cannot be read"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 64), }"),
         "announces 1,000,000,000,000 x 64 float32, 256,000,000,000,128 bytes; the file has 128"),
        (npy(np.ones((3, 2), "<f4"))[:-1], "3 x 2 float32, 152 bytes; the file has 151"),
        (npy(np.ones((3, 2), "<f4")) + b"!", "152 bytes; the file has 153"),
        (npy(np.ones(3)), r"shape \(3,\) is not that of a matrix"),
        (npy(np.ones((2, 2, 2))), r"shape \(2, 2, 2\)"),
        (npy(np.ones(())), r"shape \(\)"),
        (npy(np.ones((3, 0))), r"shape \(3, 0\)"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-20, -8), }", bytes(640)),
         r"shape \(-20, -8\) is not that of a matrix"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (True, 20), }", bytes(80)),
         r"shape \(True, 20\) is not that of a matrix"),
        (npy(np.ones((2, 2), complex)), "complex128 dtype is not allowed"),
        (npy(np.ones((2, 2), bool)), "bool dtype is not allowed"),
        (npy(np.ones((2, 2), "U3")), "<U3 dtype is not allowed"),
        (npy(np.ones((2, 2), "M8[s]")), "dtype is not allowed"),
        (npy(np.ones((2, 2), [("a", "f4")])), "dtype is not allowed"),
    ],
)  # fmt: skip
def test_what_is_no_matrix_of_numbers_is_refused(content, message):
    with pytest.raises(DataError, match=message) as caught:
        parse_npy(content, at="f.npy")
    assert caught.value.at == "f.npy"


def test_a_pickle_is_refused_and_never_run():
    with pytest.raises(DataError, match="object dtype is not allowed"):
        parse_npy(npy(np.array([[Payload()]], dtype=object)), at="f.npy")
    assert not Payload.fired


def test_mutated_files_end_in_a_data_error_or_a_matrix():
    content = npy(np.arange(12, dtype="<f4").reshape(4, 3))
    rng = random.Random(3)
    outcomes = {"matrix": 0, "error": 0}
    for _ in range(2000):
        mutant = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            mutant[rng.randrange(128)] = rng.randrange(256)
        try:
            matrix = parse_npy(
                bytes(mutant[: rng.choice([len(mutant), rng.randrange(176)])]), at="f"
            )
        except DataError:
            outcomes["error"] += 1
        else:
            assert matrix.ndim == 2
            outcomes["matrix"] += 1
    assert min(outcomes.values()) > 0


def test_a_header_of_python_2_is_read_without_a_warning():
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 2L), }"
    matrix = parse_npy(header(text, np.array([1, 2], "<f4").tobytes()), at="f.npy")
    assert matrix.tolist() == [[1, 2]]


def test_a_mapped_matrix_is_the_parsed_one_and_cannot_be_written(tmp_path):
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    path = tmp_path / "visual.npy"
    path.write_bytes(npy(matrix))
    mapped = map_npy(path)
    assert np.array_equal(mapped, parse_npy(path.read_bytes(), at="visual.npy"))
    with pytest.raises(ValueError, match="read-only"):
        mapped[0, 0] = 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(np.ones((2, 2))), "a matrix of float64 row by row cannot be mapped"),
        (npy(np.ones((2, 2), ">f4")), "a matrix of >f4 row by row cannot be mapped"),
        (npy(np.ones((2, 2), "f4", order="F")), "float32 column by column cannot be mapped"),
        (npy(np.ones((2, 2), "f4"))[:-1], "the file has 143"),
        (npy(np.ones(2, "f4")), "not that of a matrix"),
        (b"", "the file is empty"),
    ],
)
def test_what_cannot_be_mapped_is_refused(tmp_path, content, message):
    path = tmp_path / "visual.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        map_npy(path)
    assert caught.value.at == str(path)
