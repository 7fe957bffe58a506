r"""Products with an adjacency, whatever holds it: a DGL graph, a sparse or a dense tensor.

An adjacency $A$ over `n` nodes is one of

* a `dgl.DGLGraph`: $A_{ij}$ is the weight of the edge $j \to i$, its `edata["weight"]`, or 1;
* a sparse CSR tensor `(n, n)`: what a GPU uses when the installed DGL knows only the CPU;
* a dense tensor `(n, n)`: the small, weighted adjacency of a pooled level;
* a [`SymmetricAdjacency`][hugraph.nn.SymmetricAdjacency] of one of the first two: for a constant
  $A = A^\top$, whose products cost less.
"""

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hugraph.dgl_backend import dgl

Adjacency: TypeAlias = "dgl.DGLGraph | Tensor | SymmetricAdjacency"


class SymmetricAdjacency(nn.Module):
    r"""A constant adjacency, known to be symmetric, that moves with the model it is part of.

    Its products run backward without a reversed graph, and the pooling $S^\top A S$ without any
    product at all: $\partial S = A S\,(G + G^\top)$ reuses the $AS$ of the forward pass. A graph
    whose edges have weights becomes a sparse tensor, which is quicker then; so does any on a device
    that DGL does not know.

    Args:
        adjacency: A DGL graph or a sparse CSR tensor, as the co-interaction and the user-item graph
            are.
        num_nodes: What the number of nodes must be, if given.

    Raises:
        ValueError: If the adjacency is not symmetric, to the last bit, or has other nodes.
    """

    def __init__(
        self, adjacency: "dgl.DGLGraph | Tensor | SymmetricAdjacency", num_nodes: int | None = None
    ) -> None:
        super().__init__()
        matrix = adjacency.matrix if isinstance(adjacency, SymmetricAdjacency) else adjacency
        n = _num_nodes(matrix)
        if num_nodes not in (None, n):
            raise ValueError(f"the adjacency has {n} nodes, expected {num_nodes}")
        if not isinstance(adjacency, SymmetricAdjacency) and not is_symmetric(matrix):
            raise ValueError("the adjacency must be symmetric")
        if not isinstance(matrix, Tensor) and "weight" in matrix.edata:
            matrix = to_sparse_tensor(matrix, matrix.edata["weight"].dtype)
        self.matrix: dgl.DGLGraph | Tensor = matrix

    @classmethod
    def _trusted(cls, matrix: "dgl.DGLGraph | Tensor") -> "SymmetricAdjacency":
        """Takes a matrix that is symmetric by the way it was made, without a look at it."""
        adjacency = cls.__new__(cls)
        nn.Module.__init__(adjacency)
        adjacency.matrix = matrix
        return adjacency

    def scaled(self, scale: Tensor) -> "SymmetricAdjacency":
        r"""Weighs the edge $j \to i$ by $s_i s_j$ in addition, as a sparse tensor.

        Args:
            scale: $s$, `(n, 1)`.
        """
        csr = self.matrix if isinstance(self.matrix, Tensor) else to_sparse_tensor(self.matrix)
        starts, columns, s = csr.crow_indices(), csr.col_indices(), scale.squeeze(1)
        weights = csr.values() * (s.repeat_interleave(starts.diff()) * s.index_select(0, columns))
        return SymmetricAdjacency._trusted(_sparse_tensor(starts, columns, weights))

    def __deepcopy__(self, memo: dict[int, Any]) -> "SymmetricAdjacency":
        """Shares the matrix, which is constant: torch cannot copy a sparse CSR tensor."""
        copied = SymmetricAdjacency._trusted(self.matrix)
        copied.training = self.training
        return copied

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "SymmetricAdjacency":
        super()._apply(fn, recurse)
        if isinstance(self.matrix, Tensor):
            self.matrix = fn(self.matrix)
        else:
            probe = fn(torch.empty(0, device=self.matrix.device))
            self.matrix = adjacency_on(self.matrix, probe.device)
        return self


