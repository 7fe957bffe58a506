import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugraph.report.exposure import exposure


def test_four_items_worked_by_hand():
    found = exposure(np.array([6, 0, 3, 1]), np.array([9, 1, 5, 5]))
    assert found.coverage == 0.75
    # L = 0, 0, 0.1, 0.4, 1, so 1 - (0 + 0.1 + 0.5 + 1.4) / 4
    assert found.gini == pytest.approx(0.5)
    assert found.tenths == pytest.approx([0.6, 0.3, 0.1, 0, 0, 0, 0, 0, 0, 0])
    assert [found.curve[percent] for percent in (0, 25, 50, 75, 100)] == pytest.approx(
        [0, 0, 0.1, 0.4, 1]
    )


@given(st.lists(st.integers(0, 50), min_size=2, max_size=40).filter(any))
def test_gini_is_the_mean_difference_of_pairs_over_twice_the_mean(counts):
    counts = np.array(counts)
    differences = np.abs(counts[:, None] - counts).mean()
    found = exposure(counts, counts)
    assert found.gini == pytest.approx(differences / (2 * counts.mean()), abs=1e-12)
    assert sum(found.tenths) == pytest.approx(1) and found.curve[-1] == pytest.approx(1)
    assert (np.diff(found.curve) >= -1e-12).all()


def test_nothing_shown_is_refused():
    with pytest.raises(ValueError, match="no item is shown"):
        exposure(np.zeros(3, int), np.ones(3, int))
