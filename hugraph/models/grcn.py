"""GRCN: attention to content decides how far each edge of the user-item graph is believed."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, distinct
from hugraph.interfaces import ModalityFeatures
from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier
from hugraph.nn import Edges, ModalityContent, SymmetricAdjacency, unit_rows
from hugraph.nn.adjacency import Adjacency


class GRCN(PairwiseModel):
    r"""Refines the user-item graph by content, and smooths ID embeddings over what is left of it.

    In each modality $m$ an item is a point, $e_v = \lVert \phi(W f_v + b) \rVert$ (rows scaled to
    length 1, $\phi$ a leaky ReLU), and a user a prototype, which starts as a free vector $p_u$ of
    length 1 and is routed `num_routing` times to the items of the history $N(u)$:

    $$ \alpha_{uv} = \operatorname{softmax}_{v \in N(u)}(p_u^\top e_v), \qquad
       p_u \leftarrow \frac{p_u + \sum_{v \in N(u)} \alpha_{uv} e_v}{\lVert\,\cdot\,\rVert} $$

    One more pass of attention, in both directions, gives content representations
    $\bar p_u = p_u + \sum_v \alpha_{uv} e_v$ and $\bar e_v = e_v + \sum_u \alpha_{vu} p_u$, where
    $\alpha_{vu} = \operatorname{softmax}_{u \in N(v)}(p_u^\top e_v)$. With a confidence $c$ of each
    node in each modality, the edges that lead to users and to items weigh

    $$ w_{uv} = \operatorname{ReLU}(\max\nolimits_m \alpha^m_{uv} c^m_v), \qquad
       w_{vu} = \operatorname{ReLU}(\max\nolimits_m \alpha^m_{vu} c^m_u). $$

    ID embeddings of length 1 are summed over these edges `num_layers` times, and all layers added.
    A representation is the result beside the content of every modality.

    An item that lacks a modality (a row of zeros) gets no attention from users in it, pays its own
    to its users evenly, and so takes on the mean of their prototypes. If it lacks them all, nothing
    of it reaches its users. A cold item keeps its ID embedding, trained as a negative only, and the
    content by which it is ranked.

    `l2` penalises ID embeddings and the free vectors of the users.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality.
        user_item_adjacency: Symmetric adjacency over users, then items; edges between two users or
            two items play no part.
        modalities: Which modalities to use; all, if not given.
        id_dim: Size of the ID embeddings.
        content_dim: Size of a prototype, in each modality.
        num_routing: How often prototypes are routed.
        num_layers: How often ID embeddings are summed over the refined graph.
        pruning: Whether an edge whose best confidence is negative is cut. Otherwise its weight is
            negative.
        token_dim: Embedding size of a modality given as tokens.

    Raises:
        ValueError: If an option is out of range, the adjacency is not symmetric or has other
            nodes, or a modality does not fit.

    Source:
        [Wei et al. 2020](https://arxiv.org/abs/2111.02036), section 3, as in the authors' code,
        whose published commands run with `pruning=False`. Departures: confidences start at 1, not
        as small numbers of either sign, half of which the ReLU would cut for good (on Last.fm that
        ranks much worse, with and without pruning); `l2` is half the squared norm per example, not
        a mean of squares; items without a modality are no subject of the paper.
    """

    edge_present: Tensor  # (num_modalities, num_edges) bool
    separable = True

    def __init__(
        self,
        num_users: int,
        num_items: int,
        modality_features: ModalityFeatures,
        user_item_adjacency: Adjacency,
        *,
        modalities: Annotated[Sequence[str], MinLen(1), Predicate(distinct)] | None = None,
        id_dim: Annotated[int, Ge(1)] = 64,
        content_dim: Annotated[int, Ge(1)] = 64,
        num_routing: Annotated[int, Ge(0)] = 3,
        num_layers: Annotated[int, Ge(0)] = 2,
        pruning: bool = True,
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__(num_users, num_items)
        check_options(GRCN, num_routing=num_routing, num_layers=num_layers)
        num_nodes = num_users + num_items
        self.edges = Edges(  # from items to users; reversed, from users to items
            SymmetricAdjacency(user_item_adjacency, num_nodes),
            targets=range(num_users),
            sources=range(num_users, num_nodes),
        )
        self.num_routing = num_routing
        self.num_layers = num_layers
        self.pruning = pruning
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        present = self.content.present.T.index_select(1, self.edges.sources)
        self.register_buffer("edge_present", present, persistent=False)
        self.all_present = all(self.content.complete)

        num_modalities = len(self.content)
        self.user_embeddings = xavier(num_users, id_dim)
        self.item_embeddings = xavier(num_items, id_dim)
        self.projections = nn.ParameterList(xavier(dim, content_dim) for dim in self.content.dims)
        self.biases = nn.ParameterList(torch.zeros(content_dim) for _ in self.content.dims)
        prototypes = [xavier(num_users, content_dim) for _ in self.content.names]
        self.prototypes = nn.Parameter(torch.stack([one.detach() for one in prototypes]))
        self.user_confidence = nn.Parameter(torch.ones(num_modalities, num_users))
        self.item_confidence = nn.Parameter(torch.ones(num_modalities, num_items))

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Refines the graph, propagates over it, then takes the rows."""
        points = self._points()
        prototypes = self._routed(points)
        to_users, to_items = self._attention(points, prototypes)
        user_content = prototypes + self.edges.weighted_sum(to_users, points)
        item_content = points + self.edges.weighted_sum(to_items, prototypes, reverse=True)
        user_ids, item_ids = self._propagated(*self._believed(to_users, to_items))
        return Encoding(
            torch.cat([take(user_ids, users), _rows(user_content, users)], dim=1),
            torch.cat([take(item_ids, items), _rows(item_content, items)], dim=1),
            ego=(
                take(self.user_embeddings, users),
                _rows(self.prototypes, users),
                take(self.item_embeddings, items),
            ),
        )

    def histograms(self) -> Mapping[str, Tensor]:
        """How far edges are believed, in both directions."""
        points = self._points()
        attention = self._attention(points, self._routed(points))
        names = ("edge_weight/to_users", "edge_weight/to_items")
        return dict(zip(names, self._believed(*attention), strict=True))

    def _points(self) -> Tensor:
        """The items in each modality, `(num_modalities, num_items, content_dim)`."""
        parts = zip(self.content.rows(), self.projections, self.biases, strict=True)
        points = torch.stack([unit_rows(F.leaky_relu(x @ w + b)) for x, w, b in parts])
        return points if self.all_present else points * self.content.present.T.unsqueeze(2)

    def _routed(self, points: Tensor) -> Tensor:
        """The users in each modality, `(num_modalities, num_users, content_dim)`."""
        prototypes = unit_rows(self.prototypes)
        for _ in range(self.num_routing):
            attention = self._shared(self.edges.dot(points, prototypes))
            prototypes = unit_rows(prototypes + self.edges.weighted_sum(attention, points))
        return prototypes

    def _attention(self, points: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor]:
        """Of users to their items and of items to their users, `(num_modalities, num_edges)`."""
        logits = self.edges.dot(points, prototypes)
        return self._shared(logits), self.edges.softmax(logits, reverse=True)

    def _shared(self, logits: Tensor) -> Tensor:
        """Lets each user share attention among the items that have the modality."""
        if self.all_present:
            return self.edges.softmax(logits)
        lowest = torch.finfo(logits.dtype).min
        shares = self.edges.softmax(logits.masked_fill(~self.edge_present, lowest))
        return shares * self.edge_present  # of a user whose items all lack it

    def _believed(self, to_users: Tensor, to_items: Tensor) -> tuple[Tensor, Tensor]:
        """The weights of the refined graph, `(num_edges,)` in each direction."""
        of_items = self.item_confidence.index_select(1, self.edges.sources)
        of_users = self.user_confidence.index_select(1, self.edges.targets)
        weights = (to_users * of_items).amax(dim=0), (to_items * of_users).amax(dim=0)
        return (weights[0].relu(), weights[1].relu()) if self.pruning else weights

    def _propagated(self, to_users: Tensor, to_items: Tensor) -> tuple[Tensor, Tensor]:
        """ID embeddings of users and items, smoothed over the refined graph."""
        users, items = unit_rows(self.user_embeddings), unit_rows(self.item_embeddings)
        all_users, all_items = users, items
        for _ in range(self.num_layers):
            users, items = (
                self.edges.weighted_sum(to_users[None], items[None])[0],
                self.edges.weighted_sum(to_items[None], users[None], reverse=True)[0],
            )
            all_users, all_items = all_users + users, all_items + items
        return all_users, all_items


def _rows(stacked: Tensor, index: Tensor | None) -> Tensor:
    """Takes rows of several tables `(tables, n, dim)` and puts them side by side."""
    chosen = stacked if index is None else stacked.index_select(1, index)
    return chosen.transpose(0, 1).flatten(1)
