"""MGCN: behaviour and content smoothed apart, and fused by what users and items prefer."""

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Annotated, NamedTuple, cast

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, distinct
from hugraph.interfaces import Batch, ModalityFeatures, Terms, Triples
from hugraph.models.members import members
from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier
from hugraph.nn import (
    LightPropagation,
    ModalityContent,
    NeighborGraph,
    info_nce,
    nearest_neighbors,
    normalized_weights,
)
from hugraph.nn.adjacency import Adjacency


class Views(NamedTuple):
    """What behaviour and what content say of the same users or items."""

    behaviour: Tensor  # (n, dim)
    content: Tensor  # (n, dim)


class MGCN(PairwiseModel):
    r"""Lets content choose from the items' vectors, and behaviour choose from the content.

    With vectors $E$ of users and items, $\bar E$ is what LightGCN smooths. Per modality $m$ the
    content purifies the items' vectors, which are then smoothed over the nearest items and summed
    up for the users:

    $$ \ddot E_I^m = E_I \odot \sigma(W_2^m (W_1^m F_m + b_1^m) + b_2^m), \qquad
       \bar E_I^m = S_m \ddot E_I^m, \qquad \bar E_U^m = \tilde R\, \bar E_I^m $$

    $S_m$ holds the `num_neighbors` highest cosines of each item's features, symmetrically
    normalised, and $\tilde R$ is the user-item matrix, normalised likewise. Attention finds what
    the modalities share, and behaviour decides what is specific to each:

    $$ C = \sum_m \alpha_m \bar E^m, \qquad
       G = C + \frac{1}{M} \sum_m (\bar E^m - C) \odot \sigma(W_3^m \bar E + b_3^m), \qquad
       \hat y_{uv} = (\bar e_u + g_u)^\top (\bar e_v + g_v) $$

    with $\alpha_m = \operatorname{softmax}_m(q^\top \tanh(W_4 \bar E^m + b_4))$. `contrast` is
    [`info_nce`][hugraph.nn.info_nce] between $G$ and $\bar E$ over the users of a batch, plus that
    over its positive items; `l2` penalises the batch's rows of $E$. Where the spec gives
    `contrast` no weight, it is 1e-2.

    With one modality $G$ is $\bar E^1$, and attention and preferences learn nothing. A modality
    that an item lacks, or that none of a user's items has, takes no part in $C$ and $G$. A cold
    item takes part in the vectors of the items that resemble it, and so does not rank by a vector
    alone that was only ever trained as a negative. Tokens have the counts of an item as features of
    $S_m$, and the mean of learned embeddings before the projection.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality.
        user_item_adjacency: Symmetric adjacency over users, then items, without self-loops.
        modalities: Which modalities to use; all, if not given.
        dim: Size of the vectors.
        num_layers: Layers over the user-item graph.
        item_layers: Layers over the item graphs.
        num_neighbors: Neighbours of an item in each graph, itself among them.
        temperature: $\tau$ of `contrast`.
        token_dim: Embedding size of a modality given as tokens.

    Raises:
        ValueError: If an option is out of range, or the adjacency or the features do not fit.

    Source:
        [Yu et al. 2023](https://arxiv.org/abs/2308.03588), section 3, Eq. 1-19. From the authors'
        code: an item is its own nearest neighbour, cosines in `contrast`, the negatives of a batch,
        and the default initialisation of linear maps. Not from that code: it divides all of $G$ by
        3, where the paper averages the specific parts alone; contrasts a user of several triples
        as often; trains the raw features; and penalises final vectors. Missing modalities and
        tokens are extensions.
    """

    informed: Tensor  # (num_users + num_items, num_modalities) bool
    penalty_names = ("contrast",)
    penalty_weights = MappingProxyType({"contrast": 1e-2})

    def __init__(
        self,
        num_users: int,
        num_items: int,
        modality_features: ModalityFeatures,
        user_item_adjacency: Adjacency,
        *,
        modalities: Annotated[Sequence[str], MinLen(1), Predicate(distinct)] | None = None,
        dim: Annotated[int, Ge(1)] = 64,
        num_layers: Annotated[int, Ge(1)] = 2,
        item_layers: Annotated[int, Ge(1)] = 1,
        num_neighbors: Annotated[int, Ge(1)] = 10,
        temperature: Annotated[float, Gt(0)] = 0.2,
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__(num_users, num_items)
        check_options(MGCN, item_layers=item_layers, temperature=temperature)
        self.item_layers = item_layers
        self.temperature = temperature
        self.propagation = LightPropagation(
            user_item_adjacency, num_users + num_items, num_layers=num_layers
        )
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        sizes = self.content.dims
        self.user_embeddings = xavier(num_users, dim)
        self.item_embeddings = xavier(num_items, dim)
        self.projections = _linear((size, dim) for size in sizes)
        self.gates = _linear((dim, dim) for _ in sizes)
        self.preferences = nn.Linear(dim, len(sizes) * dim)
        self.attention = nn.Sequential(
            nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False)
        )
        self.item_graphs = nn.ModuleList(
            self._item_graph(m, num_neighbors) for m in range(len(sizes))
        )
        present = self.content.present
        reached = self._to_users(present.to(self.user_embeddings.dtype)) > 0
        self.register_buffer("informed", torch.cat([reached, present]), persistent=False)

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Adds up both views of the rows."""
        u, v = self.views(users, items)
        ego = take(self.user_embeddings, users), take(self.item_embeddings, items)
        return Encoding(u.behaviour + u.content, v.behaviour + v.content, ego)

    def terms(self, batch: Batch) -> Terms:
        """Gives the named, unweighted terms of the loss for one batch of triples."""
        assert isinstance(batch, Triples)
        seen = members(batch)
        u, v = self.views(seen.users, seen.items)
        pos = Views(*(take(view, seen.pos_rows) for view in v))
        contrast = [info_nce(w.content, w.behaviour, self.temperature) for w in (u, pos)]
        code = Encoding(
            users=take(u.behaviour + u.content, seen.user_rows),
            items=take(v.behaviour + v.content, seen.item_rows),
            ego=(
                take(self.user_embeddings, batch.users),
                take(self.item_embeddings, torch.cat([batch.pos_items, batch.neg_items])),
            ),
            penalties={"contrast": torch.stack(contrast).sum()},
        )
        return self.ranking_terms(batch, code)

    def views(
        self, users: Tensor | None = None, items: Tensor | None = None
    ) -> tuple[Views, Views]:
        """Smooths everything, then fuses the rows of `users` and `items`, or of all."""
        own = torch.cat([self.user_embeddings, self.item_embeddings])
        sizes = [self.num_users, self.num_items]
        by_users, by_items = self.propagation(own).split(sizes)
        of_items = torch.cat([self._similar(m) for m in range(len(self.content))], dim=1)
        of_users = self._to_users(of_items)
        told_users, told_items = self.informed.split(sizes)
        return (
            self._fused(take(by_users, users), take(of_users, users), take(told_users, users)),
            self._fused(take(by_items, items), take(of_items, items), take(told_items, items)),
        )

    def _similar(self, modality: int) -> Tensor:
        """Purifies the items' vectors, and smooths them over the items of similar content."""
        projection, gate = self.projections[modality], self.gates[modality]
        weight, bias = gate.weight @ projection.weight, gate(projection.bias)  # two maps in one
        logits = F.linear(self.content.of(modality), weight, bias)
        rows = self.item_embeddings * torch.sigmoid(logits)
        for _ in range(self.item_layers):
            rows = self.item_graphs[modality](rows)
        return rows

    def _item_graph(self, modality: int, num_neighbors: int) -> NeighborGraph:
        found = nearest_neighbors(self.content.raw(modality), num_neighbors, include_self=True)
        return NeighborGraph(found.indices, normalized_weights(found))

    def _to_users(self, rows: Tensor) -> Tensor:
        """Sums items' rows for each user, normalised: `(num_users, d)` of `(num_items, d)`."""
        blank = rows.new_zeros(self.num_users, rows.shape[1])
        return self.propagation.hop(torch.cat([blank, rows])).narrow(0, 0, self.num_users)

    def _fused(self, behaviour: Tensor, content: Tensor, informed: Tensor) -> Views:
        by_modality = content.unflatten(1, (len(self.content), -1))  # (n, num_modalities, dim)
        informed = informed.unsqueeze(2)
        logits = self.attention(by_modality)
        lowest = torch.finfo(logits.dtype).min  # a row of -inf would become NaN
        shares = logits.masked_fill(~informed, lowest).softmax(dim=1)
        common = (shares * by_modality).sum(dim=1)
        preferences = torch.sigmoid(self.preferences(behaviour)).view_as(by_modality)
        weights = informed / informed.sum(dim=1, keepdim=True).clamp(min=1)
        specific = (by_modality - common.unsqueeze(1)) * preferences * weights
        return Views(behaviour, common + specific.sum(dim=1))


def _linear(sizes: Iterable[tuple[int, int]]) -> Sequence[nn.Linear]:
    return cast("Sequence[nn.Linear]", nn.ModuleList(nn.Linear(*size) for size in sizes))
