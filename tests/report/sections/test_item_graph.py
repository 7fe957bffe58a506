import pytest

from hugraph.report.sections.item_graph import item_graph
from tests.report.sections.blocks import pictures, shown, tables, texts


@pytest.mark.parametrize("chosen", [2, None])
def test_the_edges_of_each_threshold_are_told_and_that_of_the_run(chosen):
    section = item_graph({1: 12_000, 2: 30}, chosen)
    assert shown(tables(section)[0]) == [[1, "12,000"], [2, "30"]]
    assert ("; the run's threshold, 2, stands out." in texts(section)[0]) == bool(chosen)
    assert len(pictures(section)) == 1
