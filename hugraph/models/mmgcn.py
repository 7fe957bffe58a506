"""MMGCN: one graph network over users and items for each modality."""

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import torch
import torch.nn.functional as F
from annotated_types import Ge, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, distinct
from hugraph.interfaces import ModalityFeatures
from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier
from hugraph.nn import Edges, ModalityContent, SymmetricAdjacency, unit_rows
from hugraph.nn.adjacency import Adjacency
from hugraph.nn.dense import linear

_Sides = tuple[Tensor, Tensor]  # of users and of items


class MMGCN(PairwiseModel):
    r"""Passes messages between users and items in every modality, and sums what comes out.

    A modality starts, in rows $x$ of length 1, from a free vector of preferences for each user and
    from the features of the items. With $e$ the ID embeddings, which all modalities and layers
    share, and $\phi$ the LeakyReLU, a layer is

    $$ h_i = \phi\Big(\frac{1}{|N_i|} \sum_{j \in N_i} x_j W_1\Big), \qquad
       \hat x_i = \phi(x_i W_2 + b_2) + e_i $$

    and $x_i' = \phi([h_i \| \hat x_i] W_3 + b_3)$ or $\phi(h_i W_3 + b_3 + \hat x_i)$. `l2`
    penalises the ID and preference rows of the batch.

    A cold item has no neighbours, so that $h = 0$: it ranks by its content, and by an ID embedding
    that was only ever trained as a negative. An item that lacks a modality starts there from
    $x = 0$ and is left out of the first layer's means; from then on it has what its users say.

    The mathematics is exact but ordered for speed: what users hear of fixed features in the first
    layer is constant and computed once, here; the last layer runs for a batch's users and items
    alone, each once.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality.
        user_item_adjacency: Symmetric adjacency over users, then items, without self-loops.
        modalities: Which modalities to use, in order; all, if not given.
        dim: Size of the ID embeddings and of every layer's output.
        num_layers: Layers of each modality.
        combine: `concat` is the first form of $x'$, `sum` the second.
        projection_dim: A modality with more columns is first mapped to this many, by a learned
            linear map with bias; others enter as they are.
        token_dim: Embedding size of a modality given as tokens.

    Raises:
        ValueError: If an option is out of range, the adjacency is not symmetric or has other
            nodes, or the features do not fit.

    Source:
        MMGCN, [Wei et al. 2019](https://doi.org/10.1145/3343031.3351034), section 3, with mean
        aggregation. From the authors' code: the rows of length 1, the biases, the slope 0.01, the
        256 columns (there, of the visual modality alone), and that `l2` leaves out the weight
        matrices. Unlike that code, preferences and ID embeddings are trained, `combine` and
        `num_layers` are obeyed, modalities are summed, as in the paper, and not averaged, and `l2`
        takes the preferences of the batch in all modalities, not of all users in one. Biases start
        at zero. Missing modalities are an extension.
    """

    to_users: Tensor  # (1, num_edges), weights that make a sum over neighbours their mean
    to_items: Tensor  # (1, num_edges)
    first_to_users: Tensor  # (num_modalities, num_edges), 0 for an item without features
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
        num_layers: Annotated[int, Ge(1)] = 2,
        combine: Literal["concat", "sum"] = "concat",
        projection_dim: Annotated[int, Ge(1)] = 256,
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__(num_users, num_items)
        check_options(MMGCN, num_layers=num_layers, combine=combine)
        num_nodes = num_users + num_items
        self.edges = Edges(  # from items to users; reversed, from users to items
            SymmetricAdjacency(user_item_adjacency, num_nodes),
            targets=range(num_users),
            sources=range(num_users, num_nodes),
        )
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        widths = self.content.dims
        sizes = [min(width, projection_dim) for width in widths]

        self.user_embeddings = xavier(num_users, dim)
        self.item_embeddings = xavier(num_items, dim)
        self.preferences = nn.ParameterList(xavier(num_users, size) for size in sizes)
        self.projections = nn.ModuleList(
            linear(width, size) if width > size else nn.Identity()
            for width, size in zip(widths, sizes, strict=True)
        )
        self.layers = cast(
            "Sequence[Sequence[_Layer]]",
            nn.ModuleList(
                nn.ModuleList(_Layer(n, dim, combine) for n in [size, *[dim] * (num_layers - 1)])
                for size in sizes
            ),
        )
        self._precompute()

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Runs all layers but the last for everybody, and the last for the given alone."""
        everybody = self.user_embeddings, self.item_embeddings
        some_users, user_places = _once(users)
        some_items, item_places = _once(items)
        ids = take(self.user_embeddings, some_users), take(self.item_embeddings, some_items)
        outputs = []
        for m, (*inner, last) in enumerate(self.layers):
            states = self._start(m)
            means = self._means(states, self.first_to_users[m, None], getattr(self, f"liked_{m}"))
            for layer in inner:
                states = _both(layer, means, states, everybody)
                means = self._means(states, self.to_users)
            heard, own = ((take(u, some_users), take(v, some_items)) for u, v in (means, states))
            outputs.append(_both(last, heard, own, ids))
        u, v = (torch.stack(side).sum(dim=0) for side in zip(*outputs, strict=True))
        tables = self.user_embeddings, *self.preferences
        return Encoding(
            take(u, user_places),
            take(v, item_places),
            ego=(*(take(table, users) for table in tables), take(self.item_embeddings, items)),
        )

    def _start(self, modality: int) -> _Sides:
        """Preferences and features, in rows of length 1; zeros for an item without features."""
        features = self.content.of(modality)
        if not self._is_constant(modality):
            present = self.content.present[:, modality].unsqueeze(1)
            features = unit_rows(self.projections[modality](features)) * present
        return unit_rows(self.preferences[modality]), features

    def _means(self, states: _Sides, to_users: Tensor, liked: Tensor | None = None) -> _Sides:
        """Takes the mean over each node's neighbours; what users like may be known."""
        users, items = states
        if liked is None:
            liked = self.edges.weighted_sum(to_users, items[None])[0]
        return liked, self.edges.weighted_sum(self.to_items, users[None], reverse=True)[0]

    def _is_constant(self, modality: int) -> bool:
        projects = isinstance(self.projections[modality], nn.Linear)
        return self.content.is_fixed(modality) and not projects

    @torch.no_grad()
    def _precompute(self) -> None:
        """Shares each node out evenly, and takes users' means over features that never change."""
        present = self.content.present.T.index_select(1, self.edges.sources)
        even = present.new_zeros(present.shape, dtype=self.user_embeddings.dtype)
        masked = even.masked_fill(~present, torch.finfo(even.dtype).min)
        shares = {
            "to_users": self.edges.softmax(even[:1]),
            "to_items": self.edges.softmax(even[:1], reverse=True),
            "first_to_users": self.edges.softmax(masked) * present,
        }
        for name, weights in shares.items():
            self.register_buffer(name, weights, persistent=False)
        for m in range(len(self.content)):
            liked = None
            if self._is_constant(m):
                self.content.replace(m, unit_rows(self.content.of(m)))
                features = self.content.of(m)[None]
                liked = self.edges.weighted_sum(self.first_to_users[m, None], features)[0]
            self.register_buffer(f"liked_{m}", liked, persistent=False)


class _Layer(nn.Module):
    """What a node's neighbours say, joined with what it says itself."""

    def __init__(self, size: int, dim: int, combine: str) -> None:
        super().__init__()
        self.hear = xavier(size, size)  # W_1
        self.keep = linear(size, dim)  # W_2
        self.join = linear(size, dim)  # W_3; in a concatenation, the part of it that meets h
        self.join_own = xavier(dim, dim) if combine == "concat" else None

    def forward(self, mean: Tensor, x: Tensor, ids: Tensor) -> Tensor:
        heard = self.join(F.leaky_relu_(mean @ self.hear))
        own = F.leaky_relu_(self.keep(x)) + ids
        if self.join_own is not None:
            own = own @ self.join_own
        return F.leaky_relu_(own.add_(heard))


def _both(layer: _Layer, means: _Sides, states: _Sides, ids: _Sides) -> _Sides:
    users, items = (layer(*side) for side in zip(means, states, ids, strict=True))
    return users, items


def _once(rows: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Each of the rows once, and the place of each among them; None stands for all, in order."""
    if rows is None:
        return None, None
    return cast(tuple[Tensor, Tensor], torch.unique(rows, return_inverse=True))
