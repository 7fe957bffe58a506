import numpy as np
import pytest

from hugraph.report.sections.assignments import assignments, modalities
from hugraph.report.views import Heat, ItemSpace
from tests.report.sections.blocks import pictures, shown, tables, texts

HALVES = np.repeat([0, 1], 20)


def space(*strongest):
    return ItemSpace(np.zeros((40, 2)), (), strongest)


def test_modalities_that_sort_items_alike_agree_wholly_at_the_levels_that_both_have():
    section = modalities({"visual": space(HALVES, HALVES), "textual": space(1 - HALVES)}, seed=0)
    (table,) = tables(section)
    ((pair, level, found, shuffled),) = shown(table)
    assert (pair, level, found) == ("visual, textual", 1, "1.000")
    assert float(shuffled) < 0.3


def test_three_modalities_are_compared_pair_by_pair():
    table = tables(modalities({name: space(HALVES) for name in "abc"}, seed=0))[0]
    assert [row[0] for row in table.rows] == ["a, b", "a, c", "b, c"]


def test_one_modality_has_no_other_to_be_compared_with():
    section = modalities({"visual": space(HALVES)}, seed=0)
    assert not tables(section) and "has one modality" in texts(section)[0]


@pytest.mark.parametrize("panels", [1, 2])
def test_heat_maps_are_one_picture(panels):
    heat = Heat("items to level 1", np.eye(3), (), ["a", "b", "c"])
    section = assignments({f"m{index}": [heat] for index in range(panels)})
    assert section.name == "assignments" and len(pictures(section)) == 1
