import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugraph.data.ids import indices_of, lookalikes


@given(st.lists(st.text(), unique=True, min_size=1), st.lists(st.text()))
def test_ids_are_found_by_equality_alone(ids, asked):
    expected = [ids.index(raw_id) if raw_id in ids else -1 for raw_id in asked]
    assert indices_of(pl.Series(asked, dtype=pl.String), ids).tolist() == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7", "07"),
        ("7", "7.0"),
        ("7", "7 "),
        ("ann", "Ann"),
        ("é", "e\u0301"),
        ("12", "１２"),
    ],
)
def test_ids_that_differ_in_spelling_only_are_pointed_out(one, other):
    assert lookalikes([one, "else", other]) == [(one, other)]


@pytest.mark.parametrize(
    "ids", [["1", "10", "100"], ["a1", "a01", "b1"], ["0", "00x"], ["-1", "1"]]
)
def test_ids_that_differ_in_more_are_not(ids):
    assert lookalikes(ids) == []
