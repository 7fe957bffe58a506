from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hugraph.data.synthetic import planted
from hugraph.report.page import Plot
from hugraph.report.sections.items import items
from hugraph.report.views import ItemSpace
from tests.report.sections.blocks import pictures, texts
from tests.report.test_tree import level

SHOWN = np.array([0, 2, 5])
SOLID = np.array([[0, 0, 0], [4, 0, 0], [0, 2, 0]], np.float32)


@pytest.fixture(scope="module")
def dataset():
    data = planted(num_users=20, num_items=12, interactions_per_user=4, levels=[2], dim=4)
    titles = pl.Series("title", ["x" * 200, "a", "b", "c", "d", "", *"ghijkl"])
    return replace(data, item_table=data.item_table.with_columns(titles))


def test_places_are_whole_numbers_that_keep_the_shape_and_titles_are_cut(dataset):
    space = ItemSpace(np.zeros((12, 2)), (level(1, [0.6, 0.4]),), (np.arange(12) % 2,))
    section, drawn = items({"visual": space}, {"visual": (SOLID, SOLID[:, :2])}, SHOWN, dataset)
    assert drawn["titles"] == ["x" * 80, "b", "i5"]
    (shape,) = drawn["spaces"].values()
    assert (shape["x"], shape["y"], shape["z"]) == (
        [-1000, 1000, -1000], [-500, -500, 500], [0, 0, 0],
    )  # fmt: skip
    assert shape["levels"] == [{"level": 1, "strongest": [0, 0, 1], "intents": ["1.0", "1.1"]}]
    assert any(isinstance(block, Plot) and block.draws == "items" for block in section.blocks)
    assert "3 of 12 items, drawn at random" in " ".join(texts(section))


def test_items_of_a_model_without_intents_have_no_levels(dataset):
    everything, flat = np.arange(12), np.random.default_rng(0).normal(size=(12, 3))
    spaces = {"items": ItemSpace(np.zeros((12, 2)), (), ())}
    section, drawn = items(spaces, {"items": (flat, flat[:, :2])}, everything, dataset)
    assert drawn["spaces"]["items"]["levels"] == []
    assert "at random" not in " ".join(texts(section))
    assert len(pictures(section)) == 1
