"""Intra-level aggregation that weighs a node and its neighbours apart."""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from hugraph.checks import check_options
from hugraph.nn.adjacency import Adjacency, degrees, neighbor_sum


class SAGEConv(nn.Module):
    r"""Adds a node's own features and the mean of its neighbours', each by a matrix of its own.

    $$ Z = \phi\big(X W_1 + D^{-1} A X W_2\big) $$

    A node without neighbours keeps its own part alone. Neighbours that lack a modality count in the
    mean, with zeros.

    Args:
        dim: Size $d$ of the node features, before and after.
        activation: $\phi$.

    Raises:
        ValueError: If an option is out of range.

    Source:
        GraphSAGE, [Hamilton et al. 2017](https://arxiv.org/abs/1706.02216), Algorithm 1 with the
        mean aggregator; the concatenation times one matrix is written as a sum of two products.
        Differs: all neighbours instead of a sample, no normalisation of the rows, no bias.
    """

    def __init__(
        self,
        dim: Annotated[int, Ge(1)],
        *,
        activation: Literal["none", "relu"] = "none",
    ) -> None:
        super().__init__()
        check_options(SAGEConv, dim=dim, activation=activation)
        self.activation = activation
        self.own_weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(dim, dim)))
        self.neighbor_weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(dim, dim)))

    def forward(self, features: Tensor, adjacency: Adjacency) -> Tensor:
        """Refines `features` `(n, dim)` over `adjacency`; returns `(n, dim)`."""
        degree = degrees(adjacency, features)
        mean = neighbor_sum(adjacency, features) / degree.where(degree > 0, 1)
        mixed = features @ self.own_weight + mean @ self.neighbor_weight
        return F.relu(mixed) if self.activation == "relu" else mixed
