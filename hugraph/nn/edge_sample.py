"""A few edges that stand for a whole graph: pooling whose cost does not grow with the graph."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hugraph.nn.adjacency import SymmetricAdjacency, full_precision, to_sparse_tensor


class EdgeSample(NamedTuple):
    r"""Edges drawn from a symmetric adjacency, a sparse matrix whose expectation is $A$.

    $$ \hat A = \frac{w}{2} \sum_e (e_{t_e} e_{s_e}^\top + e_{s_e} e_{t_e}^\top) $$
    """

    targets: Tensor  # (num_edges,) int64
    sources: Tensor  # (num_edges,) int64, aligned
    weight: float  # w: each edge stands for this much of the sum of A

    def pooled(self, assignment: Tensor) -> Tensor:
        r"""Computes $S^\top \hat A S$ for `assignment` $S$, `(n, k)`: `(k, k)`, symmetric.

        The sum of its entries is that of $A$, not only on average, where rows of $S$ sum to 1.
        """
        ends = (full_precision(F.embedding(e, assignment)) for e in (self.targets, self.sources))
        with torch.autocast(assignment.device.type, enabled=False):
            target, source = ends
            half = target.T @ source * (self.weight / 2)
        return half + half.T


class EdgeSampler(nn.Module):
    r"""Draws entries of a symmetric adjacency, each as often as it weighs.

    With $W$ the sum of $A$ and $n$ edges to draw, the weights are laid end to end, row by row, and
    cut into $n$ equal parts; each part gives one place, at random. So an entry $A_{ij}$ is drawn
    $n A_{ij} / W$ times on average, and each draw stands for $W / n$. An entry on the diagonal is
    one like every other. Of a graph without weights, $n$ equal to its entries gives each once, and
    a larger $n$ the same.

    Estimates are unbiased, and their variance is at most $1/n$ times that of a single edge. A draw
    takes time for its edges alone, times a logarithm, and random numbers from torch's generator.

    Args:
        adjacency: $A$, none of whose weights is negative.

    Raises:
        ValueError: If a weight is negative or not finite.

    Source:
        Sampling in proportion to size, [Hansen and Hurwitz
        1943](https://doi.org/10.1214/aoms/1177731356), one draw from each stratum. HUIGN, [Wei et
        al. 2021](https://arxiv.org/abs/2110.14925), sums over all edges (Eq. 8).
    """

    row_starts: Tensor  # (n + 1,)
    columns: Tensor  # (num_entries,)
    cumulative: Tensor | None  # (num_entries,) float64: weights up to and with each entry

    def __init__(self, adjacency: SymmetricAdjacency) -> None:
        super().__init__()
        matrix, weights = adjacency.matrix, None
        if isinstance(matrix, Tensor) or "weight" in matrix.edata:
            csr = matrix if isinstance(matrix, Tensor) else to_sparse_tensor(matrix)
            row_starts, columns, weights = csr.crow_indices(), csr.col_indices(), csr.values()
            if len(weights) and not 0 <= weights.min() <= weights.max() < torch.inf:
                raise ValueError("weights of edges must be finite and not negative to be sampled")
            if (weights == 1).all():
                weights = None
        else:
            row_starts, columns, _ = matrix.adj_tensors("csr")
        self.register_buffer("row_starts", row_starts, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        cumulative = None if weights is None else weights.cumsum(0, dtype=torch.float64)
        self.register_buffer("cumulative", cumulative, persistent=False)
        self.total = float(len(columns) if weights is None else weights.double().sum())

    def draw(self, num_edges: int) -> EdgeSample:
        """Draws `num_edges` edges, with replacement; none from an adjacency of zeros.

        Without weights, no more are drawn than there are entries, which are all of them.
        """
        if self.cumulative is None:
            num_edges = min(num_edges, len(self.columns))
        if not self.total or not num_edges:
            nobody = self.columns.new_empty(0).long()
            return EdgeSample(nobody, nobody, 0.0)
        device = self.columns.device
        if self.cumulative is None:
            entries = spread_sample(num_edges, len(self.columns), device)
        else:
            places = _one_of_each_part(num_edges, self.total, device)
            entries = torch.searchsorted(self.cumulative, places, right=True)
            entries.clamp_(max=len(self.columns) - 1)
        targets = torch.searchsorted(self.row_starts, entries, right=True) - 1
        sources = self.columns.index_select(0, entries).long()
        return EdgeSample(targets, sources, self.total / num_edges)


def spread_sample(num_drawn: int, size: int, device: torch.device) -> Tensor:
    """Draws from `range(size)`, uniformly, one number of each of `num_drawn` equal parts.

    Returns:
        `(num_drawn,)` int64, ascending; each number once if there are `size` of them.
    """
    return _one_of_each_part(num_drawn, size, device).long().clamp_(max=size - 1)


def _one_of_each_part(num_drawn: int, total: float, device: torch.device) -> Tensor:
    """Cuts `[0, total)` into equal parts and draws a place in each: `(num_drawn,)` float64."""
    places = torch.arange(num_drawn, dtype=torch.float64, device=device)
    places += torch.rand(num_drawn, dtype=torch.float64, device=device)
    return places * (total / num_drawn)
