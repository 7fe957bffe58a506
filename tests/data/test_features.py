import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from hugraph.data.features import (
    checked_float32,
    constant_columns,
    present_rows,
    repeated_columns,
    row_blocks,
    scale_features,
    scaled_on_disk,
    stays_on_disk,
)
from hugraph.data.npy import map_npy
from hugraph.errors import DataError

# Row 1 is missing; column 1 is constant over the other two; column 2 repeats column 0.
FEATURES = np.array([[1, 5, 1], [0, 0, 0], [3, 5, 3]], dtype=np.float32)
MATRICES = arrays(
    np.float32, st.tuples(st.integers(2, 8), st.integers(1, 5)), elements=st.integers(-9, 9)
)


def test_standardized_features_worked_by_hand():
    # Present values 1 and 3 have mean 2 and deviation 1; two columns vary, hence the root of 2.
    expected = np.array([[-1, 0, -1], [0, 0, 0], [1, 0, 1]]) / np.sqrt(2)
    assert_allclose(scale_features(FEATURES, "standardize"), expected, rtol=1e-6)


def test_unit_features_worked_by_hand():
    scaled = scale_features(np.array([[3, 4], [0, 0], [0, -2]], dtype=np.float32), "unit")
    assert_allclose(scaled, [[0.6, 0.8], [0, 0], [0, -1]], rtol=1e-6)


def test_raw_features_are_left_alone():
    assert scale_features(FEATURES, "raw") is FEATURES


@given(MATRICES)
def test_standardized_rows_have_a_mean_squared_norm_of_one_and_missing_rows_stay_zero(features):
    scaled = scale_features(features, "standardize")
    present = features.any(axis=1)
    assert not scaled[~present].any()
    varies = present.any() and (features[present] != features[present][0]).any()
    mean_square = (scaled[present] ** 2).sum(axis=1).mean() if present.any() else 0
    assert_allclose(mean_square, 1.0 if varies else 0.0, rtol=1e-5)


@given(MATRICES)
def test_columns_are_counted_as_a_pair_by_pair_comparison_counts_them(features):
    columns = features.T.tolist()
    assert constant_columns(features).tolist() == [len(set(column)) == 1 for column in columns]
    assert repeated_columns(features).tolist() == [
        column in columns[:place] for place, column in enumerate(columns)
    ]


def test_columns_of_equal_sums_are_not_taken_for_equal():
    assert repeated_columns(np.array([[1, 0], [0, 1]], dtype=np.float32)).tolist() == [False, False]


def test_an_unknown_scaling_is_refused():
    with pytest.raises(ValueError, match="got 'log'"):
        scale_features(FEATURES, "log")


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", "i1", ">u8"])
def test_features_of_every_number_type_keep_their_values(dtype):
    features = checked_float32(
        np.asfortranarray([[1, 0], [3, 2]], dtype), np.array(["a", "b"], dtype=object), at="f"
    )
    assert features.dtype == np.float32
    assert features.flags["C_CONTIGUOUS"] and features.flags["WRITEABLE"]
    assert features.tolist() == [[1, 0], [3, 2]]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0, 1], [np.nan, np.inf]], "2 values are NaN or infinite; the first is nan at row 1, "
         "column 0, item 'b'"),
        ([[0, 1], [2, -1e31]], "1 values are 1e30 or larger.*row 1, column 1, item 'b'"),
        ([[0, 0], [0, 0]], "all rows are zero"),
    ],
)  # fmt: skip
def test_values_that_would_poison_training_are_named(matrix, message):
    with pytest.raises(DataError, match=message) as caught:
        checked_float32(np.array(matrix), np.array(["a", "b"], dtype=object), at="visual.npy")
    assert caught.value.at == "visual.npy"


@pytest.mark.parametrize("method", ["raw", "standardize", "unit"])
def test_features_on_disk_are_scaled_like_those_in_memory(tmp_path, monkeypatch, method):
    monkeypatch.setattr("hugraph.file_matrix.ROW_BLOCK_BYTES", 4 * 4 * 3)
    features = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    features[[0, 1, 2, 6]] = 0  # the first block is missing altogether
    features[features.any(axis=1), 1] = 7
    path = tmp_path / "visual.npy"
    np.save(path, features)
    mapped = map_npy(path)
    expected = scale_features(features, method)
    assert_allclose(scaled_on_disk(mapped, method).read(), expected, rtol=1e-6)
    assert present_rows(mapped).tolist() == present_rows(features).tolist()
    assert constant_columns(mapped).tolist() == constant_columns(features).tolist()
    mapped = map_npy(path)
    assert checked_float32(mapped, np.arange(10), at="x") is mapped


@pytest.mark.parametrize(
    ("dtype", "mode", "view"),
    [
        (np.float32, "r", lambda mapped: mapped[1:]),
        (np.float32, "r", lambda mapped: mapped[:, ::2]),
        (np.float32, "r", lambda mapped: mapped.T),
        (np.float64, "r", lambda mapped: mapped),
        (">f4", "r", lambda mapped: mapped),
        (np.float32, "c", lambda mapped: np.add(mapped, 1, out=mapped)),
    ],
)
def test_a_map_that_is_not_its_file_is_read_as_it_is(tmp_path, dtype, mode, view):
    np.save(tmp_path / "visual.npy", FEATURES.astype(dtype))
    mapped = np.load(tmp_path / "visual.npy", mmap_mode="r")
    assert stays_on_disk(mapped) == (dtype == np.float32)
    shown = view(np.load(tmp_path / "visual.npy", mmap_mode=mode))
    assert not stays_on_disk(shown)
    assert_allclose(np.concatenate(list(row_blocks(shown))), np.array(shown))


def test_an_unusable_value_on_disk_is_named_by_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr("hugraph.file_matrix.ROW_BLOCK_BYTES", 4 * 2 * 3)
    features = np.ones((10, 2), dtype=np.float32)
    features[7, 1] = np.nan
    np.save(tmp_path / "visual.npy", features)
    with pytest.raises(DataError, match="nan at row 7, column 1, item 'seven'"):
        ids = np.array([*map(str, range(7)), "seven", "8", "9"], dtype=object)
        checked_float32(map_npy(tmp_path / "visual.npy"), ids, at="x")
