import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugraph.train.negatives import UnseenItems

RNG = np.random.default_rng


def test_the_only_unseen_item_is_drawn_worked_by_hand():
    users, items = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 2, 0, 1, 2])
    unseen = UnseenItems(users, items, num_users=3, num_items=3)
    assert unseen.draw(np.array([0, 1, 2, 0]), RNG(0)).tolist() == [2, 1, 0, 2]


@given(st.data())
def test_draws_cover_exactly_the_unseen_items(data):
    num_users, num_items = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 8))
    pair = st.tuples(st.integers(0, num_users - 1), st.integers(0, num_items - 1))
    pairs = data.draw(st.lists(pair, unique=True, max_size=num_users * num_items))
    unseen = UnseenItems(
        np.array([u for u, _ in pairs], dtype=np.int64),
        np.array([i for _, i in pairs], dtype=np.int64),
        num_users,
        num_items,
    )
    for user in range(num_users):
        expected = set(range(num_items)) - {i for u, i in pairs if u == user}
        assert unseen.num_unseen[user] == len(expected)
        if expected:
            drawn = unseen.draw(np.full(40 * num_items, user), RNG(1))
            assert set(drawn.tolist()) == expected


def test_draws_are_uniform_for_sparse_and_dense_histories():
    rng, num_items, draws = RNG(7), 50, 200_000
    histories = [rng.choice(num_items, size=size, replace=False) for size in (0, 3, 25, 47)]
    users = np.repeat(np.arange(4), [len(h) for h in histories])
    unseen = UnseenItems(users, np.concatenate(histories), 4, num_items)
    for user, history in enumerate(histories):
        counts = np.bincount(unseen.draw(np.full(draws, user), rng), minlength=num_items)
        assert not counts[history].any()
        expected = draws / (num_items - len(history))
        chi2 = ((np.delete(counts, history) - expected) ** 2 / expected).sum()
        freedom = num_items - len(history) - 1
        assert chi2 < freedom + 5 * np.sqrt(2 * freedom)  # five standard deviations


def test_a_user_who_has_seen_everything_is_refused_not_looped_over():
    unseen = UnseenItems(np.array([0, 0, 1]), np.array([0, 1, 1]), 2, 2)
    with pytest.raises(ValueError, match="1 users have seen every item"):
        unseen.draw(np.array([1, 0]), RNG(0))


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ([0, 2], [0, 0], r"user indices must be in \[0, 2\), got 0 to 2"),
        ([0, 1], [-1, 0], r"item indices must be in \[0, 3\), got -1 to 0"),
        ([0, 1, 0], [1, 1, 1], "1 user-item pairs occur twice"),
    ],
)
def test_pairs_that_would_give_wrong_draws_are_refused(users, items, message):
    with pytest.raises(ValueError, match=message):
        UnseenItems(np.array(users), np.array(items), 2, 3)


def test_int32_pairs_of_many_users_and_items_do_not_overflow():
    num_users = num_items = 70_000  # the last pair is beyond 2**32
    users = np.array([0, num_users - 1], dtype=np.int32)
    items = np.array([0, num_items - 1], dtype=np.int32)
    drawn = UnseenItems(users, items, num_users, num_items).draw(users, RNG(0))
    expected = UnseenItems(users.astype(int), items.astype(int), num_users, num_items)
    assert drawn.tolist() == expected.draw(users.astype(int), RNG(0)).tolist()
