"""Neighbourhoods: the items of a history vote for the items most like them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, distinct
from hugraph.interfaces import Interactions, ModalityFeatures, Scorer, Stage
from hugraph.nn import ModalityContent, nearest_neighbors


class ItemKNN(nn.Module):
    r"""Ranks items by the votes of the user's items, each for its most similar ones.

    $$ \hat y_{uv} = \sum_{w \in H_u} \sum_m \frac{s^m_{wv}}{\sum_{v' \in N^m_w} s^m_{wv'}}
       [v \in N^m_w] $$

    $H_u$ are the items that $u$ has in training and $N^m_w$ the items most similar to $w$ by
    description $m$: by the users who have them, or by each modality's features. Similarity is the
    cosine, shrunk as [`nearest_neighbors`][hugraph.nn.nearest_neighbors] does; none below zero
    votes.

    By interactions, a cold item gets no vote. By content it is voted for like any other. An item
    that lacks a modality neither votes nor is voted for in it; tokens are compared by how often an
    item has each of them.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        train_interactions: The histories that vote.
        modality_features: Features of every modality.
        similarity: What makes items similar: `interactions` or `content`.
        modalities: Which modalities count as content; all, if not given.
        num_neighbors: For how many items an item votes, in each modality.
        shrinkage: Trusts similarities between items of few users, or of short features, less.
        normalize: Divides each item's votes by their sum. If not, similarities are the votes, and
            items in dense neighbourhoods count for more.

    Raises:
        ValueError: If an option is out of range, or features do not fit.

    Source:
        [Deshpande and Karypis 2004](https://doi.org/10.1145/963770.963776), section 4, with
        cosines and normalised similarities, the histories not weighted; after
        [Sarwar et al. 2001](https://doi.org/10.1145/371920.372071). Shrinkage, and content in the
        place of interactions, as in
        [Ferrari Dacrema et al. 2019](https://arxiv.org/abs/1907.06902), whose ItemKNN does not
        normalise votes. That each modality votes by itself is an extension.
    """

    history: Tensor  # (num_users, num_items), sparse COO
    neighbors: Tensor  # (num_items, num_modalities * num_neighbors) int64
    votes: Tensor  # aligned with `neighbors`

    def __init__(
        self,
        num_users: int,
        num_items: int,
        train_interactions: Interactions,
        modality_features: ModalityFeatures,
        *,
        similarity: Literal["interactions", "content"] = "interactions",
        modalities: Annotated[Sequence[str], MinLen(1), Predicate(distinct)] | None = None,
        num_neighbors: Annotated[int, Ge(1)] = 20,
        shrinkage: Annotated[float, Ge(0)] = 0.0,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        check_options(ItemKNN, similarity=similarity, num_neighbors=num_neighbors)
        self.num_users = num_users
        self.num_items = num_items
        users, items = train_interactions
        if similarity == "interactions":
            descriptions = [_incidence(items, users, num_items, num_users)]
        else:
            content = ModalityContent(modality_features, num_items, modalities=modalities)
            descriptions = [content.raw(m) for m in range(len(content))]
        neighbors, votes = [], []
        for description in descriptions:
            found = nearest_neighbors(description, num_neighbors, shrinkage=shrinkage)
            similarities = found.similarities.clamp(min=0)
            neighbors.append(found.indices)
            votes.append(F.normalize(similarities, p=1, dim=1) if normalize else similarities)
        history = _incidence(users, items, num_users, num_items)
        self.register_buffer("history", history, persistent=False)
        self.register_buffer("neighbors", torch.cat(neighbors, dim=1), persistent=False)
        self.register_buffer("votes", torch.cat(votes, dim=1), persistent=False)

    def stages(self) -> tuple[Stage, ...]:
        """None: there is nothing to train."""
        return ()

    def scorer(self) -> Scorer:
        """Adds up the votes of a user's items."""
        return self._count_votes

    def histograms(self) -> Mapping[str, Tensor]:
        """Nothing."""
        return {}

    def _count_votes(self, users: Tensor) -> Tensor:
        rows, items = self.history.index_select(0, users).coalesce().indices()
        neighbors = self.neighbors.index_select(0, items)
        votes = self.votes.index_select(0, items)
        cells = rows.unsqueeze(1) * self.num_items + neighbors
        scores = votes.new_zeros(len(users) * self.num_items)
        return scores.index_add_(0, cells.flatten(), votes.flatten()).view(len(users), -1)


def _incidence(rows: Tensor, columns: Tensor, num_rows: int, num_columns: int) -> Tensor:
    ones = torch.ones(len(rows), device=rows.device)
    return torch.sparse_coo_tensor(
        torch.stack([rows, columns]),
        ones,
        (num_rows, num_columns),
        device=rows.device,
        check_invariants=True,
    ).coalesce()
