import numpy as np

from hugraph.report.sampling import sample


def test_a_sample_has_no_more_than_it_may_each_once_and_in_order():
    chosen = sample(100, 30)
    assert len(chosen) == 30
    assert (np.diff(chosen) > 0).all() and chosen.min() >= 0 and chosen.max() < 100
    assert (sample(100, 30) == chosen).all()
    assert (sample(100, 30, seed=1) != chosen).any()


def test_what_is_few_enough_is_all_there():
    np.testing.assert_array_equal(sample(5, 5), np.arange(5))
