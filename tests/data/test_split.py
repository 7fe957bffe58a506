from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugraph.data.dataset import Dataset
from hugraph.data.split import TEST, TRAIN, VALIDATION, encode_split, make_split, read_split
from hugraph.errors import DataError

DATA = Dataset(
    name="tiny",
    user_ids=np.array(["ann", "b,b", "cat"], dtype=object),
    item_ids=np.array(["x", "y", "z", "w", "never"], dtype=object),
    users=np.array([0, 0, 1, 1, 2, 2]),
    items=np.array([0, 1, 0, 2, 3, 1]),
    fingerprint="",
)
PARTS = np.array([TRAIN, VALIDATION, TRAIN, TEST, TEST, VALIDATION])


def pairs_of(part):
    return list(zip(part.users.tolist(), part.items.tolist(), strict=True))


def test_a_split_worked_by_hand():
    split = make_split(DATA, PARTS)
    assert pairs_of(split.train) == [(0, 0), (1, 0)]
    assert pairs_of(split.validation) == [(0, 1), (2, 1)]
    assert pairs_of(split.test) == [(1, 2), (2, 3)]
    assert split.counts == {
        "train": 2,
        "validation": 2,
        "test": 2,
        "users_without_training": 1,  # cat
        "cold_items_in_validation": 1,  # y
        "cold_items_in_test": 2,  # z and w
        "items_without_interactions": 1,
    }


@given(st.permutations(range(6)), st.permutations(range(3)), st.permutations(range(5)))
def test_the_hash_is_that_of_raw_ids_and_parts_in_any_order(rows, users, items):
    users, items = np.array(users), np.array(items)
    shuffled = replace(
        DATA,
        user_ids=DATA.user_ids[users],
        item_ids=DATA.item_ids[items],
        users=np.argsort(users)[DATA.users[rows]],
        items=np.argsort(items)[DATA.items[rows]],
    )
    assert make_split(shuffled, PARTS[rows]).hash == make_split(DATA, PARTS).hash


def test_the_hash_tells_parts_users_and_items_apart():
    swapped = PARTS.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    renamed = replace(DATA, user_ids=np.array(["ann", "bob", "cat"], dtype=object))
    never = replace(DATA, item_ids=np.array(["x", "y", "z", "w", "nowhere"], dtype=object))
    hashes = {make_split(DATA, parts).hash for parts in (PARTS, swapped)}
    assert len(hashes | {make_split(renamed, PARTS).hash}) == 3
    assert make_split(never, PARTS).hash == make_split(DATA, PARTS).hash


def test_a_written_split_is_read_back_for_data_in_another_order(tmp_path):
    split, path = make_split(DATA, PARTS), tmp_path / "split.parquet"
    path.write_bytes(encode_split(split, DATA))
    again = read_split(path, DATA)
    assert again.hash == split.hash
    assert again.counts == split.counts
    assert [pairs_of(p) for p in (again.train, again.validation, again.test)] == [
        pairs_of(p) for p in (split.train, split.validation, split.test)
    ]
    order = np.array([5, 3, 0, 1, 4, 2])
    shuffled = replace(DATA, users=DATA.users[order], items=DATA.items[order])
    assert read_split(path, shuffled).hash == split.hash


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.head(5),
        lambda frame: pl.concat([frame, frame.head(1)]),
        lambda frame: pl.concat([frame.head(5), frame.head(1)]),
        lambda frame: frame.with_columns(user=pl.lit("zoe")),
        lambda frame: frame.with_columns(item=pl.lit("q")),
        lambda frame: frame.with_columns(split=pl.lit("dev")),
        lambda frame: frame.with_columns(split=pl.lit(None, pl.String)),
    ],
)
def test_a_split_of_other_interactions_is_refused(tmp_path, change):
    path = tmp_path / "split.parquet"
    path.write_bytes(encode_split(make_split(DATA, PARTS), DATA))
    change(pl.read_parquet(path)).write_parquet(path)
    with pytest.raises(DataError, match="they are not the 6 of dataset 'tiny'"):
        read_split(path, DATA)


def test_a_damaged_split_is_refused(tmp_path):
    path = tmp_path / "split.parquet"
    path.write_bytes(encode_split(make_split(DATA, PARTS), DATA))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="Parquet cannot be read"):
        read_split(path, DATA)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="5 parts for 6 interactions"):
        make_split(DATA, PARTS[:5])
    with pytest.raises(ValueError, match=r"parts must be 0, 1 or 2, got \[0 1 2 3\]"):
        make_split(DATA, np.array([0, 1, 2, 3, 0, 0]))
    with pytest.raises(DataError, match="no train interaction among 6"):
        make_split(DATA, np.full(6, TEST))
    with pytest.raises(DataError, match="no test interaction among 6"):
        make_split(DATA, np.full(6, TRAIN))
