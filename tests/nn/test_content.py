import pytest
import torch
from torch.testing import assert_close

from hugraph.file_matrix import FileMatrix
from hugraph.interfaces import TokenBag
from hugraph.nn import ModalityContent, TokenEmbedding

BAG = TokenBag(torch.tensor([0, 2, 2, 1]), torch.tensor([0, 3, 3, 4]), 3)


def test_an_item_is_the_mean_of_its_tokens_repeats_counted_worked_by_hand():
    layer = TokenEmbedding(BAG, dim=2)
    layer.embeddings.data = torch.tensor([[3.0, 0], [5, 5], [0, 6]])
    assert_close(layer(), torch.tensor([[1.0, 4], [0, 0], [5, 5]]))


def test_token_embeddings_learn_only_from_items_that_hold_them():
    layer = TokenEmbedding(BAG, dim=1)
    layer().T[0, 0].backward()
    assert_close(layer.embeddings.grad, torch.tensor([[1 / 3], [0], [2 / 3]]))


@pytest.mark.parametrize(
    ("bag", "message"),
    [
        (TokenBag(torch.tensor([0, 3]), torch.tensor([0, 2]), 3), r"\[0, 3\), got 0 to 3"),
        (TokenBag(torch.tensor([-1]), torch.tensor([0, 1]), 3), r"got -1 to -1"),
        (TokenBag(torch.tensor([0, 1]), torch.tensor([0, 1]), 3), "from 0 to 2.*got 0 to 1"),
    ],
)
def test_a_bag_out_of_range_is_refused(bag, message):
    with pytest.raises(ValueError, match=message):
        TokenEmbedding(bag, dim=2)


def test_content_knows_what_is_missing_and_what_is_fixed():
    content = ModalityContent(
        {"visual": torch.tensor([[1.0, 0], [0, 2], [0, 0]]), "textual": BAG}, 3, token_dim=4
    )
    assert content.names == ("visual", "textual") and content.dims == [2, 4]
    assert content.present.tolist() == [[True, True], [True, False], [False, True]]
    assert [content.is_fixed(m) for m in range(2)] == [True, False]
    assert content.complete == [False, False]
    assert not any("visual" in key or "_sources.0" in key for key in content.state_dict())


def test_a_modality_with_other_rows_is_refused():
    with pytest.raises(ValueError, match="visual has 2 rows for 3 items"):
        ModalityContent({"visual": torch.ones(2, 4)}, 3)
    with pytest.raises(ValueError, match="no modality 'visuel'; did you mean 'visual'"):
        ModalityContent({"visual": torch.ones(3, 4)}, 3, modalities=["visuel"])
    with pytest.raises(ValueError, match="got none"):
        ModalityContent({}, 3)


def test_chosen_modalities_come_in_the_chosen_order():
    features = {
        name: torch.full((2, 1), value) for name, value in zip("abc", (1.0, 2.0, 3.0), strict=True)
    }
    content = ModalityContent(features, 2, modalities=["c", "a"])
    assert content.names == ("c", "a")
    assert [matrix[0].item() for matrix in content.rows()] == [3.0, 1.0]


def test_chosen_items_are_the_rows_of_all():
    torch.manual_seed(0)
    content = ModalityContent({"visual": torch.randn(3, 2), "textual": BAG}, 3, token_dim=4)
    items = torch.tensor([2, 1, 0, 2])
    for chosen, everything in zip(content.rows(items), content.rows(), strict=True):
        assert_close(chosen, everything[items])


def test_modalities_side_by_side_in_a_file_are_read_once_worked_by_hand(monkeypatch):
    visual, acoustic = torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[5.0], [6]])
    given = {"visual": visual, "textual": torch.ones(2, 3), "acoustic": acoustic}
    content = ModalityContent(given, 2)
    content.store([2, 0], FileMatrix.from_rows([torch.cat([10 * acoustic, 10 * visual], dim=1)]))
    assert [content.is_stored(m) for m in range(3)] == [True, False, True]
    assert content.stored(0) is content.stored(2)
    assert_close(content.of(0), 10 * visual)
    read = []
    rows = FileMatrix.rows
    monkeypatch.setattr(FileMatrix, "rows", lambda self, i: (read.append(i), rows(self, i))[1])
    got = content.rows(torch.tensor([1]))
    assert [features.tolist() for features in got] == [[[30, 40]], [[1, 1, 1]], [[60]]]
    assert len(read) == 1
    (only,) = content.rows(modalities=[2])
    assert_close(only, 10 * acoustic)


def test_raw_content_is_the_fixed_features_or_the_counts_of_tokens_worked_by_hand():
    visual = torch.tensor([[1.0, 0], [0, 2], [0, 0]])
    content = ModalityContent({"visual": visual, "textual": BAG}, 3)
    assert content.raw(0) is visual
    counts = content.raw(1)
    assert counts.is_sparse
    assert_close(counts.to_dense(), torch.tensor([[1.0, 0, 2], [0, 0, 0], [0, 1, 0]]))
