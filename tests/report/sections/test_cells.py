import math

import pytest

from hugraph.report.page import Number
from hugraph.report.sections.cells import counted, four, interval, ratio, shortest, table_of, three
from tests.report.sections.blocks import shown


@pytest.mark.parametrize("write", [four, three])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_leaves_the_cell_empty(write, value):
    assert write(value) == ""


def test_what_is_nearly_nothing_is_not_less_than_nothing():
    assert (three(-1e-9).text, four(-0.00004).text) == ("0.000", "0.0000")
    assert three(-0.0006).text == "-0.001"


def test_one_is_one_thing_and_all_else_are_things():
    assert [counted(n, "user") for n in (0, 1, 2000)] == ["0 users", "1 user", "2,000 users"]


def test_numbers_are_sorted_by_their_value_and_not_by_their_text():
    assert four(0.12345678) == Number(0.12345678, "0.1235")
    assert three(2 / 3) == Number(2 / 3, "0.667")
    assert shortest(1234.567) == Number(1234.567, "1235") and shortest(None) == ""


@pytest.mark.parametrize("baseline", [0.0, math.nan])
def test_nothing_is_a_multiple_of_nothing(baseline):
    assert ratio(0.3, 0.2).text == "1.50×"
    assert ratio(0.3, baseline) == ""


def test_a_single_user_gives_no_bounds():
    assert interval(0.1, 0.25) == "0.1000 to 0.2500"
    assert interval(-math.inf, math.inf) == "unbounded"


def test_a_column_that_is_empty_in_every_row_is_left_out():
    table = table_of("all", ["a", "b", "c"], [["x", "", Number(0, "0")], ["", "", 1]])
    assert list(table.header) == ["a", "c"]
    assert shown(table) == [["x", "0"], ["", 1]]
