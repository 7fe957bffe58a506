"""Smoothing over a graph without weights or activations."""

from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hugraph.checks import check_options
from hugraph.nn.adjacency import (
    Adjacency,
    SymmetricAdjacency,
    degrees,
    full_precision,
    neighbor_sum,
)


class LightPropagation(nn.Module):
    r"""Averages what symmetric propagation gives after each of several layers.

    $$ X^{(l+1)} = D^{-1/2} A D^{-1/2} X^{(l)}, \qquad Y = \frac{1}{L+1} \sum_{l=0}^{L} X^{(l)} $$

    $D^{-1/2} A D^{-1/2}$ is made once, and being symmetric, the gradient of the whole is the same
    operation again. A node without neighbours keeps $\frac{1}{L+1}$ of its own row.

    Args:
        adjacency: Symmetric $A$, without self-loops in LightGCN.
        num_nodes: What the number of nodes must be, if given.
        num_layers: $L$; with 0 layers, $Y = X$.

    Raises:
        ValueError: If the adjacency is not symmetric or has other nodes, or `num_layers` is
            negative.

    Source:
        LightGCN, [He et al. 2020](https://arxiv.org/abs/2002.02126), Eq. 7-8.
    """

    def __init__(
        self,
        adjacency: Adjacency,
        num_nodes: int | None = None,
        *,
        num_layers: Annotated[int, Ge(0)] = 2,
    ) -> None:
        super().__init__()
        check_options(LightPropagation, num_layers=num_layers)
        self.adjacency = SymmetricAdjacency(adjacency, num_nodes)
        self.num_layers = num_layers
        degree = degrees(self.adjacency, torch.empty(0, device=self.adjacency.matrix.device))
        self.smoothing = self.adjacency.scaled(degree.where(degree > 0, 1).rsqrt())

    def forward(self, features: Tensor) -> Tensor:
        """Smooths `features` $X$, `(n, dim)`; returns $Y$, `(n, dim)`."""
        return _MeanOfLayers.apply(self, features)

    def hop(self, features: Tensor) -> Tensor:
        r"""Takes a single step, $D^{-1/2} A D^{-1/2} X$, of `features` $X$, `(n, dim)`."""
        return neighbor_sum(self.smoothing, features)


class _MeanOfLayers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, propagation: LightPropagation, features: Tensor) -> Tensor:
        ctx.propagation, ctx.dtype = propagation, features.dtype
        return _mean_of_layers(propagation, full_precision(features))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, _mean_of_layers(ctx.propagation, gradient).to(ctx.dtype)


def _mean_of_layers(propagation: LightPropagation, features: Tensor) -> Tensor:
    layer = total = features
    for depth in range(propagation.num_layers):
        layer = propagation.hop(layer)
        total = total.add_(layer) if depth else total + layer
    return total / (propagation.num_layers + 1)
