import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch.testing import assert_close

from hugraph.graph.symmetric import symmetric_graph
from hugraph.nn import EdgeSample, EdgeSampler, SymmetricAdjacency, to_sparse_tensor
from hugraph.nn.edge_sample import spread_sample
from tests.graphs import graph_of, symmetric_adjacencies

TRIANGLE_WITH_TAIL = torch.tensor([[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 1]]).double()


def samplers(dense, weighted):
    graph = graph_of(dense, weighted=weighted)
    held = graph, to_sparse_tensor(graph, torch.float64)
    return [EdgeSampler(SymmetricAdjacency(form)) for form in held]


def at_every_place(monkeypatch, steps, estimate):
    """The mean of `estimate()` where the place within each part runs over a fine grid."""
    results = []
    for step in range(steps):
        place = (step + 0.5) / steps
        monkeypatch.setattr(torch, "rand", lambda n, p=place, **how: torch.full((n,), p, **how))
        results.append(estimate())
    monkeypatch.undo()
    return torch.stack(results).mean(dim=0)


def test_two_edges_and_a_loop_pool_to_a_mean_worked_by_hand():
    assignment = torch.tensor([[1.0, 0], [0, 1], [0.5, 0.5]]).double()
    sample = EdgeSample(torch.tensor([0, 2]), torch.tensor([1, 2]), weight=4.0)
    # The edge gives 4/2 to both places off the diagonal, the loop 4/4 to all four.
    assert_close(sample.pooled(assignment), torch.tensor([[1.0, 3], [3, 1]]).double())


@pytest.mark.parametrize("num_edges", [9, 10, 10**15])
def test_as_many_edges_as_there_are_give_each_once_and_the_exact_result(num_edges):
    assignment = torch.rand(4, 3).double()
    for sampler in samplers(TRIANGLE_WITH_TAIL, weighted=False):
        sample = sampler.draw(num_edges)
        drawn = torch.zeros(4, 4).double()
        drawn[sample.targets, sample.sources] += 1
        assert_close(drawn, TRIANGLE_WITH_TAIL)
        assert_close(sample.pooled(assignment), assignment.T @ TRIANGLE_WITH_TAIL @ assignment)


@settings(max_examples=15, deadline=None)
@given(symmetric_adjacencies(weighted=True), st.booleans(), st.integers(1, 5))
def test_estimate_and_gradient_are_exact_on_average_over_all_places(dense, weighted, num_edges):
    dense = dense if weighted else (dense > 0).double()
    if not dense.any():
        return
    torch.manual_seed(0)
    assignment = torch.rand(len(dense), 3).double().requires_grad_()
    direction = torch.randn(3, 3).double()
    exact = assignment.T @ dense @ assignment
    slope = torch.autograd.grad((exact * direction).sum(), assignment)[0]
    # A part is W / num_edges long and weights are quarters: no grid cell crosses an entry's end.
    steps = int(4 * dense.sum())
    with pytest.MonkeyPatch.context() as patch:
        for sampler in samplers(dense, weighted):

            def pooled(sampler=sampler):
                return sampler.draw(num_edges).pooled(assignment)

            def gradient(pooled=pooled):
                return torch.autograd.grad((pooled() * direction).sum(), assignment)[0]

            assert_close(at_every_place(patch, steps, pooled), exact)
            assert_close(at_every_place(patch, steps, gradient), slope)


def random_graph(num_nodes, weighted):
    torch.manual_seed(1)
    dense = (torch.rand(num_nodes, num_nodes) < 0.1).double()
    if weighted:
        dense *= torch.randint(1, 9, dense.shape)
    dense = dense.triu()
    dense = dense + dense.triu(1).T
    assignment = torch.softmax(3 * torch.randn(num_nodes, 3), dim=1).double()
    return dense, assignment


