from hugraph.report.sections.stability import stable
from hugraph.report.stability import LevelStability
from tests.report.sections.blocks import shown, tables, texts
from tests.report.test_tree import level

LEVELS = [level(1, [0.6, 0.395, 0.005])]  # the last one has no items


def test_levels_and_their_intents_stand_with_their_agreement():
    found = [LevelStability("visual", 1, (0.9, 0.3, 0.0), 0.05)]
    section = stable(found, LEVELS, 2)
    assert texts(section)[0].startswith("Intents of 2 other runs are matched")
    by_level, by_intent = tables(section)
    assert shown(by_level) == [["visual", 1, "0.400", "0.050"]]
    assert shown(by_intent) == [["1.0", "visual", 1, "0.900"], ["1.1", "visual", 1, "0.300"]]


def test_one_run_alone_says_how_to_find_out():
    assert "name those runs with --beside" in texts(stable([], LEVELS, 0))[0]
