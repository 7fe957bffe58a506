"""HUIGN: items as distributions over a hierarchy of intents, users as tastes for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, cast

import torch
from annotated_types import Ge, Gt, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, descending, distinct
from hugraph.file_matrix import FileMatrix
from hugraph.interfaces import Component, IntentColumn, ModalityFeatures, PropagatedFeatures
from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier
from hugraph.nn import (
    BPRLoss,
    EdgeSample,
    EdgeSampler,
    IntentHierarchy,
    IntentPooling,
    Intents,
    IntraLevelConv,
    LightPropagation,
    ModalityContent,
    MultiModalFusion,
    RankingLoss,
    SplitConv,
    SymmetricAdjacency,
    neighbor_sum,
    pooled_adjacency,
)
from hugraph.nn.adjacency import Adjacency
from hugraph.nn.edge_sample import spread_sample
from hugraph.nn.hierarchy import Conv, Pooling


class HUIGN(PairwiseModel):
    r"""Hierarchical User Intent Graph Network.

    Per modality $m$ a hierarchy of intents is learned over the co-interacted item graph; an item is
    its distribution over the intents of all levels, a user a free vector of tastes for them. With
    ID embeddings $\hat u, \hat v$ beside them the score is

    $$ \hat y_{uv} = \hat u^\top \hat v + \sum\nolimits_m {u^m}^\top v^m . $$

    Penalties: `assignment_entropy` (Eq. 9), `intent_independence` (Eq. 10), both summed over levels
    and modalities, and `l2` of the batch's ID and taste rows.

    The mathematics is exact but ordered for speed. What a [`SplitConv`][hugraph.nn.SplitConv]
    propagates over fixed features is constant and computed once, here. A pooled
    adjacency takes one sparse product in the forward pass and none in the backward pass. Only a
    batch's own items are assembled over all levels.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality; those on disk maybe as another model
            `propagated` them, over the same graph and with the same `conv`.
        item_adjacency: Symmetric adjacency over items: the co-interaction graph, Eq. 2.
        user_item_adjacency: Symmetric adjacency over users, then items, for `propagation`.
        modalities: Which modalities to use, in order; all, if not given.
        levels: Number of intents per level, finest first.
        conv: Intra-level aggregation, made with the feature size.
        pooling: Inter-level aggregation, made with the feature size and the number of intents.
        fusion: Combination of modalities, made with their number and the number of intents.
        id_dim: Size of the ID embeddings; 0 leaves them out.
        intent_scale: Factor on an item's distributions over intents.
        propagation: Smooths all of a user's and an item's entries, ID embeddings and intents
            alike, over the user-item graph: a user's taste then also rests on the intents of the
            history, and not on a free vector alone. None, as in the paper, for no propagation.
        ranking: The loss of ranking, Eq. 17; with a sampled softmax, scores are cosines, times a
            power of the item's length if it says so.
        token_dim: Embedding size of a modality given as tokens.
        l2: `batch` is half the squared norm per example; `mean` is the authors' code: the mean
            square of each kind of rows.
        hierarchy: What a step of training builds the levels above the first from. `exact`: all
            items and edges. `sampled`: an unbiased estimate of $A^{(2)}$ (Eq. 8) from a few edges,
            and of the entropy (Eq. 9) from a few items, so that a step computes as much however
            many items there are, but for `propagation`, tokens and a conv that only runs whole.
            Evaluation is exact.
        sampled_edges: How many edges, and items for the entropy, a step draws with `sampled`.
        sparse_gradients: Updates only the rows of a batch, by a lazy Adam: for tables so long that
            a step of Adam over all rows would cost more than the rest. Other arithmetic, and other
            results: moments of rows outside of the batch do not decay. Not with `propagation`,
            which takes every row.
        aliased_penalties: Reproduces a fault of the authors' code: entropy and independence share
            one tensor, so that each is the sum of both and the loss counts them twice.

    Raises:
        ValueError: If levels do not descend, exceed the items, or an adjacency does not fit.

    Source:
        [Wei et al. 2021](https://arxiv.org/abs/2110.14925), Eq. 1-18. Defaults follow the paper,
        which leaves some choices open: see the design decisions. A modality that an item lacks, and
        of which no neighbour tells anything, is left out of the fusion; the paper has no such item.
        `propagation` (after LightGCN), losses other than BPR, `intent_scale`, an attention fusion,
        `self_loops` of the convolution and `hierarchy="sampled"` are extensions.
    """

    informed: Tensor  # (num_items, num_modalities) bool
    separable = True
    penalty_names = ("assignment_entropy", "intent_independence")

    def __init__(
        self,
        num_users: int,
        num_items: int,
        modality_features: ModalityFeatures,
        item_adjacency: Adjacency,
        user_item_adjacency: "Adjacency | None" = None,
        *,
        modalities: Annotated[Sequence[str], MinLen(1), Predicate(distinct)] | None = None,
        levels: Annotated[Sequence[Annotated[int, Ge(2)]], MinLen(1), Predicate(descending)] = (
            32,
            8,
            4,
        ),
        conv: Annotated[Callable[..., Conv], Component("conv")] = IntraLevelConv,
        pooling: Annotated[Callable[..., Pooling], Component("pooling")] = IntentPooling,
        fusion: Annotated[Callable[..., MultiModalFusion], Component("fusion")] = MultiModalFusion,
        id_dim: Annotated[int, Ge(0)] = 64,
        intent_scale: Annotated[float, Gt(0)] = 1.0,
        propagation: Annotated[Callable[..., LightPropagation], Component("propagation")]
        | None = None,
        ranking: Annotated[Callable[..., RankingLoss], Component("ranking")] = BPRLoss,
        token_dim: Annotated[int, Ge(1)] = 128,
        l2: Literal["batch", "mean"] = "batch",
        hierarchy: Literal["exact", "sampled"] = "exact",
        sampled_edges: Annotated[int, Ge(1)] = 1000,
        sparse_gradients: bool = False,
        aliased_penalties: bool = False,
    ) -> None:
        super().__init__(num_users, num_items, ranking)
        check_options(HUIGN, hierarchy=hierarchy, sampled_edges=sampled_edges)
        if not levels or min(levels) < 2 or not descending(levels):
            raise ValueError(f"levels must descend to at least 2 intents, got {list(levels)}")
        if levels[0] > num_items:
            raise ValueError(f"the finest level has {levels[0]} intents for {num_items} items")
        self.adjacency = SymmetricAdjacency(item_adjacency, num_items)
        self.sampler = EdgeSampler(self.adjacency) if hierarchy == "sampled" else None
        self.sampled_edges = sampled_edges
        self.levels = tuple(levels)
        self.l2_reduction = l2
        self.aliased_penalties = aliased_penalties
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        self.hierarchies = cast(
            "Sequence[IntentHierarchy]",
            nn.ModuleList(
                IntentHierarchy(
                    [conv(dim) for _ in levels],
                    [pooling(dim, num_intents) for num_intents in levels],
                    intent_scale=intent_scale,
                )
                for dim in self.content.dims
            ),
        )
        self.fusion = fusion(len(self.content), sum(levels))
        self.propagation: LightPropagation | None = None
        self.sparse_gradients = sparse_gradients
        if propagation is not None:
            if sparse_gradients:
                raise ValueError("propagation takes every row, so gradients cannot be sparse")
            if user_item_adjacency is None:
                raise ValueError("propagation needs the user-item adjacency, got none")
            self.propagation = propagation(user_item_adjacency, num_users + num_items)

        self.user_tastes = xavier(num_users, self.fusion.output_dim)
        self.user_embeddings = xavier(num_users, id_dim) if id_dim else None
        self.item_embeddings = xavier(num_items, id_dim) if id_dim else None
        self._precompute(modality_features)

    def intents(self, edges: EdgeSample | None = None) -> dict[str, Intents]:
        """Builds the hierarchy of every modality as the parameters stand now.

        Args:
            edges: Stand for all edges, if given.
        """
        lowest = self._lowest()
        firsts = [first for _, first, _ in lowest]
        pooled: list[Tensor | None] = [None] * len(firsts)
        if edges is not None:
            pooled = [edges.pooled(first) for first in firsts]
        elif len(self.levels) > 1:
            pooled = [pooled_adjacency(self.adjacency, first) for first in firsts]
        levels = zip(self.hierarchies, lowest, pooled, strict=True)
        climbed = [hierarchy.climb(*low, above) for hierarchy, low, above in levels]
        return dict(zip(self.content.names, climbed, strict=True))

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Concatenates ID embeddings with tastes (users) and with fused intents (items)."""
        edges = self._drawn_edges() if self.training and items is not None else None
        of_users: list[Tensor] = [
            t for t in (self.user_embeddings, self.user_tastes) if t is not None
        ]
        of_items = [t for t in (self.item_embeddings,) if t is not None]
        user_rows = [take(table, users, sparse=self.sparse_gradients) for table in of_users]
        item_rows = [take(table, items, sparse=self.sparse_gradients) for table in of_items]
        if self.propagation is not None:
            intents = self.intents(edges)
            u = torch.cat(of_users, dim=1)
            v = torch.cat([*of_items, self._fused(intents, None, None)], dim=1)
            u, v = self.propagation(torch.cat([u, v])).split([len(u), len(v)])
            u, v = take(u, users), take(v, items)
        else:
            if edges is None or items is None:
                intents, rows = self.intents(), items
            else:
                intents, rows = self._intents_of(items, edges), None
            u = torch.cat(user_rows, dim=1)
            v = torch.cat([*item_rows, self._fused(intents, rows, items)], dim=1)
        ego = (*user_rows, *item_rows)
        return Encoding(u, v, ego=ego, penalties=self._penalties(intents))

    def lazy_tables(self) -> tuple[nn.Parameter, ...]:
        """ID embeddings and tastes, with sparse gradients."""
        tables = (self.user_tastes, self.user_embeddings, self.item_embeddings)
        return tuple(t for t in tables if t is not None) if self.sparse_gradients else ()

    def l2(self, *rows: Tensor) -> Tensor:
        """Penalises ID and taste rows, by the chosen reduction."""
        if self.l2_reduction == "mean":
            return torch.stack([row.square().mean() for row in rows]).sum()
        return super().l2(*rows)

    def histograms(self) -> Mapping[str, Tensor]:
        """The assignments of every modality and level."""
        return {
            f"assignment/{name}/level_{level}": assignment.flatten()
            for name, assignments in self.assignments().items()
            for level, assignment in enumerate(assignments, start=1)
        }

    def assignments(self) -> dict[str, tuple[Tensor, ...]]:
        """By modality and level, the distribution of each node over the intents above it."""
        return {name: modality.assignments for name, modality in self.intents().items()}

    def columns(self) -> tuple[IntentColumn | None, ...]:
        """What each entry of the scorer's vectors stands for; None for an entry of an ID."""
        ids = 0 if self.user_embeddings is None else self.user_embeddings.shape[1]
        concatenated = self.fusion.output_dim == len(self.content) * self.fusion.dim
        modalities = self.content.names if concatenated else (None,)
        intents = (
            IntentColumn(modality, level, intent)
            for modality in modalities
            for level, num_intents in enumerate(self.levels, start=1)
            for intent in range(num_intents)
        )
        return (*[None] * ids, *intents)

    def propagated(self) -> dict[str, PropagatedFeatures]:
        """What the first propagation made of features on disk, by modality."""
        return {
            self.content.names[m]: PropagatedFeatures(
                self.content.stored(m),
                self.content.columns(m),
                self.content.present[:, m],
                self.informed[:, m],
            )
            for m in self.on_disk
        }

    def _drawn_edges(self) -> EdgeSample | None:
        if self.sampler is None:
            return None
        return self.sampler.draw(self.sampled_edges if len(self.levels) > 1 else 0)

    def _intents_of(self, items: Tensor, edges: EdgeSample) -> dict[str, Intents]:
        """The intents of `items` alone, under levels estimated from `edges` and other items.

        Items drawn uniformly stand for all where all are summed up: in the entropy, and in
        features that are pooled.
        """
        num_drawn = min(self.sampled_edges, self.num_items)
        drawn = spread_sample(num_drawn, self.num_items, items.device)
        parts = [items, edges.targets, edges.sources]
        needed, places = torch.unique(torch.cat(parts), return_inverse=True)
        places, targets, sources = places.split([len(part) for part in parts])
        edges = edges._replace(targets=targets, sources=sources)
        intents = {}
        all_refined = self._refined(range(len(self.content)), torch.cat([needed, drawn]))
        for m, (name, both) in enumerate(zip(self.content.names, all_refined, strict=True)):
            hierarchy = self.hierarchies[m]
            refined, standing = both.split([len(needed), len(drawn)])
            first, _ = hierarchy.poolings[0].assign(refined)
            features, _, entropy = self._standing_for_all(m, standing)
            intents[name] = hierarchy.climb(
                features, take(first, places), entropy, edges.pooled(first)
            )
        return intents

    def _lowest(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """By modality, what the items give to the level above: features, assignment and entropy."""
        modalities = range(len(self.content))
        in_memory = [m for m in modalities if m not in self.on_disk]
        refined = zip(in_memory, self._refined(in_memory), strict=True)
        lowest = {m: self._standing_for_all(m, features) for m, features in refined}
        if self.on_disk:
            lowest.update(self._lowest_on_disk())
        return [lowest[m] for m in modalities]

    def _lowest_on_disk(self) -> dict[int, tuple[Tensor, Tensor, Tensor]]:
        """As `_lowest`, a block of rows at a time."""
        parts = []
        for rows in self.content.stored(self.on_disk[0]).blocks():
            items = torch.arange(rows.start, rows.stop, device=self.informed.device)
            share = len(rows) / self.num_items
            for m, refined in zip(self.on_disk, self._refined(self.on_disk, items), strict=True):
                above, first, entropy = self._standing_for_all(m, refined)
                parts.append((share * above, first, share * entropy))
        lowest = {}
        for place, m in enumerate(self.on_disk):
            features, firsts, entropies = zip(*parts[place :: len(self.on_disk)], strict=True)
            above, entropy = torch.stack(features).sum(dim=0), torch.stack(entropies).sum()
            lowest[m] = above, torch.cat(firsts), entropy
        return lowest

    def _standing_for_all(self, modality: int, refined: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features above, assignment and entropy, as if all items were like those `refined`."""
        pooling = self.hierarchies[modality].poolings[0]
        first, entropy = pooling.assign(refined)
        scaled = first if len(first) == self.num_items else first * (self.num_items / len(first))
        return pooling.features_above(refined, scaled), first, entropy

    def _fused(
        self, intents: Mapping[str, Intents], rows: Tensor | None, items: Tensor | None
    ) -> Tensor:
        """The intents of `items`, which stand in the given rows of `intents`, over modalities."""
        present = None if self.all_informed else self.informed
        if present is not None and items is not None:
            present = present.index_select(0, items)
        return self.fusion([each.representations(rows) for each in intents.values()], present)

    def _penalties(self, intents: Mapping[str, Intents]) -> dict[str, Tensor]:
        sums = {
            name: torch.stack([modality.penalties[name] for modality in intents.values()]).sum()
            for name in self.penalty_names
        }
        if self.aliased_penalties:
            total = torch.stack(list(sums.values())).sum()
            return {name: total for name in sums}
        return sums

    @torch.no_grad()
    def _precompute(self, given: ModalityFeatures) -> None:
        """Propagates fixed features once, and finds of which items each modality says something."""
        modalities = range(len(self.content))
        self.on_disk = [m for m in modalities if self.content.is_stored(m) and self._by_columns(m)]
        reached = {}
        for m, name in enumerate(self.content.names):
            if isinstance(features := given[name], PropagatedFeatures):
                if not self._by_columns(m):
                    raise ValueError(f"{name} is propagated already, and this conv only runs whole")
                reached[m] = features.informed.to(self.content.present.device)
        if anew := [m for m in self.on_disk if m not in reached]:
            reached |= self._propagate_on_disk(anew)
        for m in modalities:
            if m in reached:
                continue
            features = self.content.of(m)
            present = self.content.present[:, m].to(features).unsqueeze(1)
            heard = neighbor_sum(self.adjacency, present)
            if self._splits(m):
                heard = self._propagate(m, features)
                if self.content.is_fixed(m):
                    self.content.replace(m, heard)
            reached[m] = (heard != 0).any(dim=1)
        informed = self.content.present | torch.stack([reached[m] for m in modalities], dim=1)
        self.register_buffer("informed", informed, persistent=False)
        self.all_informed = bool(informed.all())

    def _refined(self, modalities: Sequence[int], items: Tensor | None = None) -> Iterator[Tensor]:
        """What the first convolution makes of the items, or of all, in each of the modalities."""
        constant = [m for m in modalities if self._splits(m) and self.content.is_fixed(m)]
        propagated = dict(zip(constant, self.content.rows(items, constant), strict=True))
        for m in modalities:
            conv = self.hierarchies[m].convs[0]
            if not self._splits(m):
                yield take(conv(self.content.of(m), self.adjacency), items)
                continue
            if m not in propagated:
                propagated[m] = take(self._propagate(m, self.content.of(m)), items)
            yield cast(SplitConv, conv).transform(propagated.pop(m))

    def _splits(self, modality: int) -> bool:
        """Whether propagation is apart from what is learned; any other `Conv` only runs whole."""
        conv = self.hierarchies[modality].convs[0]
        return isinstance(conv, SplitConv) and type(conv).forward is SplitConv.forward

    def _propagate(self, modality: int, features: Tensor) -> Tensor:
        present = self.content.present[:, modality]
        conv = cast(SplitConv, self.hierarchies[modality].convs[0])
        complete = self.content.complete[modality]
        return conv.propagate(features, self.adjacency, None if complete else present)

    def _by_columns(self, modality: int) -> bool:
        conv = self.hierarchies[modality].convs[0]
        return isinstance(conv, IntraLevelConv) and self._splits(modality)

    def _propagate_on_disk(self, modalities: Sequence[int]) -> dict[int, Tensor]:
        """Puts propagated features side by side into one file, so that a row is read at once.

        A few columns are propagated at a time. Tells whom they reach, by modality; nobody where all
        items have it.
        """
        reached = {m: torch.zeros_like(self.content.present[:, m]) for m in modalities}

        def propagated() -> Iterator[Tensor]:
            for m, told in reached.items():
                conv = cast(IntraLevelConv, self.hierarchies[m].convs[0])
                present = None if self.content.complete[m] else self.content.present[:, m]
                for block in self.content.stored(m).columns():
                    columns = block.to(told.device)
                    spread = conv.propagate_columns(columns, self.adjacency, present)
                    if present is not None:
                        told.logical_or_((spread != 0).any(dim=1))
                    yield spread

        self.content.store(modalities, FileMatrix.from_columns(propagated()))
        return reached
