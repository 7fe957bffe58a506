"""BM3: users and items that predict one another, and content that predicts its item."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, distinct
from hugraph.interfaces import Batch, DotProduct, ModalityFeatures, Stage, Terms, Triples
from hugraph.models.pairwise import take, take_both, xavier
from hugraph.nn import LightPropagation, ModalityContent, batch_l2
from hugraph.nn.adjacency import Adjacency
from hugraph.nn.dense import linear


class BM3(nn.Module):
    r"""Pulls users and items, and items and their content, towards one another; no negatives.

    $h$ is LightGCN's mean of layers, for an item with its own embedding added once more, and
    $h_v^m = W_m f_v^m + b_m$ is the content. One linear predictor, $\tilde h = W h + b$, is to meet
    views: $\dot h$ is $h$ with entries dropped, and no gradient flows through it. With
    $C = 1 - \cos$, the terms are these means over the batch:

    * `alignment`: $C(\tilde h_u, \dot h_v) + C(\tilde h_v, \dot h_u)$;
    * `modal_alignment`: $\sum_m C(\tilde h_v^m, \dot h_v)$;
    * `intra_modal`: $\sum_m C(\tilde h_v^m, \dot h_v^m)$;
    * `l2`, of $h_u$ and $h_v$.

    Where the spec gives them no weight, both modal terms weigh 2.

    The score is $\hat y_{uv} = \tilde h_u^\top \tilde h_v$. The model takes triples, whose
    negatives it ignores. An item that lacks a modality is left out of its means. A cold item is in
    no batch, so that its embedding stays as it was drawn: content shapes the embeddings of warm
    items, and ranks nothing by itself.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality.
        user_item_adjacency: Symmetric adjacency over users, then items, without self-loops.
        modalities: Which modalities to use; all, if not given.
        dim: Size of the vectors.
        num_layers: Layers of LightGCN.
        dropout: Share of a view's entries that are dropped.
        token_dim: Embedding size of a modality given as tokens.

    Raises:
        ValueError: If an option is out of range, or the adjacency or the features do not fit.

    Source:
        [Zhou et al. 2023](https://arxiv.org/abs/2207.05969), section 3. From the authors' code: the
        weight 2 of both modal terms. It divides the length of the matrix
        of all representations by the number of items, next to nothing; `l2` is half the squared
        length per example, so that the same $\lambda$ weighs much more. It also trains the raw
        features, which are fixed here. $C$ counts from 0 instead of -1; biases start at zero
        (inferred).
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        modality_features: ModalityFeatures,
        user_item_adjacency: Adjacency,
        *,
        modalities: Annotated[Sequence[str], MinLen(1), Predicate(distinct)] | None = None,
        dim: Annotated[int, Ge(1)] = 64,
        num_layers: Annotated[int, Ge(1)] = 1,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__()
        check_options(BM3, dropout=dropout)
        self.num_users = num_users
        self.num_items = num_items
        self.propagation = LightPropagation(
            user_item_adjacency, num_users + num_items, num_layers=num_layers
        )
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        self.dropout = dropout
        self.embeddings = xavier(num_users + num_items, dim)
        self.projections = nn.ModuleList(linear(size, dim) for size in self.content.dims)
        self.predictor = linear(dim, dim)

    def represent(
        self, users: Tensor | None = None, items: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Smooths all embeddings, and adds an item's own; takes the rows."""
        smoothed = self.propagation(self.embeddings)
        u, v = take_both(smoothed, self.num_users, users, items)
        nodes = torch.arange(self.num_items, device=v.device) if items is None else items
        return u, v + take(self.embeddings, nodes + self.num_users)

    def terms(self, batch: Batch) -> Terms:
        """Gives the named, unweighted terms of the loss; the negatives are ignored."""
        assert isinstance(batch, Triples)
        items = batch.pos_items
        u, v = self.represent(batch.users, items)
        u_view, v_view = self._view(u), self._view(v)
        to_item, within = [], []
        present = self.content.present.index_select(0, items).to(v).unbind(dim=1)
        for m, features in enumerate(self.content.rows(items)):
            content = self.projections[m](features)
            predicted = self.predictor(content)
            share = present[m] / present[m].sum().clamp(min=1)
            to_item.append((share * _distance(predicted, v_view)).sum())
            within.append((share * _distance(predicted, self._view(content))).sum())
        there = _distance(self.predictor(u), v_view)
        back = _distance(self.predictor(v), u_view)
        return {
            "alignment": (there + back).mean(),
            "modal_alignment": torch.stack(to_item).sum(),
            "intra_modal": torch.stack(within).sum(),
            "l2": batch_l2(u, v),
        }

    def stages(self) -> tuple[Stage, ...]:
        """One stage that trains every parameter on triples."""
        names = ("alignment", "modal_alignment", "intra_modal", "l2")
        weights = {"modal_alignment": 2.0, "intra_modal": 2.0}
        parameters = tuple(self.parameters())
        return (Stage("bm3", "triples", self.terms, names, parameters, penalty_weights=weights),)

    def scorer(self) -> DotProduct:
        """Represents everybody once."""
        u, v = self.represent()
        return DotProduct(self.predictor(u), self.predictor(v))

    def histograms(self) -> Mapping[str, Tensor]:
        """Nothing."""
        return {}

    def _view(self, rows: Tensor) -> Tensor:
        kept = torch.rand_like(rows) >= self.dropout
        return rows.detach() * kept  # not rescaled: lengths are nothing to a cosine


def _distance(predictions: Tensor, views: Tensor) -> Tensor:
    return 1 - F.cosine_similarity(predictions, views)
