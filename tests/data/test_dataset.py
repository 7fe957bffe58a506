import numpy as np
import polars as pl
import pytest
import torch

from hugraph.data.dataset import Dataset
from hugraph.errors import DataError
from hugraph.interfaces import TokenBag


def dataset(**changes):
    values = {
        "name": "tiny",
        "user_ids": np.array(["ann", "bob"], dtype=object),
        "item_ids": np.array(["x1", "x2", "x3"], dtype=object),
        "users": np.array([0, 0, 1]),
        "items": np.array([0, 2, 2]),
        "fingerprint": "",
    }
    return Dataset(**(values | changes))


def test_raw_ids_titles_and_indices_belong_together():
    table = pl.DataFrame({"item": ["x1", "x2", "x3"], "title": ["One", "", "Three"]})
    data = dataset(item_table=table)
    assert (data.num_users, data.num_items, data.num_interactions) == (2, 3, 3)
    assert [data.user_index(raw) for raw in ("ann", "bob")] == [0, 1]
    assert [data.title(data.item_index(raw)) for raw in ("x1", "x2", "x3")] == ["One", "", "Three"]
    assert dataset().title(0) == ""


def test_present_says_which_items_have_a_modality():
    bag = TokenBag(torch.tensor([0, 1, 0]), torch.tensor([0, 2, 2, 3]), 2)
    matrix = np.array([[0.0, 0.0], [0.0, 2.0], [-1.0, 1.0]], dtype=np.float32)
    data = dataset(features={"words": bag, "visual": matrix})
    assert data.present("words").tolist() == [True, False, True]
    assert data.present("visual").tolist() == [False, True, True]


def test_an_unknown_id_is_answered_with_those_that_look_like_it():
    with pytest.raises(DataError) as caught:
        dataset().item_index("x11")
    assert "item 'x11' is not in this dataset (3 items)" in str(caught.value)
    assert "'x1'" in str(caught.value)
    with pytest.raises(DataError, match=r"user 'zoe'.*\(2 users\)"):
        dataset().user_index("zoe")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": np.array([0, 2])}, "2 items for 3 interactions"),
        ({"ratings": np.array([1.0])}, "1 ratings for 3 interactions"),
        ({"items": np.array([0, 3, 1])}, r"items run from 0 to 3, must lie in \[0, 3\)"),
        ({"users": np.array([0, -1, 1])}, r"users run from -1 to 1, must lie in \[0, 2\)"),
        ({"items": np.array([0, 0, 1])}, "1 of 3 interactions repeat a pair"),
        ({"features": {"visual": np.ones((2, 4))}}, "visual has 2 rows for 3 items"),
        ({"truth": {"level_1": np.ones(4)}}, "level_1 has 4 rows for 3 items"),
        ({"item_table": pl.DataFrame({"item": ["x1"]})}, "item_table has 1 rows for 3 items"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_both_numbers(changes, message):
    with pytest.raises(ValueError, match=message):
        dataset(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_ids": np.array(["ann"], dtype=object)}, "1 users, 3 items, 3 interactions"),
        ({"users": np.array([], int), "items": np.array([], int)}, "0 interactions"),
    ],
)
def test_a_dataset_too_small_to_learn_from_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        dataset(**changes)
