"""LGMRec: users and items as their neighbours show them, and as hyperedges of content do."""

from collections.abc import Sequence
from itertools import combinations
from types import MappingProxyType
from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge, Gt, Le, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, distinct
from hugraph.interfaces import Batch, ModalityFeatures, Terms, Triples
from hugraph.models.members import Members, members
from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier
from hugraph.nn import LightPropagation, ModalityContent, info_nce, neighbor_sum, unit_rows
from hugraph.nn.adjacency import Adjacency, full_precision


class Sights(NamedTuple):
    """The same users or items, seen from near and from afar."""

    local: Tensor  # (n, dim)
    of_hyperedges: list[Tensor]  # per modality, (n, dim)


class LGMRec(PairwiseModel):
    r"""Adds to LightGCN the content of the neighbourhood, and hyperedges that content defines.

    With the features $F_m$ of modality $m$, the histories $R$ (users by items) and the normalised
    user-item graph $\tilde A$: locally, $\bar E$ is what LightGCN smooths, and
    $L^m = \tilde A^K [D_U^{-1} R F_m; F_m]\, W_m$ the content around each user and item; a user
    starts from the mean of the history. Globally, content assigns items, and histories assign
    users, to hyperedges that everybody's messages pass through:

    $$ H_I^m = \operatorname{softmax}\Big(\frac{F_m V_m + \epsilon}{\tau}\Big), \qquad
       H_U^m = \operatorname{softmax}\Big(\frac{R F_m V_m + \epsilon}{\tau}\Big), \qquad
       G^m = \begin{bmatrix} H_U^m \\ H_I^m \end{bmatrix} {H_I^m}^\top \bar E_I $$

    with another factor ${H_I^m}^\top H_I^m$ in the middle for each further layer. In training
    $\epsilon = \ln \delta - \ln (1 - \delta)$ with $\delta$ uniform in $(0, 1)$, and entries of
    $H$ are dropped. Rankings are made with all entries, and with the median of the noise, 0.

    $$ E^* = \bar E + \sum_m \operatorname{norm}(L^m)
       + \alpha \operatorname{norm}\Big(\sum_m G^m\Big), \qquad
       \hat y_{uv} = {e^*_u}^\top e^*_v $$

    `contrast` is [`info_nce`][hugraph.nn.info_nce] between $G^m$ and $G^{m'}$, summed over pairs of
    modalities, for the users of a batch plus for its positive items; with one modality it is 0.
    Where the spec gives it no weight, it is 0.2. `l2` penalises the batch's rows of the vectors
    that LightGCN starts from.

    A modality that an item lacks counts in no mean, and assigns it to no hyperedge. A cold item has
    no neighbours: what is known of it is what the hyperedges of its content say.

    $L^m$ is linear in $W_m$, and $H_U^m$ begins with $R F_m V_m$: with fixed features, what stands
    left of the weights is computed once, here, and kept beside the features.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality.
        user_item_adjacency: Symmetric adjacency over users, then items, without self-loops.
        modalities: Which modalities to use; all, if not given.
        dim: Size of the vectors.
        num_layers: Layers of LightGCN.
        content_layers: $K$, hops of the content.
        num_hyperedges: Hyperedges per modality, the columns of $V_m$.
        hyperedge_layers: How often messages pass through the hyperedges.
        temperature: $\tau$, of assignments and of `contrast`.
        keep_rate: Share of the assignments that training does not drop.
        global_weight: $\alpha$.
        token_dim: Embedding size of a modality given as tokens.

    Raises:
        ValueError: If an option is out of range, or the adjacency or the features do not fit.

    Source:
        [Guo et al. 2024](https://arxiv.org/abs/2312.16400), section 3. Its equations leave open
        what becomes of the noise in ranking, where the authors' code goes on drawing it. That code
        draws Gumbel noise; the paper has the logistic $\epsilon$. From the code: one dropped
        $H_I^m$ for both directions and all layers. `contrast` compares a batch, where the paper
        compares all users and all items, and is a mean: the code's $10^{-4}$, a weight of sums over
        2,048 triples, is about 0.2 here. `l2` is LightGCN's; the code's is of final vectors.
        Missing modalities, tokens and more than two modalities are extensions.
    """

    penalty_names = ("contrast",)
    penalty_weights = MappingProxyType({"contrast": 0.2})

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
        content_layers: Annotated[int, Ge(0)] = 2,
        num_hyperedges: Annotated[int, Ge(1)] = 4,
        hyperedge_layers: Annotated[int, Ge(1)] = 1,
        temperature: Annotated[float, Gt(0)] = 0.2,
        keep_rate: Annotated[float, Gt(0), Le(1)] = 0.5,
        global_weight: Annotated[float, Ge(0)] = 0.3,
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__(num_users, num_items)
        check_options(
            LGMRec,
            content_layers=content_layers,
            hyperedge_layers=hyperedge_layers,
            temperature=temperature,
            keep_rate=keep_rate,
        )
        self.content_layers = content_layers
        self.hyperedge_layers = hyperedge_layers
        self.temperature = temperature
        self.keep_rate = keep_rate
        self.global_weight = global_weight
        self.propagation = LightPropagation(
            user_item_adjacency, num_users + num_items, num_layers=num_layers
        )
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        sizes = self.content.dims
        self.user_embeddings = xavier(num_users, dim)
        self.item_embeddings = xavier(num_items, dim)
        self.projections = nn.ParameterList(xavier(size, dim) for size in sizes)
        self.hyperedges = nn.ParameterList(xavier(size, num_hyperedges) for size in sizes)
        for m in filter(self.content.is_fixed, range(len(sizes))):
            histories, nearby = self._spread(m)
            self.register_buffer(f"histories_{m}", histories, persistent=False)
            self.register_buffer(f"nearby_{m}", nearby, persistent=False)

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Adds up what is seen of the rows."""
        u, v = self.sights(users, items)
        ego = take(self.user_embeddings, users), take(self.item_embeddings, items)
        return Encoding(self._combined(u), self._combined(v), ego)

    def terms(self, batch: Batch) -> Terms:
        """Gives the named, unweighted terms of the loss for one batch of triples."""
        assert isinstance(batch, Triples)
        seen = members(batch)
        u, v = self.sights(seen.users, seen.items)
        code = Encoding(
            users=take(self._combined(u), seen.user_rows),
            items=take(self._combined(v), seen.item_rows),
            ego=(
                take(self.user_embeddings, batch.users),
                take(self.item_embeddings, torch.cat([batch.pos_items, batch.neg_items])),
            ),
            penalties={"contrast": self._contrast(u, v, seen)},
        )
        return self.ranking_terms(batch, code)

    def sights(
        self, users: Tensor | None = None, items: Tensor | None = None
    ) -> tuple[Sights, Sights]:
        """Shows `users` and `items`, or all, from near and from afar."""
        own = torch.cat([self.user_embeddings, self.item_embeddings])
        sizes = [self.num_users, self.num_items]
        by_users, by_items = self.propagation(own).split(sizes)
        u, v = take(by_users, users), take(by_items, items)
        global_u, global_v = [], []
        for m, projection in enumerate(self.projections):
            histories, nearby = self._surroundings(m)
            near_users, near_items = nearby.split(sizes)
            u = u + unit_rows(take(near_users, users) @ projection)
            v = v + unit_rows(take(near_items, items) @ projection)

            assigned_users = self._assigned(take(histories, users), m)
            assigned_items = self._assigned(self.content.of(m), m)
            assigned_items = assigned_items * self.content.present[:, m].unsqueeze(1)
            messages = assigned_items.T @ by_items  # (num_hyperedges, dim)
            for _ in range(self.hyperedge_layers - 1):
                messages = assigned_items.T @ (assigned_items @ messages)
            global_u.append(assigned_users @ messages)
            global_v.append(take(assigned_items, items) @ messages)
        return Sights(u, global_u), Sights(v, global_v)

    def _assigned(self, features: Tensor, modality: int) -> Tensor:
        logits = full_precision(features @ self.hyperedges[modality])
        if not self.training:
            return torch.softmax(logits / self.temperature, dim=1)
        noise = torch.rand_like(logits).logit(eps=1e-6)
        assigned = torch.softmax((logits + noise) / self.temperature, dim=1)
        kept = torch.rand_like(assigned) < self.keep_rate
        return assigned * kept  # not rescaled: messages are normalised in the end

    def _combined(self, sights: Sights) -> Tensor:
        total = torch.stack(sights.of_hyperedges).sum(dim=0)
        return sights.local + self.global_weight * unit_rows(total)

    def _contrast(self, u: Sights, v: Sights, seen: Members) -> Tensor:
        present = self.content.present.index_select(0, seen.items.index_select(0, seen.pos_rows))
        losses = [u.local.new_zeros(())]
        for a, b in combinations(range(len(self.content)), 2):
            losses.append(info_nce(u.of_hyperedges[a], u.of_hyperedges[b], self.temperature))
            both = seen.pos_rows[present[:, a] & present[:, b]]
            if len(both):
                one, other = (take(v.of_hyperedges[m], both) for m in (a, b))
                losses.append(info_nce(one, other, self.temperature))
        return torch.stack(losses).sum()

    def _surroundings(self, modality: int) -> tuple[Tensor, Tensor]:
        if self.content.is_fixed(modality):
            return self.get_buffer(f"histories_{modality}"), self.get_buffer(f"nearby_{modality}")
        return self._spread(modality)

    def _spread(self, modality: int) -> tuple[Tensor, Tensor]:
        """Sums up features over histories, `(num_users, d)`, and over neighbourhoods of nodes."""
        features = self.content.of(modality)
        present = self.content.present[:, modality].to(features).unsqueeze(1)
        blank = features.new_zeros(self.num_users, features.shape[1] + 1)
        nodes = torch.cat([blank, torch.cat([features, present], dim=1)])
        sums = neighbor_sum(self.propagation.adjacency, nodes).narrow(0, 0, self.num_users)
        histories, counts = sums.split([features.shape[1], 1], dim=1)
        nearby = torch.cat([histories / counts.clamp(min=1), features])
        for _ in range(self.content_layers):
            nearby = self.propagation.hop(nearby)
        return histories, nearby
