"""FREEDOM: a frozen graph of similar items, and a user-item graph that is thinned in each epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, distinct
from hugraph.errors import hint
from hugraph.interfaces import (
    Batch,
    DotProduct,
    Interactions,
    ModalityFeatures,
    Stage,
    Terms,
    Triples,
)
from hugraph.models.pairwise import Encoding, PairwiseModel, take, take_both, xavier
from hugraph.nn import (
    LightPropagation,
    ModalityContent,
    NeighborGraph,
    bipartite_adjacency,
    nearest_neighbors,
)


class FREEDOM(PairwiseModel):
    r"""LightGCN on few of the edges at a time, with items that take from those that resemble them.

    $$ \hat y_{uv} = e_u^\top (e_v + h_v), \qquad h = A^n E, \qquad
       A_{vw} = \sum_m \frac{\alpha_m}{k} [w \in N^m_v] $$

    $N^m_v$ are the $k$ items nearest to $v$ by the cosine of modality $m$; this graph is made once.
    $E$ holds the items' own vectors, and $e_u$ and $e_v$ are the vectors that LightGCN smooths. In
    training it smooths over a part of the user-item graph, drawn before each epoch without
    replacement and in proportion to $1 / \sqrt{d_u d_v}$; for ranking, over all of it.

    Terms beside `bpr`: `content_bpr` is the sum over modalities of the BPR loss of
    $e_u^\top W_m f_v$, over the triples whose items both have the modality; `l2` penalises the own
    vectors of a batch. Where the spec gives them no weight, `content_bpr` weighs 1e-3, and
    `l2` nothing, as in the paper.

    A cold item has no user to learn from, but ranks by its neighbours in content. An item that
    lacks a modality has no neighbours in it, and gives its weight to the others; one that lacks all
    keeps $e_v$ alone. Tokens have the counts of an item as features of the graph, and the mean of
    learned embeddings before the projection.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        train_interactions: The edges of the user-item graph.
        modality_features: Features of every modality.
        modalities: Which modalities to use; all, if not given.
        modality_weights: Relative weights $\alpha$ in the item graph; 1 for a modality that is not
            named. The paper has 0.1 for visual and 0.9 for textual features.
        dim: Size of the vectors.
        num_layers: Layers over the user-item graph.
        item_layers: $n$, layers over the item graph.
        num_neighbors: $k$, the item itself among them.
        dropped_edges: $\rho$, the share of the user-item graph that an epoch leaves out.
        token_dim: Embedding size of a modality given as tokens.

    Raises:
        ValueError: If an option is out of range, or features do not fit.

    Source:
        [Zhou and Shen 2023](https://arxiv.org/abs/2211.06924), section 3. The authors' code is
        followed where it takes an item for its own neighbour, and left where it trains the
        features; the bias of its projections cancels in BPR and is left out. Equal weights of the
        modalities, `l2`, missing modalities and tokens are extensions.
    """

    penalty_names = ("content_bpr",)
    penalty_weights = MappingProxyType({"content_bpr": 1e-3, "l2": 0.0})
    users: Tensor  # (num_interactions,), of the edges
    items: Tensor
    chances: Tensor  # (num_interactions,), relative

    def __init__(
        self,
        num_users: int,
        num_items: int,
        train_interactions: Interactions,
        modality_features: ModalityFeatures,
        *,
        modalities: Annotated[Sequence[str], MinLen(1), Predicate(distinct)] | None = None,
        modality_weights: Mapping[str, Annotated[float, Ge(0)]] | None = None,
        dim: Annotated[int, Ge(1)] = 64,
        num_layers: Annotated[int, Ge(0)] = 2,
        item_layers: Annotated[int, Ge(1)] = 1,
        num_neighbors: Annotated[int, Ge(1)] = 10,
        dropped_edges: Annotated[float, Ge(0), Lt(1)] = 0.8,
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__(num_users, num_items)
        check_options(
            FREEDOM,
            modality_weights=modality_weights,
            item_layers=item_layers,
            num_neighbors=num_neighbors,
            dropped_edges=dropped_edges,
        )
        self.num_layers = num_layers
        self.item_layers = item_layers
        self.num_kept = max(1, round(len(train_interactions.users) * (1 - dropped_edges)))
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        self.separable = all(self.content.complete)  # else content_bpr is a mean over some rows
        self.projections = nn.ModuleList(
            nn.Linear(size, dim, bias=False) for size in self.content.dims
        )
        self.user_embeddings = xavier(num_users, dim)
        self.item_embeddings = xavier(num_items, dim)

        users, items = train_interactions
        user_degrees, item_degrees = torch.bincount(users), torch.bincount(items)
        chances = (user_degrees[users] * item_degrees[items]).to(torch.get_default_dtype()).rsqrt()
        self.register_buffer("users", users, persistent=False)
        self.register_buffer("items", items, persistent=False)
        self.register_buffer("chances", chances, persistent=False)
        self.whole = self._propagation(users, items)
        self.thinned = self.whole  # until an epoch begins
        self.item_graph = self._item_graph(modality_weights or {}, num_neighbors)

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Smooths over the edges of the epoch, and adds what similar items say."""
        return Encoding(
            *self._represent(self.thinned, users, items),
            ego=(take(self.user_embeddings, users), take(self.item_embeddings, items)),
        )

    def terms(self, batch: Batch) -> Terms:
        """Gives the terms of the model, and the loss of ranking by content alone."""
        assert isinstance(batch, Triples)
        items = torch.cat([batch.pos_items, batch.neg_items])
        code = self.encode(batch.users, items)
        content_bpr = self._content_bpr(code.users, items)
        return {**self.ranking_terms(batch, code), "content_bpr": content_bpr}

    def stages(self) -> tuple[Stage, ...]:
        """One stage, which draws edges before each epoch."""
        (stage,) = super().stages()
        return (replace(stage, begin_epoch=self._begin_epoch),)

    def scorer(self) -> DotProduct:
        """Represents everybody once, over all edges."""
        return DotProduct(*self._represent(self.whole))

    def _begin_epoch(self) -> None:
        kept = _draw(self.chances, self.num_kept)
        self.thinned = self._propagation(
            self.users.index_select(0, kept), self.items.index_select(0, kept)
        )

    def _represent(
        self,
        propagation: LightPropagation,
        users: Tensor | None = None,
        items: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        own = torch.cat([self.user_embeddings, self.item_embeddings])
        u, v = take_both(propagation(own), self.num_users, users, items)
        similar: Tensor = self.item_embeddings
        for _ in range(self.item_layers):
            similar = self.item_graph(similar)
        return u, v + take(similar, items)

    def _content_bpr(self, users: Tensor, items: Tensor) -> Tensor:
        present = self.content.present.index_select(0, items)
        losses = []
        for m, rows in enumerate(self.content.rows(items)):
            pos, neg = self.projections[m](rows).chunk(2)
            both = torch.stack(present[:, m].chunk(2)).all(dim=0)
            loss = F.softplus((users * (neg - pos)).sum(dim=1)) * both
            losses.append(loss.sum() / both.sum().clamp(min=1))
        return torch.stack(losses).sum()

    def _propagation(self, users: Tensor, items: Tensor) -> LightPropagation:
        adjacency = bipartite_adjacency(users, items, self.num_users, self.num_items)
        return LightPropagation(adjacency, num_layers=self.num_layers)

    def _item_graph(self, chosen: Mapping[str, float], num_neighbors: int) -> NeighborGraph:
        names, present = self.content.names, self.content.present
        if unknown := [name for name in chosen if name not in names]:
            raise ValueError(f"there is no modality {unknown[0]!r}{hint(unknown[0], names)}")
        weights = [float(chosen.get(name, 1)) for name in names]
        shares = F.normalize(present * torch.tensor(weights, device=present.device), p=1, dim=1)
        neighbors, edge_weights = [], []
        for m in range(len(names)):
            # No more than have the modality: then none lacks neighbours but who lacks the modality.
            k = max(1, min(num_neighbors, int(present[:, m].sum())))
            found = nearest_neighbors(self.content.raw(m), k, include_self=True)
            neighbors.append(found.indices)
            edge_weights.append((shares[:, m] / k).unsqueeze(1).expand(-1, k))
        return NeighborGraph(torch.cat(neighbors, dim=1), torch.cat(edge_weights, dim=1))


def _draw(chances: Tensor, count: int) -> Tensor:
    """Draws `count` positions without replacement, each time in proportion to what is left.

    Of exponential waiting times with these rates, the first `count` are such a draw.
    """
    waiting = torch.empty_like(chances).exponential_() / chances
    return waiting.topk(count, largest=False, sorted=False).indices
