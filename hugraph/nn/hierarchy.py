"""The stack of levels of one modality: items, fine intents, coarser intents."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, Protocol, cast

import torch
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor, nn

from hugraph.checks import check_options
from hugraph.nn.adjacency import Adjacency, pooled_adjacency
from hugraph.nn.functional import intent_independence


class Intents(NamedTuple):
    r"""Items as distributions over the intents of every level, kept factored.

    The distributions over all levels are $\Gamma^{(1)} [I \,\|\, \Gamma^{(2)} \,\|\,
    \Gamma^{(2)}\Gamma^{(3)} \cdots]$; the right factor is small, so that a batch only pays for its
    own rows.
    """

    assignments: tuple[Tensor, ...]  # per level (K_l, K_{l+1}); rows sum to 1
    chain: Tensor  # (K_1, num_intents): first-level intents to the intents of all levels, scaled
    penalties: dict[str, Tensor]  # unweighted scalars

    def representations(self, items: Tensor | None = None) -> Tensor:
        """Intents of `items` `(b,)`, or of all: `(b, num_intents)`, Eq. 12, times the scale."""
        first = self.assignments[0]
        return (first if items is None else F.embedding(items, first)) @ self.chain


class Conv(Protocol):
    """What a hierarchy asks of an intra-level aggregation, besides being a module."""

    def __call__(self, features: Tensor, adjacency: Adjacency) -> Tensor:
        """Refines `features` `(n, dim)` over `adjacency`; returns `(n, dim)`.

        [`neighbor_sum`][hugraph.nn.neighbor_sum] multiplies with whatever holds the adjacency: on
        the level of items a `SymmetricAdjacency` or a graph, above it a dense tensor. What a
        [`SplitConv`][hugraph.nn.SplitConv] propagates there over fixed features, HUIGN computes
        once.
        """
        ...


class Pooling(Protocol):
    """What a hierarchy asks of an inter-level aggregation, besides being a module."""

    @property
    def supernodes(self) -> Tensor:
        """One vector per intent, `(num_supernodes, dim)`."""
        ...

    def assign(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Gives the assignment `(n, num_supernodes)`, rows summing to 1, and its entropy."""
        ...

    def features_above(self, features: Tensor, assignment: Tensor) -> Tensor:
        """Gives the features of the next level, `(num_supernodes, dim)`.

        They are constant or a sum over nodes, so that some nodes stand for all where their
        assignment is scaled up.
        """
        ...


class IntentHierarchy(nn.Module):
    r"""Builds the levels of intents over one modality, and every item's place in each.

    Level by level, $Z = \mathrm{conv}(X, A)$ refines the nodes and $\Gamma, A' =
    \mathrm{pooling}(Z, A)$ lifts them. An item's distribution over level $l$ is the product
    $\hat X^{(l)} = \Gamma^{(1)} \cdots \Gamma^{(l)}$; the levels are concatenated.

    Args:
        convs: One intra-level aggregation per level, lowest first; a
            [`Conv`][hugraph.nn.hierarchy.Conv] such as `IntraLevelConv`.
        poolings: One pooling per level, lowest first; a
            [`Pooling`][hugraph.nn.hierarchy.Pooling] such as `IntentPooling`.
        intent_scale: Factor on the representations. Probabilities of about 1/32 are small beside ID
            embeddings; the paper uses 1.

    Raises:
        ValueError: If there is no level, or not as many convolutions as poolings.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), sections 3.2-3.3, Eq. 3-12.
        `intent_scale` is an extension.
    """

    def __init__(
        self,
        convs: Sequence[Conv],
        poolings: Sequence[Pooling],
        *,
        intent_scale: Annotated[float, Gt(0)] = 1.0,
    ) -> None:
        super().__init__()
        if not convs or len(convs) != len(poolings):
            raise ValueError(
                f"one conv and one pooling per level, got {len(convs)} and {len(poolings)}"
            )
        check_options(IntentHierarchy, intent_scale=intent_scale)
        self.convs = cast("Sequence[Conv]", nn.ModuleList(cast(Any, convs)))
        self.poolings = cast("Sequence[Pooling]", nn.ModuleList(cast(Any, poolings)))
        self.intent_scale = intent_scale

    def forward(self, features: Tensor, adjacency: Adjacency) -> Intents:
        """Runs all levels over `features` `(num_items, dim)` and the items' `adjacency`."""
        refined = self.convs[0](features, adjacency)
        assignment, entropy = self.poolings[0].assign(refined)
        pooled = None
        if len(self.poolings) > 1:
            pooled = pooled_adjacency(adjacency, assignment)
        features = self.poolings[0].features_above(refined, assignment)
        return self.climb(features, assignment, entropy, pooled)

    def climb(
        self, features: Tensor, assignment: Tensor, entropy: Tensor, adjacency: Tensor | None
    ) -> Intents:
        r"""Continues from the first pooling, which several modalities can do in one pass.

        Args:
            features: Of the first level of intents, $X^{(2)}$, `(K_1, dim)`.
            assignment: $\Gamma^{(1)}$, `(num_items, K_1)`; or its rows for the items that are to be
                represented.
            entropy: Of that assignment over all items, a scalar.
            adjacency: $A^{(2)} = \Gamma^{(1)\top} A\, \Gamma^{(1)}$, `(K_1, K_1)`; None for
                a single level, which does not need it.
        """
        assignments = [assignment]
        for conv, pooling in zip(self.convs[1:], self.poolings[1:], strict=True):
            assert adjacency is not None
            nodes = conv(features, adjacency)
            assignment, level_entropy = pooling.assign(nodes)
            features = pooling.features_above(nodes, assignment)
            adjacency = pooled_adjacency(adjacency, assignment)
            assignments.append(assignment)
            entropy = entropy + level_entropy
        independence = torch.stack([intent_independence(p.supernodes) for p in self.poolings])
        return Intents(
            tuple(assignments),
            self._chain(assignments),
            {"assignment_entropy": entropy, "intent_independence": independence.sum()},
        )

    def _chain(self, assignments: list[Tensor]) -> Tensor:
        num_fine = assignments[0].shape[1]
        like = assignments[0]
        blocks = [torch.eye(num_fine, dtype=like.dtype, device=like.device)]
        for assignment in assignments[1:]:
            blocks.append(blocks[-1] @ assignment)
        return torch.cat(blocks, dim=1) * self.intent_scale
