from hugraph.report.runs import Epoch
from hugraph.report.sections.training import training
from tests.report.sections.blocks import pictures, shown, tables, texts


def test_every_epoch_is_a_row_and_what_was_not_measured_is_left_open():
    epochs = [
        Epoch(1, "bpr", {"bpr": 0.69314, "l2": 12.0}, {"recall@5": 0.25}),
        Epoch(2, "bpr", {"bpr": 0.5, "l2": 10.0}, {}),
    ]
    section = training(epochs, 1)
    (table,) = tables(section)
    assert list(table.header) == ["epoch", "bpr", "l2", "recall@5"]
    assert shown(table) == [[1, "0.6931", "12", "0.25"], [2, "0.5", "10", ""]]
    assert len(pictures(section)) == 1
    assert "the best, 1, is dotted" in texts(section)[0]


def test_a_model_that_is_not_trained_says_so():
    section = training([], 0)
    assert "no parameters to train" in texts(section)[0] and not pictures(section)
