import json
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest
import torch

from hugraph.data.dataset import Dataset
from hugraph.data.describe import ModalityDescription, describe
from hugraph.data.files import load_directory
from hugraph.data.split import make_split
from hugraph.interfaces import TokenBag

DATA = Dataset(
    name="tiny",
    user_ids=np.array(["ann", "bob"], dtype=object),
    item_ids=np.array(["x", "y", "z", "w"], dtype=object),
    users=np.array([0, 0, 0, 1]),
    items=np.array([0, 1, 2, 0]),
    timestamps=np.array([7, 3, 5, 9]),
    item_table=pl.DataFrame({"item": list("xyzw"), "title": ["X", "", "Z", ""]}),
    features={
        "visual": np.array([[3, 4, 3], [0, 0, 0], [6, 8, 6], [0, 0, 0]], dtype=np.float32),
        "words": TokenBag(torch.tensor([0, 1, 0]), torch.tensor([0, 2, 2, 3, 3]), 2),
    },
    fingerprint="f",
    warnings=("one",),
)


def test_a_description_worked_by_hand():
    told = describe(DATA, make_split(DATA, np.array([0, 1, 2, 0])))
    assert (told.users, told.items, told.interactions, told.titles) == (2, 4, 4, 2)
    assert told.sparsity == 0.5
    assert told.user_degrees == {
        "min": 1, "25%": 1, "median": 1, "75%": 3, "95%": 3, "max": 3
    }  # fmt: skip
    assert told.item_degrees["min"] == 0
    assert told.item_degrees["max"] == 2
    assert told.timestamps == (3, 9)
    assert told.ratings is None
    visual = told.modalities["visual"]
    assert replace(visual, mean_norm=0) == ModalityDescription("matrix", (4, 3), 2, 0, 0, 1)
    assert visual.mean_norm == pytest.approx((34**0.5 + 136**0.5) / 2)
    assert told.modalities["words"] == ModalityDescription("tokens", (4, 2), 2, 1.5, 0, 0)
    assert told.split["users_without_training"] == 0
    assert told.bytes == 3 * 4 * 8 + 4 * 3 * 4 + 3 * 8 + 5 * 8
    assert told.warnings == ("one",)


def test_a_description_is_ready_for_json():
    told = json.loads(json.dumps(asdict(describe(DATA)), allow_nan=False))
    assert told["modalities"]["visual"]["shape"] == [4, 3]
    assert told["split"] == {}


def test_the_figures_of_a_real_dataset(real_data):
    told = describe(load_directory(path=str(real_data("tiktok"))))
    assert (told.users, told.items, told.interactions) == (9308, 6710, 68722)
    assert told.titles == 0
    assert {name: m.missing for name, m in told.modalities.items()} == {"acoustic": 0, "visual": 0}
    told = describe(load_directory(path=str(real_data("ml-latest-small"))))
    assert told.modalities["acoustic"].missing == 2764
    assert told.modalities["visual_trailer"].missing == 2127
    assert told.ratings == (0.5, 5.0)