def bipartite_adjacency(
    users: Tensor, items: Tensor, num_users: int, num_items: int
) -> SymmetricAdjacency:
    r"""Joins users with items in both directions, on the device that the indices are on.

    Symmetric by construction, it is not checked for symmetry: cheap enough to be made anew in each
    epoch from a part of the edges.

    Args:
        users: `(num_edges,)` int64, in `[0, num_users)`.
        items: `(num_edges,)` int64, in `[0, num_items)`. Each pair once.
        num_users: Number $U$ of users: nodes $0$ to $U - 1$.
        num_items: Number $I$ of items: nodes $U$ to $U + I - 1$.

    Raises:
        ValueError: If an index is out of range.
    """
    for name, indices, size in (("users", users, num_users), ("items", items, num_items)):
        if len(indices) and not 0 <= indices.min() <= indices.max() < size:
            raise ValueError(
                f"{name} must lie in [0, {size}), got {int(indices.min())} to {int(indices.max())}"
            )
    n = num_users + num_items
    there, back = torch.cat([users, items + num_users]), torch.cat([items + num_users, users])
    if _served_by_dgl(users.device):
        graph = dgl.graph((back.to(torch.int32), there.to(torch.int32)), num_nodes=n)
        return SymmetricAdjacency._trusted(graph)
    ones = torch.ones(len(there), device=users.device)
    return SymmetricAdjacency._trusted(_csr(there, back, ones, n))


def neighbor_sum(adjacency: Adjacency, features: Tensor) -> Tensor:
    r"""Computes $AX$: for each node the (weighted) sum over its neighbours.

    Half-precision features are multiplied in float32, also under autocast.

    Args:
        adjacency: $A$, over `n` nodes.
        features: $X$, `(n, d)`.

    Returns:
        `(n, d)`. A node without neighbours gets zeros.
    """
    if isinstance(adjacency, SymmetricAdjacency):
        return _SymmetricProduct.apply(adjacency.matrix, features)
    with torch.autocast(features.device.type, enabled=False):
        features = full_precision(features)
        if is_dense(adjacency):
            return full_precision(adjacency) @ features
        return _product(adjacency, features)


def pooled_adjacency(adjacency: Adjacency, assignment: Tensor) -> Tensor:
    r"""Computes $A' = S^\top A S$.

    Args:
        adjacency: $A$, over `n` nodes.
        assignment: $S$, `(n, k)`.

    Returns:
        `(k, k)`.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), Eq. 8.
    """
    if isinstance(adjacency, SymmetricAdjacency):
        return _SymmetricPooling.apply(adjacency.matrix, assignment)
    return assignment.T @ neighbor_sum(adjacency, assignment)


def degrees(adjacency: Adjacency, like: Tensor) -> Tensor:
    r"""Computes the row sums $D_{ii} = \sum_j A_{ij}$, `(n, 1)`, in dtype and device of `like`."""
    if is_dense(adjacency):
        return adjacency.sum(dim=1, keepdim=True).to(like)
    return neighbor_sum(adjacency, like.new_ones(num_nodes(adjacency), 1))


def diagonal(adjacency: Adjacency, like: Tensor) -> Tensor:
    r"""Takes the diagonal of $A$, `(n, 1)`, in the dtype and device of `like`."""
    adjacency = _matrix(adjacency)
    if is_dense(adjacency):
        return adjacency.diagonal().unsqueeze(1).to(like)
    rows, columns, weights = _triplets(adjacency)
    loops = rows == columns
    return like.new_zeros(num_nodes(adjacency), 1).index_add(
        0, rows[loops], weights[loops].unsqueeze(1).to(like)
    )


def is_dense(adjacency: Adjacency) -> TypeGuard[Tensor]:
    """Tells whether an adjacency is a matrix with all its zeros, as that of intents is."""
    return isinstance(adjacency, Tensor) and adjacency.layout == torch.strided


