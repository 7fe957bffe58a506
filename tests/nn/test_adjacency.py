import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch.testing import assert_close

from hugraph.dgl_backend import dgl
from hugraph.graph.symmetric import symmetric_graph
from hugraph.nn import (
    SymmetricAdjacency,
    bipartite_adjacency,
    is_symmetric,
    neighbor_sum,
    pooled_adjacency,
    to_sparse_tensor,
)
from hugraph.nn.adjacency import adjacency_on, degrees, diagonal, num_edges
from tests.graphs import graph_of, symmetric_adjacencies

STAR = torch.tensor([[0, 1, 1], [1, 0, 0], [1, 0, 0]]).double()


def forms(dense, weighted):
    """Every holder of one adjacency; those that promise symmetry only where it holds."""
    graph = graph_of(dense, weighted=weighted)
    held = [graph, to_sparse_tensor(graph, torch.float64)]
    symmetric = torch.equal(dense, dense.T)
    return [*held, dense, *(SymmetricAdjacency(one) for one in held if symmetric)]


def refuse_cuda(graph, device):
    raise dgl.DGLError("device API cuda is not enabled")


def plain_forms(dense, weighted):
    return forms(dense, weighted)[:3]


def test_a_weighted_graph_multiplies_a_single_column_of_float32():
    graph = symmetric_graph(csr_array([[0, 0.5], [0.5, 2]]), weighted=True)
    column = torch.tensor([[1.0], [4.0]])
    for adjacency in (graph, SymmetricAdjacency(graph)):
        assert_close(neighbor_sum(adjacency, column), torch.tensor([[2.0], [8.5]]))


@st.composite
def adjacencies(draw, weighted):
    """Symmetric ones, and as many whose direction matters."""
    dense = draw(symmetric_adjacencies(weighted=weighted))
    return dense if draw(st.booleans()) else dense.triu()


def test_the_centre_of_a_star_sums_its_leaves_worked_by_hand():
    features = torch.tensor([[1.0, 0], [2, 5], [3, 7]]).double()
    expected = torch.tensor([[5.0, 12], [1, 0], [1, 0]]).double()
    for adjacency in forms(STAR, weighted=False):
        assert_close(neighbor_sum(adjacency, features), expected)


def test_an_edge_carries_its_source_to_its_destination():
    graph = dgl.graph(([0], [1]), num_nodes=2, idtype=torch.int32)
    features = torch.tensor([[3.0], [4.0]])
    expected = torch.tensor([[0.0], [3.0]])
    assert_close(neighbor_sum(graph, features), expected)
    assert_close(neighbor_sum(to_sparse_tensor(graph), features), expected)


@given(st.data(), st.booleans())
def test_every_form_of_an_adjacency_gives_the_dense_product_and_gradient(data, weighted):
    dense = data.draw(adjacencies(weighted))
    torch.manual_seed(0)
    features = torch.randn(len(dense), 3).double()
    upstream = torch.randn(len(dense), 3).double()
    for adjacency in forms(dense, weighted):
        leaf = features.clone().requires_grad_()
        result = neighbor_sum(adjacency, leaf)
        result.backward(upstream)
        assert_close(result.detach(), dense @ features)
        assert_close(leaf.grad, dense.T @ upstream)


@given(st.data(), st.booleans(), st.integers(1, 4))
def test_pooling_equals_dense_products_and_gradients(data, weighted, num_supernodes):
    dense = data.draw(symmetric_adjacencies(weighted=weighted))
    torch.manual_seed(1)
    plain = torch.randn(len(dense), num_supernodes).double().requires_grad_()
    upstream = torch.randn(num_supernodes, num_supernodes).double()
    expected = plain.T @ dense @ plain
    expected.backward(upstream)
    for adjacency in forms(dense, weighted):
        leaf = plain.detach().clone().requires_grad_()
        pooled = pooled_adjacency(adjacency, leaf)
        pooled.backward(upstream)
        assert_close(pooled.detach(), expected.detach())
        assert_close(leaf.grad, plain.grad)


