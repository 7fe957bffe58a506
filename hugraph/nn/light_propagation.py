"""Smoothing over a graph without weights or activations."""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from hugraph.checks import check_options
from hugraph.nn.adjacency import Adjacency, SymmetricAdjacency, degrees, neighbor_sum


class LightPropagation(nn.Module):
    r"""Averages what symmetric propagation gives after each of several layers.

    $$ X^{(l+1)} = D^{-1/2} A D^{-1/2} X^{(l)}, \qquad Y = \frac{1}{L+1} \sum_{l=0}^{L} X^{(l)} $$

    Nodes are scaled before and after an unweighted sum, so that no edge carries a weight. A node
    without neighbours keeps $\frac{1}{L+1}$ of its own row.

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

    scale: Tensor

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
        self.register_buffer("scale", degree.clamp(min=1).rsqrt(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Smooths `features` $X$, `(n, dim)`; returns $Y$, `(n, dim)`."""
        layer = total = features
        for _ in range(self.num_layers):
            layer = self.hop(layer)
            total = total + layer
        return total / (self.num_layers + 1)

    def hop(self, features: Tensor) -> Tensor:
        r"""Takes a single step, $D^{-1/2} A D^{-1/2} X$, of `features` $X$, `(n, dim)`."""
        return self.scale * neighbor_sum(self.adjacency, self.scale * features)
