import dataclasses

import pytest

from hugraph.data.synthetic import planted
from hugraph.report.intents import Lift
from hugraph.report.page import Details, Prose, Table
from hugraph.report.sections.intents import intents
from tests.report.test_tree import level

FINE = level(1, [0.6, 0.4], [[0.9, 0.1], [0.2, 0.8]])
COARSE = level(2, [0.62, 0.38])
DULL = dataclasses.replace(COARSE, information=0.0, remark="all items are assigned nearly alike")


@pytest.fixture(scope="module")
def dataset():
    return planted(num_users=20, num_items=12, interactions_per_user=4, levels=[2], dim=4)


def fine_table(section):
    details = next(block for block in section.blocks if isinstance(block, Details))
    return details.blocks[0]


def test_an_intent_stands_beside_its_parent_and_under_it(dataset):
    section, drawn = intents([FINE, COARSE], dataset)
    table = fine_table(section)
    place = table.header.index("parent")
    assert [row[place] for row in table.rows] == ["2.0 90%", "2.1 80%"]
    parents = {node["name"]: node["parent"] for node in drawn["visual"]}
    assert parents == {"visual": "", "2.0": "root", "1.0": "2/0", "2.1": "root", "1.1": "2/1"}


def test_a_level_that_says_nothing_is_named_once_and_is_nobodys_parent(dataset):
    section, drawn = intents([FINE, DULL], dataset)
    warned = [block.text for block in section.blocks if isinstance(block, Prose) and block.beware]
    assert warned == ["Not to be believed as they stand: levels visual 2; the table says why."]
    (levels,) = (block for block in section.blocks if isinstance(block, Table))
    assert [row[-1] for row in levels.rows] == ["", DULL.remark]
    assert "parent" not in fine_table(section).header
    assert [node["name"] for node in drawn["visual"]] == ["visual", "1.0", "1.1"]


def test_labels_stand_together_under_the_column_that_they_are_of(dataset):
    lifts = [
        Lift("genre", "rock", 2.0, 5),
        Lift("tag", "loud", 1.5, 4),
        Lift("genre", "pop", 1.2, 3),
    ]
    intents_of = [dataclasses.replace(FINE.intents[0], lifts=tuple(lifts)), FINE.intents[1]]
    section, _ = intents([dataclasses.replace(FINE, intents=tuple(intents_of))], dataset)
    table = fine_table(section)
    said = [row[table.header.index("labels")] for row in table.rows]
    assert said == ["genre: rock ×2.0, pop ×1.2; tag: loud ×1.5", ""]
