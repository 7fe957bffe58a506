import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.nn import Neighbors, nearest_neighbors, neighbors, normalized_weights

TRIANGLE = torch.tensor([[1.0, 0], [3, 3], [0, 2]])


def test_three_rows_at_45_degrees_worked_by_hand():
    found = nearest_neighbors(TRIANGLE, 1)
    half = torch.tensor(0.5).sqrt()
    assert found.indices[0].item() == 1 and found.indices[2].item() == 1
    assert_close(found.similarities, half.expand(3, 1))
    own = nearest_neighbors(TRIANGLE, 1, include_self=True)
    assert own.indices.flatten().tolist() == [0, 1, 2]
    assert_close(own.similarities, torch.ones(3, 1))


def test_shrinkage_prefers_the_longer_of_two_in_one_direction_worked_by_hand():
    features = torch.tensor([[1.0, 0], [3, 0], [4, 3]])
    assert nearest_neighbors(features, 1).indices[0].item() == 1
    found = nearest_neighbors(features, 1, shrinkage=5.0)
    assert found.indices[0].item() == 2  # 4 / (5 + 5) against 3 / (3 + 5)
    assert_close(found.similarities[0], torch.tensor([0.4]))


@given(
    st.integers(0, 10**6),
    st.integers(1, 7),
    st.booleans(),
    st.sampled_from([0.0, 2.0]),
    st.booleans(),
    st.sampled_from([1, 2, 100]),
)
def test_neighbors_are_those_of_the_dense_matrix_however_it_is_held_and_cut(
    seed, k, include_self, shrinkage, is_sparse, rows
):
    torch.manual_seed(seed)
    features = torch.randn(5, 3).double()
    features[seed % 5] *= seed % 2  # in half of the cases one is missing
    present = [i for i in range(5) if features[i].any()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hugraph.nn.neighbors.BLOCK_BYTES", 4 * 5 * rows)
        found = nearest_neighbors(
            features.to_sparse() if is_sparse else features,
            k,
            include_self=include_self,
            shrinkage=shrinkage,
        )
    for i in range(5):
        others = [j for j in present if i in present and (include_self or j != i)]
        lengths = {j: features[i].norm() * features[j].norm() for j in others}
        similarity = {j: features[i] @ features[j] / (lengths[j] + shrinkage) for j in others}
        ranked = sorted(others, key=lambda j: -similarity[j])[:k]
        assert found.indices[i, : len(ranked)].tolist() == ranked
        assert_close(
            found.similarities[i, : len(ranked)],
            torch.stack([similarity[j] for j in ranked])
            if ranked
            else torch.empty(0, dtype=torch.float64),
        )
        assert (found.indices[i, len(ranked) :] == i).all()
        assert (found.similarities[i, len(ranked) :] == 0).all()


@given(st.integers(0, 10**6))
def test_normalized_weights_are_the_dense_normalization(seed):
    torch.manual_seed(seed)
    features = torch.randn(6, 2).double()
    features[0] = 0
    found = nearest_neighbors(features, 2)
    dense = torch.zeros(6, 6).double()
    for i in range(6):
        for j, similarity in zip(found.indices[i], found.similarities[i], strict=True):
            dense[i, j] += similarity.clamp(min=0)
    degree = dense.sum(dim=1)
    root = torch.where(degree > 0, degree, 1).rsqrt() * (degree > 0)
    x = torch.randn(6, 4).double()
    product = F.embedding_bag(
        found.indices, x, per_sample_weights=normalized_weights(found), mode="sum"
    )
    assert_close(product, root[:, None] * dense * root @ x)


def test_gradients_flow_to_similarities_and_stay_finite_beside_an_empty_row():
    similarities = torch.tensor([[0.5, 0.25], [1.0, -0.5], [0.0, 0.0]], requires_grad=True)
    indices = torch.tensor([[1, 2], [0, 2], [2, 2]])
    weights = normalized_weights(Neighbors(indices, similarities))
    assert_close(weights[0, 0].item(), 0.5 / (0.75 * 1.0) ** 0.5)
    assert weights[0, 1] == 0 and weights[1, 1] == 0
    weights.sum().backward()
    # The sum is (s00 + s10) / sqrt((s00 + s01) s10), with s00 = 1/2, s01 = 1/4 and s10 = 1.
    steep = 0.75**-0.5
    assert_close(similarities.grad, torch.tensor([[0, -steep], [steep / 4, 0], [0, 0]]))


def test_no_neighbour_at_all_is_refused():
    with pytest.raises(ValueError, match="k must be greater than or equal to 1, got 0"):
        nearest_neighbors(TRIANGLE, 0)


def test_all_blocks_of_a_search_lie_in_one_place(monkeypatch):
    monkeypatch.setattr(neighbors, "BLOCK_BYTES", 4 * 6 * 2)
    places = []
    products = neighbors._products

    def watched(*arguments):
        block = products(*arguments)
        places.append((block.data_ptr(), len(block)))
        return block

    monkeypatch.setattr(neighbors, "_products", watched)
    neighbors.nearest_neighbors(torch.randn(6, 3), 2)
    assert len(places) == 3 and len(set(places)) == 1