@pytest.mark.parametrize("weighted", [False, True])
def test_many_samples_agree_with_the_exact_result_and_vary_as_one_over_their_edges(weighted):
    dense, assignment = random_graph(150, weighted)
    exact = assignment.T @ dense @ assignment
    (sampler, _) = samplers(dense, weighted)
    variances = []
    for num_edges in (10, 40, 160):
        draws = torch.stack([sampler.draw(num_edges).pooled(assignment) for _ in range(1000)])
        error = (draws.mean(dim=0) - exact) / (draws.std(dim=0) / 1000**0.5)
        assert error.abs().max() < 4.5  # standard errors
        variances.append(draws.var(dim=0).sum() * num_edges)
    single = single_edge_variance(dense, assignment)
    # Within the noise of a variance; parts of equal weight can only lower the variance.
    assert all(0.65 * single < v < 1.15 * single for v in variances)


def single_edge_variance(dense, assignment):
    total = dense.sum()
    rows, columns = dense.nonzero(as_tuple=True)
    outer = assignment[rows].unsqueeze(2) * assignment[columns].unsqueeze(1)
    outer = (outer + outer.transpose(1, 2)) / 2 * total
    chance = (dense[rows, columns] / total)[:, None, None]
    mean = (chance * outer).sum(dim=0)
    return (chance * (outer - mean).square()).sum()


@pytest.mark.parametrize("weighted", [False, True])
def test_every_estimate_keeps_the_total_weight_and_the_symmetry(weighted):
    dense, assignment = random_graph(20, weighted)
    for sampler in samplers(dense, weighted):
        pooled = sampler.draw(3).pooled(assignment)
        assert_close(pooled.sum(), dense.sum())
        assert_close(pooled, pooled.T, rtol=0, atol=0)


def test_weights_in_float32_of_a_graph_are_drawn_by():
    graph = symmetric_graph(csr_array([[0, 0.5], [0.5, 3]]), weighted=True)
    sample = EdgeSampler(SymmetricAdjacency(graph)).draw(8)
    assert sample.targets.tolist() == [0] + [1] * 7 and sample.sources.tolist() == [1, 0] + [1] * 6
    assert sample.weight == 0.5


def test_under_autocast_the_product_is_in_full_precision():
    dense, assignment = random_graph(20, weighted=False)
    sample = samplers(dense, weighted=False)[0].draw(50)
    exact = sample.pooled(assignment.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(sample.pooled(assignment.float()), exact, rtol=0, atol=0)
        assert sample.pooled(assignment.bfloat16()).dtype == torch.float32


def test_the_same_seed_draws_the_same_edges_and_another_does_not():
    sampler = samplers(random_graph(20, weighted=False)[0], weighted=False)[0]

    def drawn(seed):
        torch.manual_seed(seed)
        return sampler.draw(10).targets.tolist()

    assert drawn(1) == drawn(1) != drawn(2)


def test_no_edges_pool_to_zeros():
    assignment = torch.rand(2, 3)
    for sampler in samplers(torch.zeros(2, 2), weighted=False):
        assert_close(sampler.draw(5).pooled(assignment), torch.zeros(3, 3))


@pytest.mark.parametrize(("num_drawn", "size"), [(1, 1), (3, 7), (7, 7), (10, 7)])
def test_a_spread_sample_has_one_number_of_each_part(num_drawn, size):
    drawn = spread_sample(num_drawn, size, torch.device("cpu"))
    for part, number in enumerate(drawn.tolist()):
        assert part * size // num_drawn <= number <= ((part + 1) * size - 1) // num_drawn
        assert 0 <= number < size


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_that_nothing_can_be_drawn_by_are_refused(weight):
    graph = symmetric_graph(csr_array([[0, weight], [weight, 1.0]]), weighted=True)
    matrix = to_sparse_tensor(graph)
    with pytest.raises(ValueError, match="finite and not negative to be sampled"):
        EdgeSampler(SymmetricAdjacency._trusted(matrix))
