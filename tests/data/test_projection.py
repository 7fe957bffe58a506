import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from hugraph.data import projection
from hugraph.data.projection import project_features, project_on_disk
from hugraph.file_matrix import FileMatrix

MATRICES = arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 6)), elements=st.integers(-9, 9)
)


def test_points_on_a_line_keep_their_place_on_it():
    # All rows are multiples of (3, 4) / 5; the larger entry of the direction is positive.
    features = np.array([[3, 4], [0, 0], [-6, -8]], dtype=np.float32)
    assert_allclose(project_features(features, 1), [[5], [0], [-10]], rtol=1e-6)


def test_features_that_are_narrow_enough_are_left_alone():
    features = np.ones((3, 2), dtype=np.float32)
    assert project_features(features, 2) is features


@given(MATRICES, st.integers(1, 6), st.integers(1, 4))
def test_it_is_the_best_projection_whatever_the_blocks(features, num_columns, rows_at_a_time):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projection, "_ROWS", rows_at_a_time)
        projected = project_features(features, num_columns)
    wanted = min(num_columns, features.shape[1])
    assert projected.shape == (len(features), wanted) and projected.dtype == np.float32
    lengths = np.linalg.svd(features.astype(np.float64), compute_uv=False)
    kept = np.linalg.svd(projected.astype(np.float64), compute_uv=False)
    expected = np.zeros(len(kept))
    expected[: len(lengths)] = lengths[: len(kept)]
    assert_allclose(kept, expected, atol=1e-4)
    if np.linalg.matrix_rank(features) <= wanted:
        assert_allclose(projected @ projected.T, features @ features.T, atol=1e-3)


@given(MATRICES, st.integers(1, 6))
def test_features_on_disk_become_the_same(features, num_columns):
    stored = FileMatrix.from_rows([torch.from_numpy(features)])
    projected = project_on_disk(stored, num_columns).read()
    assert_allclose(projected, project_features(features, num_columns), atol=1e-4)


@given(MATRICES, st.integers(1, 6))
def test_a_missing_row_stays_zero(features, num_columns):
    features[0] = 0
    assert not project_features(features, num_columns)[0].any()


def test_no_column_is_refused():
    with pytest.raises(ValueError, match="num_columns must be at least 1, got 0"):
        project_features(np.ones((2, 2), dtype=np.float32), 0)
