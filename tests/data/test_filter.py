from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hugraph.data.dataset import Dataset
from hugraph.data.filter import filter_interactions
from hugraph.data.oddities import with_oddities
from hugraph.errors import DataError
from hugraph.interfaces import TokenBag

# ann and bob have x, y; cat has y, z; dan has z. The 2-core drops z and with it dan, then cat.
DATA = Dataset(
    name="tiny",
    user_ids=np.array(["dan", "ann", "bob", "cat"], dtype=object),
    item_ids=np.array(["never", "x", "y", "z"], dtype=object),
    users=np.array([0, 1, 1, 2, 2, 3]),
    items=np.array([3, 1, 2, 1, 2, 2]),
    ratings=np.array([5.0, 4.0, 3.0, 5.0, 5.0, 4.0]),
    timestamps=np.array([10, 11, 12, 13, 14, 15]),
    given_split=np.array([0, 1, 2, 0, 1, 2], dtype=np.int8),
    item_table=pl.DataFrame({"item": ["never", "x", "y", "z"], "title": ["N", "X", "Y", "Z"]}),
    features={
        "visual": np.arange(8, dtype=np.float32).reshape(4, 2),
        "words": TokenBag(torch.tensor([7, 1, 2, 3, 4, 7]), torch.tensor([0, 1, 3, 3, 6]), 8),
    },
    truth={"level_1": np.array([0, 1, 2, 3])},
    fingerprint="f",
    warnings=("before",),
)


def test_a_two_core_worked_by_hand_keeps_everything_aligned():
    core = filter_interactions(DATA, k_core=2)
    assert core.user_ids.tolist() == ["ann", "bob"]
    assert core.item_ids.tolist() == ["x", "y"]
    assert (core.users.tolist(), core.items.tolist()) == ([0, 0, 1, 1], [0, 1, 0, 1])
    assert core.ratings.tolist() == [4, 3, 5, 5]
    assert core.timestamps.tolist() == [11, 12, 13, 14]
    assert core.given_split.tolist() == [1, 2, 0, 1]
    assert [core.title(item) for item in (0, 1)] == ["X", "Y"]
    assert core.features["visual"].tolist() == [[2, 3], [4, 5]]
    assert core.features["words"].tokens.tolist() == [1, 2]
    assert core.features["words"].offsets.tolist() == [0, 2, 2]
    assert core.truth["level_1"].tolist() == [1, 2]
    assert core.warnings == (
        "before",
        "2 users have every item, nothing can be recommended to them",
        "words: 1 of 2 items lack it",
        "filtered with k_core 2, min_rating None: interactions 6 → 4, users 4 → 2, items 4 → 2",
    )


def test_the_warnings_count_what_is_left():
    before = with_oddities(DATA)
    assert "1 of 4 items have no interaction" in before.warnings
    assert "words: 2 of 4 items lack it" not in before.warnings
    assert "words: 1 of 4 items lack it" in before.warnings
    core = filter_interactions(before, k_core=2)
    assert core.warnings == filter_interactions(DATA, k_core=2).warnings


def test_a_rating_threshold_worked_by_hand():
    liked = filter_interactions(DATA, min_rating=4.5)
    pairs = zip(liked.user_ids[liked.users], liked.item_ids[liked.items], strict=True)
    assert list(pairs) == [("dan", "z"), ("bob", "x"), ("bob", "y")]
    assert liked.features["words"].tokens.tolist() == [1, 2, 3, 4, 7]


def test_without_options_cold_items_stay():
    assert filter_interactions(DATA) is DATA


@given(
    st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1),
    st.integers(1, 3),
)
def test_the_core_is_what_dropping_one_weak_node_at_a_time_leaves(pairs, k_core):
    users, items = (np.array(column) for column in zip(*sorted(pairs), strict=True))
    ids = np.array(list("abcdef"), dtype=object)
    data = Dataset(name="", user_ids=ids, item_ids=ids, users=users, items=items, fingerprint="")
    left = set(pairs)
    while True:
        weak = [
            pair
            for pair in sorted(left)
            for side in (0, 1)
            if sum(other[side] == pair[side] for other in left) < k_core
        ]
        if not weak:
            break
        left.remove(weak[0])
    wanted = {(ids[user], ids[item]) for user, item in left}
    sides = [len({pair[side] for pair in left}) for side in (0, 1)]
    if min(sides) < 2:
        with pytest.raises(DataError):
            filter_interactions(data, k_core=k_core)
        return
    core = filter_interactions(data, k_core=k_core)
    got = zip(core.user_ids[core.users], core.item_ids[core.items], strict=True)
    assert set(got) == wanted
    assert (core.num_users, core.num_items) == tuple(sides)


def test_nothing_left_and_missing_ratings_are_errors():
    with pytest.raises(DataError, match="nothing remains of 6 interactions with k_core 3"):
        filter_interactions(DATA, k_core=3)
    with pytest.raises(DataError, match="min_rating 9"):
        filter_interactions(DATA, min_rating=9)
    with pytest.raises(DataError, match="min_rating 3 asks for ratings, there are none"):
        filter_interactions(replace(DATA, ratings=None), min_rating=3)