@given(st.data(), st.booleans())
def test_degrees_and_diagonal_are_those_of_the_dense_matrix(data, weighted):
    dense = data.draw(symmetric_adjacencies(weighted=weighted))
    for adjacency in forms(dense, weighted):
        assert_close(degrees(adjacency, dense), dense.sum(dim=1, keepdim=True))
        assert_close(diagonal(adjacency, dense), dense.diagonal().unsqueeze(1))


@given(symmetric_adjacencies(weighted=True))
def test_symmetry_is_recognised_in_every_form(dense):
    lopsided = dense.clone()
    lopsided[0, 1] += 1
    for adjacency in plain_forms(dense, weighted=True):
        assert is_symmetric(adjacency)
    for adjacency in plain_forms(lopsided, weighted=True):
        assert not is_symmetric(adjacency)
    for adjacency in plain_forms(lopsided, weighted=True)[:2]:
        with pytest.raises(ValueError, match="must be symmetric"):
            SymmetricAdjacency(adjacency)


@given(symmetric_adjacencies(weighted=True), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_order_in_which_edges_are_given_does_not_matter(dense, weighted, seed):
    rows, columns = dense.nonzero(as_tuple=True)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    rows, columns = rows[order], columns[order]
    graph = dgl.graph((columns, rows), num_nodes=len(dense))
    if weighted:
        graph.edata["weight"] = dense[rows, columns]
    expected = dense if weighted else dense.bool().double()
    assert torch.equal(to_sparse_tensor(graph, torch.float64).to_dense(), expected)
    assert is_symmetric(graph)
    across = (rows != columns).nonzero()[:, 0]
    if len(across):
        assert not is_symmetric(dgl.remove_edges(graph, across[:1]))


def test_parallel_edges_need_as_many_back():
    assert is_symmetric(dgl.graph(([0, 0, 1, 1], [1, 1, 0, 0])))
    assert not is_symmetric(dgl.graph(([0, 0, 1], [1, 1, 0])))


def test_an_adjacency_of_other_nodes_is_refused():
    with pytest.raises(ValueError, match="has 3 nodes, expected 4"):
        SymmetricAdjacency(graph_of(STAR), 4)


def test_a_symmetric_adjacency_moves_with_its_model(monkeypatch):
    sparse = SymmetricAdjacency(to_sparse_tensor(graph_of(STAR)))
    features = torch.eye(3).double()
    assert_close(neighbor_sum(torch.nn.Sequential(sparse).double()[0], features), STAR)
    held = SymmetricAdjacency(graph_of(STAR))
    assert held.double().matrix is held.matrix  # a graph has no dtype of its own
    monkeypatch.setattr(type(held.matrix), "to", refuse_cuda)
    assert held.to("meta").matrix.layout == torch.sparse_csr


@given(st.integers(0, 10**6), st.booleans())
def test_a_bipartite_adjacency_is_the_dense_one_whatever_holds_it(seed, by_dgl):
    torch.manual_seed(seed)
    links = torch.rand(3, 4) < 0.5
    users, items = links.nonzero(as_tuple=True)
    order = torch.randperm(len(users))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hugraph.nn.adjacency._served_by_dgl", lambda device: by_dgl)
        adjacency = bipartite_adjacency(users[order], items[order], 3, 4)
    assert isinstance(adjacency.matrix, torch.Tensor) != by_dgl
    dense = torch.zeros(7, 7)
    dense[:3, 3:], dense[3:, :3] = links, links.T
    features = torch.randn(7, 2, requires_grad=True)
    result, upstream = neighbor_sum(adjacency, features), torch.randn(7, 2)
    result.backward(upstream)
    assert_close(result, dense @ features)
    assert_close(features.grad, dense @ upstream)


def test_symmetry_is_checked_once_and_not_of_what_is_symmetric_by_construction(monkeypatch):
    checked = SymmetricAdjacency(graph_of(STAR))
    monkeypatch.setattr("hugraph.nn.adjacency.is_symmetric", pytest.fail)
    assert SymmetricAdjacency(checked, 3).matrix is checked.matrix
    bipartite = bipartite_adjacency(torch.tensor([0]), torch.tensor([1]), 1, 2)
    assert SymmetricAdjacency(bipartite, 3).matrix is bipartite.matrix


def test_an_edge_to_nobody_is_refused():
    with pytest.raises(ValueError, match=r"users must lie in \[0, 2\), got 0 to 2"):
        bipartite_adjacency(torch.tensor([0, 2]), torch.tensor([0, 1]), 2, 3)
    with pytest.raises(ValueError, match=r"items must lie in \[0, 3\), got -1 to 1"):
        bipartite_adjacency(torch.tensor([0, 1]), torch.tensor([-1, 1]), 2, 3)


@pytest.mark.parametrize("form", range(5))
def test_half_precision_is_multiplied_in_single_also_under_autocast(form):
    graph = graph_of(STAR)
    sparse = to_sparse_tensor(graph)
    adjacency = [
        *(graph, sparse, STAR.float()),
        *(SymmetricAdjacency(graph), SymmetricAdjacency(sparse)),
    ][form]
    features = torch.full((3, 2), 1.0009765625, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = neighbor_sum(adjacency, features)
        pooled = pooled_adjacency(adjacency, features.bfloat16())
    assert result.dtype == torch.float32
    assert_close(result, STAR.float() @ features)
    (result.sum() + pooled.float().sum()).backward()
    assert features.grad.dtype == torch.float32 and torch.isfinite(features.grad).all()


def test_on_the_cpu_the_graph_stays_as_it_is():
    graph = graph_of(STAR)
    assert adjacency_on(graph, "cpu") is graph


def test_where_dgl_knows_no_cuda_the_sparse_tensor_takes_over(monkeypatch):
    graph = graph_of(STAR)
    monkeypatch.setattr(type(graph), "to", refuse_cuda)
    moved = adjacency_on(graph, "meta")
    assert moved.layout == torch.sparse_csr and moved.device.type == "meta"


def test_a_weighted_star_is_scaled_at_both_ends_worked_by_hand():
    graph = graph_of(torch.tensor([[0, 5, 0], [5, 0, 1], [0, 1, 2]]).double(), weighted=True)
    scaled = SymmetricAdjacency(graph).scaled(torch.tensor([[2.0], [3], [10]]).double())
    expected = torch.tensor([[0.0, 30, 0], [30, 0, 30], [0, 30, 200]]).double()
    assert_close(neighbor_sum(scaled, torch.eye(3).double()), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("columns", [1, 7, 64, 130])
def test_products_with_a_constant_graph_have_the_bits_of_dgls(dtype, columns):
    torch.manual_seed(5)
    upper = (torch.rand(150, 150) < 0.1).triu(1)
    graph = graph_of((upper | upper.T).double())
    features = torch.randn(150, columns, dtype=dtype)
    by_dgl = dgl.ops.copy_u_sum(graph, features)
    assert torch.equal(neighbor_sum(SymmetricAdjacency(graph), features), by_dgl)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_torch_path_equals_dgl_within_rounding(dtype):
    torch.manual_seed(2)
    upper = (torch.rand(200, 200) < 0.1).triu(1)
    graph = graph_of((upper | upper.T).double())
    features = torch.randn(200, 16, dtype=dtype)
    difference = neighbor_sum(to_sparse_tensor(graph, dtype), features) - neighbor_sum(
        graph, features
    )
    assert difference.abs().max() <= 1e-6 * features.abs().sum(dim=0).max()


@given(symmetric_adjacencies())
def test_edges_are_counted_in_both_directions_in_every_form(dense):
    assert {num_edges(one) for one in forms(dense, weighted=False)} == {int((dense != 0).sum())}


@pytest.mark.parametrize("hold", [lambda graph: graph, to_sparse_tensor])
def test_a_copy_has_the_same_products_and_shares_what_never_changes(hold):
    adjacency = SymmetricAdjacency(hold(graph_of(STAR))).eval()
    copied = copy.deepcopy(adjacency)
    features = torch.arange(6.0).view(3, 2)
    assert torch.equal(neighbor_sum(copied, features), neighbor_sum(adjacency, features))
    assert copied is not adjacency and copied.matrix is adjacency.matrix and not copied.training
