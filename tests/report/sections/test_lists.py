import numpy as np

from hugraph.report.exposure import exposure
from hugraph.report.sections.lists import lists
from tests.report.sections.blocks import pictures, shown, tables


def test_coverage_and_the_shares_of_the_popular_are_told_in_hundredths():
    popularity = np.arange(20, 0, -1)
    groups = {
        "all alike": exposure(np.full(20, 3), popularity),
        "the first": exposure(np.eye(20, dtype=int)[0], popularity),
    }
    section = lists(groups, 10)
    (table,) = tables(section)
    assert table.caption == "Lists of 10 items for every user"
    assert shown(table) == [
        ["all alike", "100.0%", "0.000", "10.0%", "50.0%"],
        ["the first", "5.0%", "0.950", "100.0%", "0.0%"],
    ]
    assert len(pictures(section)) == 1