def num_nodes(adjacency: Adjacency) -> int:
    """Counts the nodes."""
    return _num_nodes(_matrix(adjacency))


def num_edges(adjacency: Adjacency) -> int:
    """Counts the edges, each in both directions; of a dense matrix, the entries that are not 0."""
    matrix = _matrix(adjacency)
    if not isinstance(matrix, Tensor):
        return int(matrix.num_edges())
    if matrix.layout == torch.strided:
        return int(matrix.count_nonzero())
    return int(matrix.values().numel())


def is_symmetric(adjacency: "dgl.DGLGraph | Tensor") -> bool:
    r"""Tells whether $A = A^\top$ to the last bit. Turns the edges around: not for every step."""
    if not isinstance(adjacency, Tensor):
        return _equals_its_reverse(adjacency)
    if adjacency.layout == torch.strided:
        return torch.equal(adjacency, adjacency.T)
    rows, columns, weights = _triplets(adjacency)
    n = _num_nodes(adjacency)
    there, order = torch.sort(rows * n + columns, stable=True)
    back, reverse_order = torch.sort(columns * n + rows, stable=True)
    return torch.equal(there, back) and torch.equal(weights[order], weights[reverse_order])


def _equals_its_reverse(graph: "dgl.DGLGraph") -> bool:
    starts, sources, ids = _sorted_lists(graph)
    back_starts, destinations, entries = _turned(starts, sources)
    if not (torch.equal(starts, back_starts) and torch.equal(sources, destinations)):
        return False
    weights = graph.edata.get("weight")
    if weights is None:
        return True
    weights = weights.index_select(0, ids)
    return torch.equal(weights, weights.index_select(0, entries))


def to_sparse_tensor(graph: "dgl.DGLGraph", dtype: torch.dtype = torch.float32) -> Tensor:
    """Turns a DGL graph into the sparse CSR tensor of the same adjacency, with int32 indices."""
    starts, columns, ids = _sorted_lists(graph)
    weights = graph.edata.get("weight")
    if weights is None:
        weights = torch.ones(len(columns), device=columns.device)
    else:
        weights = weights.index_select(0, ids)
    return _sparse_tensor(starts.to(torch.int32), columns.to(torch.int32), weights.to(dtype))


def adjacency_on(graph: "dgl.DGLGraph", device: torch.device | str) -> Adjacency:
    """Puts a graph where it can be multiplied on `device`.

    Returns:
        The DGL graph itself on the CPU, or moved if this DGL was built for CUDA; otherwise the
        sparse tensor of the same adjacency.
    """
    if _served_by_dgl(torch.device(device)):
        return graph
    try:
        return graph.to(device)
    except dgl.DGLError:  # PyPI's DGL is built without CUDA
        return to_sparse_tensor(graph).to(device)


def _matrix(adjacency: Adjacency) -> "dgl.DGLGraph | Tensor":
    return adjacency.matrix if isinstance(adjacency, SymmetricAdjacency) else adjacency


def _num_nodes(matrix: "dgl.DGLGraph | Tensor") -> int:
    return int(matrix.shape[0] if isinstance(matrix, Tensor) else matrix.num_nodes())


def _triplets(matrix: "dgl.DGLGraph | Tensor") -> tuple[Tensor, Tensor, Tensor]:
    if isinstance(matrix, Tensor):
        coo = matrix.to_sparse_coo().coalesce()
        rows, columns = coo.indices()
        return rows, columns, coo.values()
    columns, rows = matrix.edges()
    weights = matrix.edata.get("weight")
    if weights is None:
        weights = torch.ones(len(rows), device=rows.device)
    return rows.long(), columns.long(), weights


