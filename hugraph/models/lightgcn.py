"""LightGCN: free vectors, smoothed over the user-item graph."""

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from hugraph.interfaces import Component
from hugraph.models.pairwise import Encoding, PairwiseModel, take_both
from hugraph.nn import BPRLoss, LightPropagation, RankingLoss
from hugraph.nn.adjacency import Adjacency


class LightGCN(PairwiseModel):
    r"""Propagates embeddings over the user-item graph and averages the layers.

    $$ \hat y_{uv} = e_u^\top e_v, \qquad
       E = \frac{1}{L+1} \sum_{l=0}^{L} (D^{-1/2} A D^{-1/2})^l E^{(0)} $$

    `l2` penalises the rows of $E^{(0)}$. A cold item has no neighbours: it keeps a quarter (for
    three layers) of its own vector, which was only ever trained as a negative.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        user_item_adjacency: Symmetric adjacency over users, then items, without self-loops.
        dim: Size of the vectors.
        num_layers: $L$.
        ranking: The loss of ranking, BPR in the paper; with a sampled softmax, scores are cosines.

    Raises:
        ValueError: If the adjacency is not symmetric or has other nodes.

    Source:
        [He et al. 2020](https://arxiv.org/abs/2002.02126), Eq. 7-8 and 15; initialisation
        $\mathcal N(0, 0.1^2)$ as in the authors' code.
    """

    separable = True

    def __init__(
        self,
        num_users: int,
        num_items: int,
        user_item_adjacency: Adjacency,
        *,
        dim: Annotated[int, Ge(1)] = 64,
        num_layers: Annotated[int, Ge(1)] = 3,
        ranking: Annotated[Callable[..., RankingLoss], Component("ranking")] = BPRLoss,
    ) -> None:
        super().__init__(num_users, num_items, ranking)
        self.propagation = LightPropagation(
            user_item_adjacency, num_users + num_items, num_layers=num_layers
        )
        self.embeddings = nn.Parameter(torch.empty(num_users + num_items, dim).normal_(std=0.1))

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Smooths all embeddings, then takes the rows."""
        smoothed = self.propagation(self.embeddings)
        return Encoding(
            *take_both(smoothed, self.num_users, users, items),
            ego=take_both(self.embeddings, self.num_users, users, items),
        )
