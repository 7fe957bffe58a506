"""Products over a graph with the same number of neighbours for each row, and their gradients."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

BLOCK_ROWS = 2048  # whose neighbours are gathered at a time


class NeighborGraph(nn.Module):
    r"""A graph in which row $i$ has the neighbours $N_{i1}, \dots, N_{ik}$.

    It gives weighted sums over the neighbours, and the inner products that weights are made of:

    $$ \operatorname{sum}(X, W)_i = \sum_j W_{ij} X_{N_{ij}}, \qquad
       \operatorname{dots}(X)_{ij} = X_i^\top X_{N_{ij}} $$

    The graph is turned around once. A gradient is then a sum over those that a row is a neighbour
    of, which costs as little as the sum itself and depends on no order of threads. Half-precision
    features are multiplied in float32, also under autocast.

    Args:
        indices: $N$, `(n, k)` int64, as [`Neighbors`][hugraph.nn.Neighbors] has them.
        weights: $W$, `(n, k)`, if it is constant.
    """

    indices: Tensor
    weights: Tensor | None
    order: Tensor  # (n * k,): the edges, sorted by the neighbour they lead to
    rows: Tensor  # (n * k,): where each of them comes from
    starts: Tensor  # (n,): where those to each neighbour begin

    def __init__(self, indices: Tensor, weights: Tensor | None = None) -> None:
        super().__init__()
        leads_to, order = indices.flatten().sort(stable=True)
        starts = torch.searchsorted(leads_to, torch.arange(len(indices), device=indices.device))
        self.register_buffer("indices", indices, persistent=False)
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("rows", order // indices.shape[1], persistent=False)
        self.register_buffer("starts", starts, persistent=False)

    def forward(self, features: Tensor, weights: Tensor | None = None) -> Tensor:
        """Sums over the neighbours of each row.

        Args:
            features: $X$, `(n, dim)`.
            weights: $W$, `(n, k)`; the constant ones, if not given.

        Returns:
            `(n, dim)`.

        Raises:
            ValueError: If there are no weights.
        """
        weights = self.weights if weights is None else weights
        if weights is None:
            raise ValueError("weights are needed: the graph has no constant ones")
        features = _full(features)
        return _Sum.apply(self, features, weights.to(features.dtype))

    def dots(self, features: Tensor) -> Tensor:
        """Multiplies each row of `features` `(n, dim)` with each of its neighbours: `(n, k)`."""
        return _Dots.apply(self, _full(features))

    def _sum(self, features: Tensor, weights: Tensor) -> Tensor:
        return F.embedding_bag(self.indices, features, per_sample_weights=weights, mode="sum")

    def _sum_back(self, features: Tensor, weights: Tensor) -> Tensor:
        """Sums over those that each row is a neighbour of, with the weights of their edges."""
        turned = weights.flatten().index_select(0, self.order)
        return F.embedding_bag(
            self.rows, features, self.starts, per_sample_weights=turned, mode="sum"
        )

    def _dots(self, rows: Tensor, neighbors: Tensor) -> Tensor:
        blocks = zip(rows.split(BLOCK_ROWS), self.indices.split(BLOCK_ROWS), strict=True)
        products = [(x.unsqueeze(1) * F.embedding(i, neighbors)).sum(dim=2) for x, i in blocks]
        return torch.cat(products)


def _full(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32))


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: NeighborGraph, features: Tensor, weights: Tensor) -> Tensor:
        ctx.graph = graph
        ctx.save_for_backward(features, weights)
        return graph._sum(features, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        features, weights = ctx.saved_tensors
        _, to_features, to_weights = ctx.needs_input_grad
        return (
            None,
            ctx.graph._sum_back(gradient, weights) if to_features else None,
            ctx.graph._dots(gradient, features) if to_weights else None,
        )


class _Dots(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: NeighborGraph, features: Tensor) -> Tensor:
        ctx.graph = graph
        ctx.save_for_backward(features)
        return graph._dots(features, features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        (features,) = ctx.saved_tensors
        graph = ctx.graph
        return None, graph._sum(features, gradient) + graph._sum_back(features, gradient)
