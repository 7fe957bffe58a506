"""LATTICE: graphs of similar items, some given and some learned, beside LightGCN."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, cast

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, distinct
from hugraph.interfaces import DotProduct, ModalityFeatures, Stage
from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier
from hugraph.nn import (
    LightPropagation,
    ModalityContent,
    NeighborGraph,
    Neighbors,
    nearest_neighbors,
    normalized_weights,
)
from hugraph.nn.adjacency import Adjacency


class LATTICE(PairwiseModel):
    r"""LightGCN whose items also learn from the items that resemble them.

    Per modality $m$ there are two graphs of nearest neighbours by cosine, both symmetrically
    normalised: $S_m$ of the features, fixed, and $S'_m$ of the projections $W_m f + b_m$, learned.

    $$ A = \sum_m \alpha_m (\lambda S_m + (1 - \lambda) S'_m), \qquad h = A^n E, \qquad
       \hat y_{uv} = e_u^\top \Big(e_v + \frac{h_v}{\lVert h_v \rVert}\Big) $$

    $\alpha$ is the softmax of learned weights, $E$ holds the items' own vectors, and $e_u$ and
    $e_v$ are the vectors that LightGCN smooths. Who is whose neighbour by projection is found
    before each epoch, and for ranking; how similar they are is computed in each step. Nothing is
    kept of items that are not neighbours.

    `l2` penalises the own vectors of a batch. A cold item has no user to learn from, but ranks by
    its neighbours in content. An item that lacks a modality has no neighbours in it; one that lacks
    all keeps $e_v$ alone. Tokens have the counts of an item as fixed features, and the mean of
    learned embeddings before the projection.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality.
        user_item_adjacency: Symmetric adjacency over users, then items, without self-loops.
        modalities: Which modalities to use; all, if not given.
        dim: Size of the vectors and of the projections.
        num_layers: Layers over the user-item graph; 0 leaves matrix factorisation.
        item_layers: $n$, layers over the item graph.
        num_neighbors: Neighbours of an item in each graph, itself among them.
        fixed_share: $\lambda$, the share of the fixed graphs.
        token_dim: Embedding size of a modality given as tokens.

    Raises:
        ValueError: If an option is out of range, or the adjacency or the features do not fit.

    Source:
        [Zhang et al. 2021](https://arxiv.org/abs/2104.09036), section 3, with LightGCN. The
        authors' code is followed where it takes an item for its own neighbour. It is not followed
        where it departs from the paper: it lets only the first step of an epoch learn the
        projections, normalises the mixture of the learned graphs instead of each, and trains the
        features. L2 of the own instead of the smoothed vectors, as in LightGCN; missing modalities
        and tokens are extensions.
    """

    separable = True

    def __init__(
        self,
        num_users: int,
        num_items: int,
        modality_features: ModalityFeatures,
        user_item_adjacency: Adjacency,
        *,
        modalities: Annotated[Sequence[str], MinLen(1), Predicate(distinct)] | None = None,
        dim: Annotated[int, Ge(1)] = 64,
        num_layers: Annotated[int, Ge(0)] = 2,
        item_layers: Annotated[int, Ge(1)] = 1,
        num_neighbors: Annotated[int, Ge(1)] = 10,
        fixed_share: Annotated[float, Ge(0), Le(1)] = 0.9,
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__(num_users, num_items)
        check_options(
            LATTICE, item_layers=item_layers, num_neighbors=num_neighbors, fixed_share=fixed_share
        )
        self.item_layers = item_layers
        self.num_neighbors = num_neighbors
        self.fixed_share = fixed_share
        self.propagation = LightPropagation(
            user_item_adjacency, num_users + num_items, num_layers=num_layers
        )
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        self.projections = nn.ModuleList(nn.Linear(size, dim) for size in self.content.dims)
        self.modality_logits = nn.Parameter(torch.zeros(len(self.content)))
        self.user_embeddings = xavier(num_users, dim)
        self.item_embeddings = xavier(num_items, dim)

        fixed = [self._nearest(m, self.content.raw(m)) for m in range(len(self.content))]
        self.fixed_graphs = _modules(
            NeighborGraph(found.indices, normalized_weights(found)) for found in fixed
        )
        self.learned_graphs = self._learned_graphs()

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Adds what similar items say; with the learned neighbours of the epoch's beginning."""
        return self._encode(self.learned_graphs, users, items)

    def stages(self) -> tuple[Stage, ...]:
        """One stage, which finds the learned neighbours before each epoch."""
        (stage,) = super().stages()
        return (replace(stage, begin_epoch=self._begin_epoch),)

    def scorer(self) -> DotProduct:
        """Represents everybody once, with the learned neighbours of the parameters as they are."""
        code = self._encode(self._learned_graphs())
        return DotProduct(code.users, code.items)

    def _begin_epoch(self) -> None:
        self.learned_graphs = self._learned_graphs()

    def _encode(
        self,
        learned: Sequence[NeighborGraph],
        users: Tensor | None = None,
        items: Tensor | None = None,
    ) -> Encoding:
        own = torch.cat([self.user_embeddings, self.item_embeddings])
        all_users, all_items = self.propagation(own).split([self.num_users, self.num_items])
        similar = self._similar_items(learned)
        return Encoding(
            users=take(all_users, users),
            items=take(all_items, items) + F.normalize(take(similar, items), dim=1),
            ego=(take(self.user_embeddings, users), take(self.item_embeddings, items)),
        )

    def _similar_items(self, learned: Sequence[NeighborGraph]) -> Tensor:
        """What the item graphs carry to every item: $h$, `(num_items, dim)`."""
        learned_weights = [
            normalized_weights(Neighbors(graph.indices, graph.dots(unit)))
            for graph, unit in zip(learned, self._projected(), strict=True)
        ]
        shares = self.modality_logits.softmax(dim=0).view(-1, 1, 1)
        similar: Tensor = self.item_embeddings
        for _ in range(self.item_layers):
            by_fixed = torch.stack([graph(similar) for graph in self.fixed_graphs])
            by_learned = torch.stack(
                [graph(similar, w) for graph, w in zip(learned, learned_weights, strict=True)]
            )
            similar = (shares * torch.lerp(by_learned, by_fixed, self.fixed_share)).sum(dim=0)
        return similar

    def _projected(self) -> list[Tensor]:
        """The items in each modality's learned space, of length 1 or, where missing, 0."""
        projected = []
        for m, projection in enumerate(self.projections):
            present = self.content.present[:, m].unsqueeze(1)
            projected.append(F.normalize(projection(self.content.of(m)) * present, dim=1))
        return projected

    @torch.no_grad()
    def _learned_graphs(self) -> Sequence[NeighborGraph]:
        nearest = [self._nearest(m, unit) for m, unit in enumerate(self._projected())]
        return _modules(NeighborGraph(found.indices) for found in nearest)

    def _nearest(self, modality: int, features: Tensor) -> Neighbors:
        num_present = int(self.content.present[:, modality].sum())
        k = max(1, min(self.num_neighbors, num_present))  # so that none but missing items lack any
        return nearest_neighbors(features, k, include_self=True)


def _modules(graphs: Iterable[NeighborGraph]) -> Sequence[NeighborGraph]:
    return cast("Sequence[NeighborGraph]", nn.ModuleList(graphs))
