"""NGCF: free vectors, refined by what they share with their neighbours' vectors."""

from collections.abc import Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt, MinLen
from torch import Tensor, nn

from hugraph.checks import check_options
from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier
from hugraph.nn import LightPropagation, unit_rows
from hugraph.nn.adjacency import Adjacency


class NGCF(PairwiseModel):
    r"""Propagates embeddings, and their products with neighbours, through learned layers.

    With $\mathcal L = D^{-1/2} A D^{-1/2}$ over the user-item graph and $S = \mathcal L E^{(l-1)}$,

    $$ E^{(l)} = \operatorname{LeakyReLU}\big((S + E^{(l-1)})\, W_1^{(l)}
       + (S \odot E^{(l-1)})\, W_2^{(l)}\big) $$

    A user or item is $E^{(0)} \| \cdots \| E^{(L)}$, the rows of each layer but the first scaled
    to length 1. `l2` penalises these vectors of the batch; where the spec gives no weight, by
    1e-5. A cold item has no neighbours, so that $S = 0$: all it has is its own vector, which was
    only ever trained as a negative.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        user_item_adjacency: Symmetric adjacency over users, then items, without self-loops.
        dim: Size of the embeddings $E^{(0)}$.
        layers: Size of each $E^{(l)}$, from $l = 1$ to $L$.
        message_dropout: Share of the entries of $E^{(l)}$ that a training step sets to zero.

    Raises:
        ValueError: If an option is out of range, or the adjacency is not symmetric or has other
            nodes.

    Source:
        [Wang et al. 2019](https://arxiv.org/abs/1905.08108), Eq. 3-11. From the authors' code: the
        slope 0.2, the dropout of a layer's output (the paper's drops messages), the scaling to
        length 1, of what is read out only, and `l2` of final vectors (the paper's is of
        parameters). Unlike that code, the self-connection has the paper's weight 1, one activation
        follows the sum, and there are no biases. Node dropout is left out.
    """

    penalty_weights = MappingProxyType({"l2": 1e-5})

    def __init__(
        self,
        num_users: int,
        num_items: int,
        user_item_adjacency: Adjacency,
        *,
        dim: Annotated[int, Ge(1)] = 64,
        layers: Annotated[Sequence[Annotated[int, Ge(1)]], MinLen(1)] = (64, 64, 64),
        message_dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ) -> None:
        super().__init__(num_users, num_items)
        check_options(NGCF, layers=layers, message_dropout=message_dropout)
        self.propagation = LightPropagation(user_item_adjacency, num_users + num_items)
        self.message_dropout = message_dropout
        self.separable = not message_dropout  # the last layer draws for a batch alone
        self.embeddings = xavier(num_users + num_items, dim)
        sizes = list(pairwise([dim, *layers]))
        self.sum_weights = nn.ParameterList(xavier(*size) for size in sizes)
        self.product_weights = nn.ParameterList(xavier(*size) for size in sizes)

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Propagates all embeddings, but computes the last layer for the given nodes alone."""
        device = self.embeddings.device
        users = torch.arange(self.num_users, device=device) if users is None else users
        items = torch.arange(self.num_items, device=device) if items is None else items
        chosen = torch.cat([users, items + self.num_users])
        nodes, places = torch.unique(chosen, return_inverse=True)
        first, *refined = self._layers(nodes)
        rows = torch.cat([first, *(unit_rows(layer) for layer in refined)], dim=1)
        u, v = take(rows, places).split([len(users), len(items)])
        return Encoding(u, v, ego=(u, v))

    def _layers(self, nodes: Tensor) -> list[Tensor]:
        """The rows of `nodes` `(n,)` in every layer."""
        own: Tensor = self.embeddings
        rows = [take(own, nodes)]
        for w1, w2 in zip(self.sum_weights, self.product_weights, strict=True):
            shared = self.propagation.hop(own)
            if len(rows) == len(self.sum_weights):
                shared, own = take(shared, nodes), rows[-1]
            refined = ((shared + own) @ w1).add_((shared * own) @ w2)
            refined = F.leaky_relu_(refined, negative_slope=0.2)
            own = F.dropout(refined, self.message_dropout, self.training)
            rows.append(take(own, nodes) if len(rows) < len(self.sum_weights) else own)
        return rows
