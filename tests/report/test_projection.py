import numpy as np
import pytest

from hugraph.report.projection import tsne


def test_points_that_are_near_stay_near():
    generator = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2, 3], 20)
    placed = tsne(np.eye(4)[groups] + 0.01 * generator.normal(size=(80, 4)))
    assert placed.shape == (80, 3)
    distances = np.linalg.norm(placed[:, None] - placed, axis=2)
    np.fill_diagonal(distances, np.inf)
    alike = groups[distances.argmin(axis=1)] == groups
    assert alike.mean() > 0.9  # a stray or two is in the nature of a descent from few points


def test_the_same_seed_gives_the_same_places():
    points = np.random.default_rng(1).random((12, 5)).astype(np.float32)
    np.testing.assert_array_equal(tsne(points, seed=3), tsne(points, seed=3))


def test_two_dimensions_can_be_spread_over_three():
    assert np.isfinite(tsne(np.random.default_rng(1).random((8, 2)))).all()


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="at least 4 points, got 3"):
        tsne(np.eye(3))
