from dataclasses import replace

import numpy as np

from hugraph.data.synthetic import planted
from hugraph.report.page import Code, Facts
from hugraph.report.sections.run import metrics, run_card
from tests.report.sections.blocks import flat, shown, tables, texts

RESULT = {
    "test": {"recall@5": 0.2, "ndcg@5": 0.1, "recall@10": 0.3, "users": 3},
    "popularity": {"recall@5": 0.1, "ndcg@5": 0.0, "recall@10": 0.2},
    "epochs": 7,
    "best_epoch": 4,
    "seconds": 1234.5,
}
RECORD = {
    "model": "huign",
    "data": {"name": "shop", "synthetic": True, "fingerprint": "f" * 64, "warnings": ["odd"]},
    "split_counts": {"train": 1000, "validation": 20, "test": 3},
    "split_hash": "5" * 64,
    "environment": {"torch": "2.13.0", "threads": 1},
}


def test_the_card_tells_model_data_split_versions_time_and_what_is_odd():
    data = planted(num_users=20, num_items=12, interactions_per_user=4, levels=[2], dim=4)
    section = run_card(RECORD, RESULT, "version: 1\n", replace(data, features={}))
    large, facts = (block.values for block in section.blocks if isinstance(block, Facts))
    assert large == {"recall@5 (2.0× popularity)": "0.2000", "ndcg@5": "0.1000"}
    assert facts["data"] == "shop (synthetic)" and facts["items"] == "12"
    assert facts["modalities"] == "none"
    assert facts["training, validation, test"] == "1,000, 20, 3"
    assert facts["epochs"] == "7, the best 4" and facts["seconds of training"] == "1,234.5"
    assert (facts["hash of the split"], facts["threads"]) == ("5" * 16, "1")
    assert texts(section) == ["odd"]
    (code,) = (block for block in flat(section.blocks) if isinstance(block, Code))
    assert code.text == "version: 1\n"


def test_the_difference_to_popularity_is_that_of_the_same_users():
    ours = {"recall@5": np.array([0.6, 0.0, 0.0])}
    theirs = {"recall@5": np.array([0.1, 0.0, 0.2])}
    (table,) = tables(metrics("huign", RESULT, ours, theirs))
    assert table.caption == "Test metrics over 3 users"
    first, second, third = shown(table)
    assert first[:2] == ["recall@5", "0.2000"] and first[3:6] == ["0.1000", "2.00×", "+0.1000"]
    assert first[-1] == "1 / 1 / 1"
    assert second == ["ndcg@5", "0.1000", "", "0.0000", "", "", "", ""]
    assert third[4] == "1.50×"


def test_a_metric_that_popularity_lacks_stands_alone():
    result = {**RESULT, "popularity": {}}
    (table,) = tables(metrics("huign", result, {}, {}))
    assert list(table.header) == ["metric", "huign"]
    assert shown(table)[0] == ["recall@5", "0.2000"]
