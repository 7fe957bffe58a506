"""Intra-level aggregation that weighs a node and its neighbours apart."""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from hugraph.checks import check_options
from hugraph.nn.adjacency import Adjacency
from hugraph.nn.intra_level_conv import IntraLevelConv
from hugraph.nn.split_conv import SplitConv


class SAGEConv(SplitConv):
    r"""Adds a node's own features and the mean of its neighbours', each by a matrix of its own.

    $$ Z = \phi\big(X W_1 + D^{-1} A X W_2\big) $$

    A node without neighbours keeps its own part alone.

    Args:
        dim: Size $d$ of the node features, before and after.
        activation: $\phi$.

    Raises:
        ValueError: If an option is out of range, or features and adjacency do not match.

    Source:
        GraphSAGE, [Hamilton et al. 2017](https://arxiv.org/abs/1706.02216), Algorithm 1 with the
        mean aggregator; the concatenation times one matrix is written as a sum of two products.
        Differs: all neighbours instead of a sample, no normalisation of the rows, no bias.
        `present` is an extension.
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
        self.neighbor_mean = IntraLevelConv(dim)
        self.own_weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(dim, dim)))
        self.neighbor_weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(dim, dim)))

    def propagate(
        self, features: Tensor, adjacency: Adjacency, present: Tensor | None = None
    ) -> Tensor:
        """Sets the mean of the neighbours that have features beside a node's own; learns nothing.

        Args:
            features: `(n, dim)`.
            adjacency: Over the same `n` nodes.
            present: `(n,)` bool: nodes that have features at all; the others hold zeros.

        Returns:
            `(n, 2 * dim)`.
        """
        mean = self.neighbor_mean.propagate(features, adjacency, present)
        return torch.cat([features, mean], dim=1)

    def transform(self, propagated: Tensor) -> Tensor:
        """Applies both weights and the activation to what `propagate` returned: `(n, dim)`."""
        mixed = propagated @ torch.cat([self.own_weight, self.neighbor_weight])
        return F.relu(mixed) if self.activation == "relu" else mixed
