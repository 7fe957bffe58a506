"""Inter-level aggregation: the nodes of one level are assigned to the intents of the next."""

from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from hugraph.checks import check_options
from hugraph.nn.adjacency import Adjacency, num_nodes, pooled_adjacency
from hugraph.nn.functional import soft_assignment


class PooledLevel(NamedTuple):
    """A level of intents, as [`IntentPooling`][hugraph.nn.IntentPooling] makes it."""

    features: Tensor  # (num_supernodes, dim)
    adjacency: Tensor  # (num_supernodes, num_supernodes)
    assignment: Tensor  # (num_nodes, num_supernodes), each row sums to 1
    entropy: Tensor  # scalar, of the assignment


class IntentPooling(nn.Module):
    r"""Softly assigns the nodes of one level to the supernodes (intents) of the next.

    $$ \Gamma = \operatorname{softmax}_{row}(\tau Z X'^\top), \qquad A' = \Gamma^\top A\, \Gamma $$

    $X'$ holds one learned vector per supernode; $A'$ keeps the total weight of $A$.

    Args:
        dim: Size $d$ of the node features, at this level and the next.
        num_supernodes: Number $K$ of intents at the next level.
        next_features: Features of the next level: `supernodes` takes the learned $X'$ (the paper's
            Eq. 5 and the authors' code); `pooled` takes $\Gamma^\top Z$, the summary of the nodes
            (DiffPool, and the paper's own introduction).
        assignment_scale: $\tau$, the inverse temperature of the softmax: above 1 sharpens.

    Raises:
        ValueError: If an option is out of range, or features and adjacency do not match.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), section 3.2.2, Eq. 5-8; after
        DiffPool, [Ying et al. 2018](https://arxiv.org/abs/1806.08804), section 3.2, from which it
        differs in that one linear map, not a second GNN, scores the assignment. $\tau$ is an
        extension.
    """

    def __init__(
        self,
        dim: Annotated[int, Ge(1)],
        num_supernodes: Annotated[int, Ge(1)],
        *,
        next_features: Literal["supernodes", "pooled"] = "supernodes",
        assignment_scale: Annotated[float, Gt(0)] = 1.0,
    ) -> None:
        super().__init__()
        check_options(
            IntentPooling,
            dim=dim,
            num_supernodes=num_supernodes,
            next_features=next_features,
            assignment_scale=assignment_scale,
        )
        self.next_features = next_features
        self.assignment_scale = assignment_scale
        self.supernodes = nn.Parameter(nn.init.xavier_normal_(torch.empty(num_supernodes, dim)))

    def forward(self, features: Tensor, adjacency: Adjacency) -> PooledLevel:
        """Pools `features` `(n, dim)` and `adjacency` `(n, n)`, whatever holds it."""
        if num_nodes(adjacency) != len(features):
            raise ValueError(
                f"the adjacency has {num_nodes(adjacency)} nodes for {len(features)} feature rows"
            )
        assignment, entropy = self.assign(features)
        pooled = pooled_adjacency(adjacency, assignment)
        return PooledLevel(self.features_above(features, assignment), pooled, assignment, entropy)

    def assign(self, features: Tensor) -> tuple[Tensor, Tensor]:
        r"""Eq. 6-7 for `features` `(n, dim)`: $\Gamma$, `(n, num_supernodes)`, and its entropy."""
        return soft_assignment(features @ (self.supernodes * self.assignment_scale).T)

    def features_above(self, features: Tensor, assignment: Tensor) -> Tensor:
        """Gives the features of the next level, `(num_supernodes, dim)`."""
        if self.next_features == "pooled":
            return assignment.T @ features
        return self.supernodes