def _sorted_lists(graph: "dgl.DGLGraph") -> tuple[Tensor, Tensor, Tensor]:
    """The edges by destination, then source: where each node's begin, the sources, and the ids."""
    starts, sources, ids = graph.adj_tensors("csc")
    rising = sources[1:] >= sources[:-1]
    borders = starts[(starts > 0) & (starts < len(sources))]
    rising[borders.long() - 1] = True  # from one list to the next
    if not rising.all():
        starts, destinations, turned = _turned(starts, sources)
        starts, sources, entries = _turned(starts, destinations)
        entries = turned.index_select(0, entries)
        ids = ids.index_select(0, entries) if len(ids) else entries
    if not len(ids):  # the edges are numbered as they lie
        ids = torch.arange(len(sources), dtype=starts.dtype, device=starts.device)
    return starts, sources, ids


def _turned(starts: Tensor, sources: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same edges by source, then destination, and where each was, without a sort."""
    lists = ("csc", (starts, sources, starts.new_empty(0)))
    graph = dgl.graph(lists, num_nodes=len(starts) - 1, idtype=starts.dtype)
    turned: tuple[Tensor, Tensor, Tensor] = graph.adj_tensors("csr")
    return turned


def _csr(rows: Tensor, columns: Tensor, weights: Tensor, n: int) -> Tensor:
    order = torch.argsort(rows * n + columns, stable=True)
    row_starts = torch.zeros(n + 1, dtype=torch.int32, device=rows.device)
    row_starts[1:] = torch.cumsum(torch.bincount(rows, minlength=n), 0)
    return _sparse_tensor(row_starts, columns[order].to(torch.int32), weights[order])


def _sparse_tensor(row_starts: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
    n = len(row_starts) - 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            row_starts,
            columns,
            weights,
            size=(n, n),
            device=weights.device,
            check_invariants=True,
        )


def _served_by_dgl(device: torch.device) -> bool:
    return device.type == "cpu"


def _product(matrix: "dgl.DGLGraph | Tensor", features: Tensor) -> Tensor:
    if isinstance(matrix, Tensor):
        return matrix.to(features.dtype) @ features
    weight = matrix.edata.get("weight")
    if weight is None:
        return dgl.ops.copy_u_sum(matrix, features)
    weight = weight.to(features.dtype).unsqueeze(1)
    if features.shape[1] == 1:  # which DGL 1.1.3 refuses in float32
        return dgl.ops.u_mul_e_sum(matrix, features.repeat(1, 2), weight)[:, :1]
    return dgl.ops.u_mul_e_sum(matrix, features, weight)


def _constant_product(matrix: "dgl.DGLGraph | Tensor", features: Tensor) -> Tensor:
    """`_product`, but without a gradient: on a CPU, torch's bags of embeddings are quickest."""
    if features.device.type != "cpu":
        return _product(matrix, features)
    if isinstance(matrix, Tensor):
        starts, columns = matrix.crow_indices(), matrix.col_indices()
        weights = matrix.values().to(features.dtype)
    else:
        (starts, columns, _), weights = matrix.adj_tensors("csc"), None
    return F.embedding_bag(
        columns,
        features,
        starts,
        mode="sum",
        per_sample_weights=weights,
        include_last_offset=True,
    )


def full_precision(features: Tensor) -> Tensor:
    """Makes half-precision features float32, and leaves others alone."""
    half = features.dtype in (torch.float16, torch.bfloat16)
    return features.float() if half else features


class _SymmetricProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: "dgl.DGLGraph | Tensor", features: Tensor) -> Tensor:
        ctx.matrix, ctx.dtype = matrix, features.dtype
        with torch.autocast(features.device.type, enabled=False):
            return _constant_product(matrix, full_precision(features))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, _constant_product(ctx.matrix, gradient.contiguous()).to(ctx.dtype)


class _SymmetricPooling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: "dgl.DGLGraph | Tensor", assignment: Tensor) -> Tensor:
        ctx.dtype = assignment.dtype
        assignment = full_precision(assignment)
        with torch.autocast(assignment.device.type, enabled=False):
            summed = _constant_product(matrix, assignment)
            pooled = assignment.T @ summed
        ctx.save_for_backward(summed)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        (summed,) = ctx.saved_tensors
        return None, (summed @ (gradient + gradient.T)).to(ctx.dtype)
