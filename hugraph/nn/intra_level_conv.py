"""Intra-level aggregation: the nodes of one level learn from their neighbours."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from hugraph.checks import check_options
from hugraph.nn.adjacency import Adjacency, diagonal, is_dense, neighbor_sum, num_nodes
from hugraph.nn.split_conv import SplitConv

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "leaky_relu": F.leaky_relu}


class IntraLevelConv(SplitConv):
    r"""Aggregates each node's co-interacted neighbours, by default as their plain mean.

    $$ Z = D^{-1} A X, \qquad D_{ii} = \sum\nolimits_j A_{ij} $$

    With the options of the authors' code it becomes
    $Z = \phi\big((D^{-1}A)^{h}\, X\, W^{h}\big)$ for $h$ hops; with $D^{-1/2}(A+I)D^{-1/2}$, a
    weight and ReLU, as the component `gcn`, the layer of a GCN.

    Args:
        dim: Size $d$ of the node features, before and after.
        normalization: `random_walk` is $D^{-1}A$, `symmetric` is $D^{-1/2}AD^{-1/2}$, `none` is
            $A$.
        self_loops: `keep` takes $A$ as it is; `add` uses $A + I$, which lets an item without
            neighbours keep its own content; `remove` sets the diagonal to zero.
        hops: How often the features are propagated (and multiplied by the weight) before the
            activation; 0 for not at all, so that no node learns from another.
        weight: Whether to learn a $d \times d$ matrix $W$, Xavier initialised.
        activation: $\phi$, after the last hop.
        clamp_degree: Divides by $\max(D_{ii}, 1)$, so that weak rows of a pooled adjacency stay
            weak. Of no effect on a binary graph.

    Raises:
        ValueError: If an option is out of range, or features and adjacency do not match.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), section 3.2.1, Eq. 3-4. The
        exponent of $D$ is lost in the text at hand; $D^{-1}A$ follows from Eq. 1 and from the
        authors' code, which differs from the paper by `hops=2, weight=True,
        activation="leaky_relu", clamp_degree=True`. `present` and `self_loops="add"` are
        extensions.
    """

    def __init__(
        self,
        dim: Annotated[int, Ge(1)],
        *,
        normalization: Literal["random_walk", "symmetric", "none"] = "random_walk",
        self_loops: Literal["keep", "add", "remove"] = "keep",
        hops: Annotated[int, Ge(0)] = 1,
        weight: bool = False,
        activation: Literal["none", "relu", "leaky_relu"] = "none",
        clamp_degree: bool = False,
    ) -> None:
        super().__init__()
        check_options(
            IntraLevelConv,
            dim=dim,
            normalization=normalization,
            self_loops=self_loops,
            hops=hops,
            activation=activation,
        )
        if weight and not hops:
            raise ValueError("a weight takes part in each hop, but hops is 0")
        self.dim = dim
        self.normalization = normalization
        self.self_loops = self_loops
        self.hops = hops
        self.activation = activation
        self.clamp_degree = clamp_degree
        self.weight: nn.Parameter | None = None
        if weight:
            self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(dim, dim)))

    def propagate(
        self, features: Tensor, adjacency: Adjacency, present: Tensor | None = None
    ) -> Tensor:
        """Spreads features over the graph; learns nothing.

        Args:
            features: `(n, dim)`.
            adjacency: Over the same `n` nodes.
            present: `(n,)` bool: nodes that have features at all. The others hold zeros and are
                left out of their neighbours' means (`random_walk`) instead of pulling them to zero.

        Returns:
            `(n, dim)`; zeros for a node that nothing reaches.
        """
        n = num_nodes(adjacency)
        if features.shape != (n, self.dim):
            raise ValueError(
                f"features must be ({n}, {self.dim}) for {n} nodes and dim={self.dim}, "
                f"got {tuple(features.shape)}"
            )
        return self.propagate_columns(features, adjacency, present)

    def propagate_columns(
        self, features: Tensor, adjacency: Adjacency, present: Tensor | None = None
    ) -> Tensor:
        """As `propagate`, of any columns of the features, `(n, c)`: no column tells of another."""
        n = num_nodes(adjacency)
        if self.self_loops == "remove" and is_dense(adjacency):
            # Among intents the diagonal is most of a row: taken off after the sum, it would leave
            # only what rounding left of the rest.
            adjacency, loops = adjacency - torch.diag(adjacency.diagonal()), None
        else:
            loops = self._loops(adjacency, features)
        if self.normalization != "random_walk":
            present = None  # only a mean can leave somebody out
        for _ in range(self.hops):
            ones = features.new_ones(n, 1)
            counted = ones if present is None else present.unsqueeze(1).to(ones)
            degree = _looped_sum(adjacency, counted, loops)
            features = self._hop(features, adjacency, degree, loops)
            present = None if present is None else degree.squeeze(1) > 0
        return features

    def transform(self, propagated: Tensor) -> Tensor:
        """Applies weight and activation to what `propagate` returned, `(n, dim)`."""
        if self.weight is not None:
            propagated = propagated @ torch.linalg.matrix_power(self.weight, self.hops)
        activation = _ACTIVATIONS.get(self.activation)
        return propagated if activation is None else activation(propagated)

    def _hop(
        self, features: Tensor, adjacency: Adjacency, degree: Tensor, loops: Tensor | None
    ) -> Tensor:
        if self.normalization == "none":
            return _looped_sum(adjacency, features, loops)
        if self.clamp_degree:
            degree = degree.clamp(min=1)
        else:  # an intent that next to nothing belongs to is empty; squared, its degree underflows
            degree = degree.where(degree > torch.finfo(degree.dtype).tiny ** 0.5, 1)
        if self.normalization == "random_walk":
            return _looped_sum(adjacency, features, loops) / degree
        root = degree.sqrt()
        return _looped_sum(adjacency, features / root, loops) / root

    def _loops(self, adjacency: Adjacency, features: Tensor) -> Tensor | None:
        """What is added to the diagonal, broadcast over the nodes."""
        if self.self_loops == "remove":
            return -diagonal(adjacency, features)
        return features.new_ones(()) if self.self_loops == "add" else None


def _looped_sum(adjacency: Adjacency, features: Tensor, loops: Tensor | None) -> Tensor:
    summed = neighbor_sum(adjacency, features)
    return summed if loops is None else summed + loops * features
