"""What attention over a graph needs: numbers on edges, per head, and sums of rows along edges.

Heads come first and edges last, `(heads, num_edges)`: a softmax over heads and a gather over edges
then read memory in order, which a CPU does many times as fast. Sums are bags of weighted embeddings
and dot products a sampled matrix product, both faster than DGL's kernels, and known to every device
of torch. Each of them is the other's gradient.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hugraph.nn.adjacency import Adjacency, SymmetricAdjacency, full_precision, to_sparse_tensor

_LARGEST_INT32 = 2**31 - 1


class Edges(nn.Module):
    r"""The directed edges of a constant adjacency, or of one block of it, in a fixed order.

    An entry in row $i$ and column $j$ is an edge from the source $j$ to the target $i$; weights
    play no part. Edges are ordered by target, then by source. Every operation has gradients to all
    its tensors, is deterministic where torch's deterministic algorithms are on, and takes half
    precision as float32. `reverse=True` lets every edge point the other way.

    A bipartite adjacency is one block and its reverse: the edges from items to users are
    `Edges(adjacency, targets=range(num_users), sources=range(num_users, num_nodes))`.

    Args:
        adjacency: A DGL graph, a sparse CSR tensor `(n, n)`, or a `SymmetricAdjacency` of either.
        targets: Consecutive rows; all, if not given. A target is counted from the first of them.
        sources: Consecutive columns, likewise.

    Attributes:
        sources: The source of every edge, `(num_edges,)` int32.
        targets: The target of every edge, `(num_edges,)` int32.
        num_sources: Number of source nodes.
        num_targets: Number of target nodes.
        num_edges: Number of edges.

    Raises:
        ValueError: If a range is not within the nodes, or a tensor does not fit the edges.
    """

    sources: Tensor
    targets: Tensor
    _by_source: Tensor
    _targets_by_source: Tensor
    _incoming: Tensor
    _outgoing: Tensor

    def __init__(
        self,
        adjacency: Adjacency,
        *,
        targets: range | None = None,
        sources: range | None = None,
    ) -> None:
        super().__init__()
        matrix = adjacency.matrix if isinstance(adjacency, SymmetricAdjacency) else adjacency
        csr = matrix if isinstance(matrix, Tensor) else to_sparse_tensor(matrix)
        nodes = range(csr.shape[0])
        rows, columns = _block(csr, _within(nodes, targets), _within(nodes, sources))
        self.num_targets = len(nodes if targets is None else targets)
        self.num_sources = len(nodes if sources is None else sources)
        self.num_edges = len(rows)
        order = torch.argsort(columns, stable=True)
        buffers = {
            "sources": columns,
            "targets": rows,
            "_by_source": order,  # the edges, ordered by source, then by target
            "_targets_by_source": rows[order],
            "_incoming": _starts(rows, self.num_targets),
            "_outgoing": _starts(columns, self.num_sources),
        }
        for name, indices in buffers.items():
            self.register_buffer(name, indices.int(), persistent=False)

    def dot(self, sources: Tensor, targets: Tensor) -> Tensor:
        r"""Multiplies the rows at both ends of every edge: $s_j^\top t_i$.

        Args:
            sources: $s$, `(heads, num_sources, dim)`.
            targets: $t$, `(heads, num_targets, dim)`.

        Returns:
            `(heads, num_edges)`.
        """
        heads, _, dim = self._shaped("sources", sources, (None, self.num_sources, None))
        self._shaped("targets", targets, (heads, self.num_targets, dim))
        return _Dot.apply(self, full_precision(sources), full_precision(targets))

    def softmax(self, logits: Tensor, *, reverse: bool = False) -> Tensor:
        """Makes the edges into each target share a weight of 1, for `logits` `(heads, num_edges)`.

        Args:
            logits: `(heads, num_edges)`, finite.
            reverse: Whether the edges out of each source share it instead.

        Returns:
            `(heads, num_edges)`.
        """
        self._shaped("logits", logits, (None, self.num_edges))
        return _Softmax.apply(self, full_precision(logits), reverse)

    def weighted_sum(self, weights: Tensor, features: Tensor, *, reverse: bool = False) -> Tensor:
        r"""Sums over the edges into each target: $y_i = \sum_j w_{ij} x_j$.

        Args:
            weights: $w$, `(heads, num_edges)`.
            features: $x$, `(heads, num_sources, dim)`; of the targets, if reversed.
            reverse: Whether to sum over the edges out of each source instead.

        Returns:
            `(heads, num_targets, dim)`, or of the sources, if reversed. A node without edges gets
            zeros.
        """
        heads, _ = self._shaped("weights", weights, (None, self.num_edges))
        n = self.num_targets if reverse else self.num_sources
        self._shaped("features", features, (heads, n, None))
        return _WeightedSum.apply(self, full_precision(weights), full_precision(features), reverse)

    def _shaped(self, name: str, tensor: Tensor, shape: tuple[int | None, ...]) -> torch.Size:
        fits = tensor.dim() == len(shape) and all(
            wanted in (None, size) for size, wanted in zip(tensor.shape, shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(f"{name} must be ({wanted}), got {tuple(tensor.shape)}")
        return tensor.shape


def _within(nodes: range, chosen: range | None) -> range:
    chosen = nodes if chosen is None else chosen
    if chosen.step != 1 or not 0 <= chosen.start <= chosen.stop <= len(nodes):
        raise ValueError(f"{chosen} is not a range of consecutive nodes out of {len(nodes)}")
    return chosen


def _block(csr: Tensor, targets: range, sources: range) -> tuple[Tensor, Tensor]:
    counts = csr.crow_indices().diff()
    rows = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    columns = csr.col_indices()
    inside = (rows >= targets.start) & (rows < targets.stop)
    inside &= (columns >= sources.start) & (columns < sources.stop)
    return rows[inside] - targets.start, columns[inside] - sources.start


def _starts(nodes: Tensor, num_nodes: int) -> Tensor:
    return F.pad(torch.bincount(nodes, minlength=num_nodes).cumsum(0), (1, 0))


def _dot(edges: Edges, sources: Tensor, targets: Tensor) -> Tensor:
    pattern = torch.sparse_csr_tensor(
        edges._incoming,
        edges.sources,
        sources.new_zeros(edges.num_edges),
        (edges.num_targets, edges.num_sources),
        check_invariants=False,
    )
    return torch.stack(
        [
            torch.sparse.sampled_addmm(pattern, t, s.T, beta=0).values()
            for s, t in zip(sources, targets, strict=True)
        ]
    )


def _weighted_sum(edges: Edges, weights: Tensor, features: Tensor, reverse: bool) -> Tensor:
    ends, starts = edges.sources, edges._incoming
    if reverse:
        ends, starts = edges._targets_by_source, edges._outgoing
        weights = weights.index_select(1, edges._by_source)
    heads, n, dim = features.shape
    fits = heads * max(n, edges.num_edges) <= _LARGEST_INT32
    numbers = torch.int32 if fits else torch.int64
    head = torch.arange(heads, dtype=numbers, device=ends.device).unsqueeze(1)
    bags = F.embedding_bag(  # of all heads in one call: head h has rows and edges of its own
        (ends + head * n).flatten(),
        features.reshape(-1, dim),
        F.pad((starts[:-1] + head * edges.num_edges).flatten(), (0, 1), value=weights.numel()),
        mode="sum",
        per_sample_weights=weights.flatten(),
        include_last_offset=True,
    )
    return bags.view(heads, -1, dim)


class _Dot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Edges, sources: Tensor, targets: Tensor) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(sources, targets)
        return _dot(edges, sources, targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        sources, targets = ctx.saved_tensors
        _, sources_want, targets_want = ctx.needs_input_grad
        to_sources = _weighted_sum(ctx.edges, gradient, targets, True) if sources_want else None
        to_targets = _weighted_sum(ctx.edges, gradient, sources, False) if targets_want else None
        return None, to_sources, to_targets


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Edges, weights: Tensor, features: Tensor, reverse: bool) -> Tensor:
        ctx.edges, ctx.reverse = edges, reverse
        ctx.save_for_backward(weights, features)
        return _weighted_sum(edges, weights, features, reverse)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, features = ctx.saved_tensors
        _, weights_want, features_want, _ = ctx.needs_input_grad
        ends = (gradient, features) if ctx.reverse else (features, gradient)
        to_weights = _dot(ctx.edges, *ends) if weights_want else None
        to_features = (
            _weighted_sum(ctx.edges, weights, gradient, not ctx.reverse) if features_want else None
        )
        return None, to_weights, to_features, None


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Edges, logits: Tensor, reverse: bool) -> Tensor:
        n = edges.num_sources if reverse else edges.num_targets
        node = (edges.sources if reverse else edges.targets).long()
        highest = logits.new_full((len(logits), n), float("-inf"))
        highest.scatter_reduce_(1, node.expand_as(logits), logits, "amax")
        weights = (logits - highest.index_select(1, node)).exp_()
        total = logits.new_zeros(len(logits), n).index_add_(1, node, weights)
        weights /= total.index_select(1, node)
        ctx.num_nodes = n
        ctx.save_for_backward(weights, node)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        weights, node = ctx.saved_tensors
        weighted = weights * gradient
        total = weights.new_zeros(len(weights), ctx.num_nodes).index_add_(1, node, weighted)
        return None, weighted.addcmul_(weights, total.index_select(1, node), value=-1), None
