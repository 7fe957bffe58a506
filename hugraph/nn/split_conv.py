"""Intra-level aggregation in two steps, of which only the second learns."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from hugraph.nn.adjacency import Adjacency


class SplitConv(nn.Module, ABC):
    """Spreads features over the graph, then transforms them by what is learned.

    Over constant features the first step is constant: a model computes it once. A subclass with a
    `forward` of its own forgoes that and is called as a whole.
    """

    def forward(
        self, features: Tensor, adjacency: Adjacency, present: Tensor | None = None
    ) -> Tensor:
        """Propagates, then transforms; arguments as in `propagate`, returns `(n, dim)`."""
        return self.transform(self.propagate(features, adjacency, present))

    @abstractmethod
    def propagate(
        self, features: Tensor, adjacency: Adjacency, present: Tensor | None = None
    ) -> Tensor:
        """Spreads features over the graph; learns nothing.

        Args:
            features: `(n, dim)`.
            adjacency: Over the same `n` nodes.
            present: `(n,)` bool: nodes that have features at all; the others hold zeros.

        Returns:
            A row for each node, of zeros where neither it nor a neighbour tells anything.
        """

    @abstractmethod
    def transform(self, propagated: Tensor) -> Tensor:
        """Applies what is learned to rows of what `propagate` returned, `(n, dim)`, one by one."""
