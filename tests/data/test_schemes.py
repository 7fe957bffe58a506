from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import given as property_of
from hypothesis import strategies as st

from hugraph.data.dataset import Dataset
from hugraph.data.schemes import given, leave_one_out, random, random_per_user, temporal
from hugraph.data.split import TEST, TRAIN, VALIDATION
from hugraph.errors import DataError


def dataset(degrees, timestamps=None):
    """Users with the given numbers of interactions, user by user."""
    items = np.concatenate([np.arange(degree) for degree in degrees])
    return Dataset(
        name="tiny",
        user_ids=np.array([f"u{user}" for user in range(len(degrees))], dtype=object),
        item_ids=np.array([f"i{item}" for item in range(max(*degrees, 2))], dtype=object),
        users=np.repeat(np.arange(len(degrees)), degrees),
        items=items,
        timestamps=None if timestamps is None else np.array(timestamps),
        fingerprint="",
    )


RATIOS = st.lists(st.integers(1, 8), min_size=3, max_size=3).map(
    lambda weights: [weight / sum(weights) for weight in weights]
)
DEGREES = st.lists(st.integers(1, 12), min_size=2, max_size=8)


def test_a_temporal_split_worked_by_hand_breaks_ties_by_row():
    data = dataset([5, 5], [30, 10, 20, 20, 50, 20, 40, 20, 60, 5])
    # In order of time: rows 9, 1, then 2, 3, 5, 7 of equal time, then 0, 6, 4, 8.
    parts = temporal(data, 0, ratios=[0.5, 0.2, 0.3])
    assert np.flatnonzero(parts == TRAIN).tolist() == [1, 2, 3, 5, 9]
    assert np.flatnonzero(parts == VALIDATION).tolist() == [0, 7]
    assert np.flatnonzero(parts == TEST).tolist() == [4, 6, 8]


def test_leave_one_out_worked_by_hand():
    data = dataset([4, 2, 3], [7, 9, 9, 1, 5, 6, 3, 2, 1])
    assert leave_one_out(data, 0).tolist() == [0, 1, 2, 0, 0, 0, 2, 1, 0]


def test_the_given_split_is_given_back():
    parts = np.array([0, 2, 1, 0], dtype=np.int8)
    assert given(replace(dataset([2, 2]), given_split=parts), 0).tolist() == [0, 2, 1, 0]


@property_of(DEGREES, RATIOS, st.integers(0, 99))
def test_a_random_split_has_the_sizes_of_its_ratios(degrees, ratios, seed):
    parts = random(dataset(degrees), seed, ratios=ratios)
    total = sum(degrees)
    assert np.bincount(parts, minlength=3).sum() == total
    assert abs(np.bincount(parts, minlength=3) - np.array(ratios) * total).max() <= 1


@property_of(DEGREES, RATIOS, st.integers(0, 99))
def test_a_split_per_user_has_the_sizes_that_its_rule_says(degrees, ratios, seed):
    data = dataset(degrees)
    parts = random_per_user(data, seed, ratios=ratios)
    for user, degree in enumerate(degrees):
        assume(all(abs(degree * ratio % 1 - 0.5) > 1e-9 for ratio in ratios))
        test = min(round(degree * ratios[2]), degree - 1)
        validation = min(round(degree * ratios[1]), degree - 1 - test)
        counts = np.bincount(parts[data.users == user], minlength=3)
        assert counts.tolist() == [degree - test - validation, validation, test]


@property_of(DEGREES, st.integers(0, 99))
def test_leave_one_out_without_times_holds_out_one_each(degrees, seed):
    data = dataset(degrees)
    parts = leave_one_out(data, seed)
    for user, degree in enumerate(degrees):
        counts = np.bincount(parts[data.users == user], minlength=3).tolist()
        assert counts == ([degree - 2, 1, 1] if degree >= 3 else [degree, 0, 0])


@pytest.mark.parametrize("scheme", [random, random_per_user, leave_one_out])
def test_a_split_depends_on_its_seed_alone(scheme):
    data = dataset([40, 50])
    assert scheme(data, 3).tolist() == scheme(data, 3).tolist()
    assert scheme(data, 3).tolist() != scheme(data, 4).tolist()


@pytest.mark.parametrize("scheme", [random, random_per_user, temporal])
@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ([0.8, 0.1, 0.2], r"got \[0.8, 0.1, 0.2\], sum 1.1"),
        ([1.2, 0.1, -0.3], "three shares that sum to 1"),
        ([0.5, 0.5], "three shares"),
        ([0.9, 0.1, 0.0], "train and test need a share each"),
        ([0.0, 0.5, 0.5], "train and test need a share each"),
    ],
)
def test_ratios_that_make_no_split_are_refused(scheme, ratios, message):
    with pytest.raises(ValueError, match=message):
        scheme(dataset([3, 3], range(6)), 0, ratios=ratios)


@pytest.mark.parametrize(
    ("scheme", "message"), [(given, "needs a column 'split'"), (temporal, "needs timestamps")]
)
def test_a_scheme_without_its_column_is_refused(scheme, message):
    with pytest.raises(DataError, match=message):
        scheme(dataset([2, 2]), 0)
