r"""Products with an adjacency, whatever holds it: a DGL graph, a sparse or a dense tensor.

An adjacency $A$ over `n` nodes is one of

* a `dgl.DGLGraph`: $A_{ij}$ is the weight of the edge $j \to i$, its `edata["weight"]`, or 1;
* a sparse CSR tensor `(n, n)`: what a GPU uses when the installed DGL knows only the CPU;
* a dense tensor `(n, n)`: the small, weighted adjacency of a pooled level.
"""

import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hugraph.dgl_backend import dgl

Adjacency: TypeAlias = "dgl.DGLGraph | Tensor"


def neighbor_sum(adjacency: Adjacency, features: Tensor, *, symmetric: bool = False) -> Tensor:
    r"""Computes $AX$: for each node the (weighted) sum over its neighbours.

    Args:
        adjacency: $A$, over `n` nodes.
        features: $X$, `(n, d)`.
        symmetric: Promises that $A = A^\top$ and is constant, so that the backward pass is the same
            product and needs no reversed graph. Not checked here; see
            [`is_symmetric`][hugraph.nn.adjacency.is_symmetric].

    Returns:
        `(n, d)`. A node without neighbours gets zeros.
    """
    if symmetric:
        return _SymmetricProduct.apply(adjacency, features)
    if isinstance(adjacency, Tensor):
        return adjacency @ features
    weight = adjacency.edata.get("weight")
    if weight is None:
        return dgl.ops.copy_u_sum(adjacency, features)
    return dgl.ops.u_mul_e_sum(adjacency, features, weight.to(features.dtype).unsqueeze(1))


def pooled_adjacencies(
    adjacency: Adjacency, assignments: Sequence[Tensor], *, symmetric: bool = False
) -> list[Tensor]:
    r"""Computes $A'_m = S_m^\top A S_m$ for several assignments with one pass over the edges.

    $A$ is read once, with all $S_m$ side by side. If it is symmetric, the gradient
    $\partial S_m = A S_m (G_m + G_m^\top)$ reuses the $A S_m$ of the forward pass and the backward
    pass reads no edge at all.

    Args:
        adjacency: $A$, over `n` nodes.
        assignments: $S_m$, `(n, k_m)` each.
        symmetric: Promises that $A = A^\top$ and is constant.

    Returns:
        One `(k_m, k_m)` tensor per assignment.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), Eq. 8.
    """
    sizes = [assignment.shape[1] for assignment in assignments]
    stacked = assignments[0] if len(assignments) == 1 else torch.cat(list(assignments), dim=1)
    if symmetric:
        return list(_SymmetricPooling.apply(adjacency, sizes, stacked))
    summed = neighbor_sum(adjacency, stacked).split(sizes, dim=1)
    return [s.T @ a_s for s, a_s in zip(assignments, summed, strict=True)]


def degrees(adjacency: Adjacency, like: Tensor) -> Tensor:
    r"""Computes the row sums $D_{ii} = \sum_j A_{ij}$, `(n, 1)`, in dtype and device of `like`."""
    if isinstance(adjacency, Tensor) and adjacency.layout == torch.strided:
        return adjacency.sum(dim=1, keepdim=True)
    return neighbor_sum(adjacency, like.new_ones(num_nodes(adjacency), 1))


def diagonal(adjacency: Adjacency, like: Tensor) -> Tensor:
    r"""Takes the diagonal of $A$, `(n, 1)`, in the dtype and device of `like`."""
    if isinstance(adjacency, Tensor) and adjacency.layout == torch.strided:
        return adjacency.diagonal().unsqueeze(1)
    rows, columns, weights = _triplets(adjacency, like)
    loops = rows == columns
    return like.new_zeros(num_nodes(adjacency), 1).index_add(
        0, rows[loops], weights[loops].unsqueeze(1)
    )


def num_nodes(adjacency: Adjacency) -> int:
    """Counts the nodes."""
    return adjacency.shape[0] if isinstance(adjacency, Tensor) else adjacency.num_nodes()


def is_symmetric(adjacency: Adjacency) -> bool:
    r"""Tells whether $A = A^\top$ to the last bit. Sorts the edges: ask once, not in every step."""
    if isinstance(adjacency, Tensor) and adjacency.layout == torch.strided:
        return torch.equal(adjacency, adjacency.T)
    rows, columns, weights = _triplets(adjacency, torch.empty(0))
    n = num_nodes(adjacency)
    there, order = torch.sort(rows * n + columns, stable=True)
    back, reverse_order = torch.sort(columns * n + rows, stable=True)
    return torch.equal(there, back) and torch.equal(weights[order], weights[reverse_order])


def to_sparse_tensor(graph: "dgl.DGLGraph", dtype: torch.dtype = torch.float32) -> Tensor:
    """Turns a DGL graph into the sparse CSR tensor of the same adjacency, with int32 indices."""
    rows, columns, weights = _triplets(graph, torch.empty(0, dtype=dtype))
    n = graph.num_nodes()
    order = torch.argsort(rows * n + columns, stable=True)
    row_starts = torch.zeros(n + 1, dtype=torch.int32)
    row_starts[1:] = torch.cumsum(torch.bincount(rows, minlength=n), 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            row_starts,
            columns[order].to(torch.int32),
            weights[order],
            size=(n, n),
            check_invariants=True,
        )


def adjacency_on(graph: "dgl.DGLGraph", device: torch.device | str) -> Adjacency:
    """Puts a graph where it can be multiplied on `device`.

    Returns:
        The DGL graph itself on the CPU, or moved if this DGL was built for CUDA; otherwise the
        sparse tensor of the same adjacency.
    """
    if torch.device(device).type == "cpu":
        return graph
    try:
        return graph.to(device)
    except dgl.DGLError:  # PyPI's DGL is built without CUDA
        return to_sparse_tensor(graph).to(device)


def _triplets(adjacency: Adjacency, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if isinstance(adjacency, Tensor):
        coo = adjacency.to_sparse_coo().coalesce()
        rows, columns = coo.indices()
        return rows, columns, coo.values().to(like.dtype)
    columns, rows = adjacency.edges()
    weights = adjacency.edata.get("weight")
    if weights is None:
        weights = torch.ones(len(rows), device=rows.device)
    return rows.long(), columns.long(), weights.to(like.dtype)


class _SymmetricProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, adjacency: Adjacency, features: Tensor) -> Tensor:
        ctx.adjacency = adjacency
        return neighbor_sum(adjacency, features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, neighbor_sum(ctx.adjacency, gradient.contiguous())


class _SymmetricPooling(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, adjacency: Adjacency, sizes: list[int], stacked: Tensor
    ) -> tuple[Tensor, ...]:
        summed = neighbor_sum(adjacency, stacked)
        ctx.sizes = sizes
        ctx.save_for_backward(summed)
        pairs = zip(stacked.split(sizes, dim=1), summed.split(sizes, dim=1), strict=True)
        return tuple(s.T @ a_s for s, a_s in pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        (summed,) = ctx.saved_tensors
        pairs = zip(summed.split(ctx.sizes, dim=1), gradients, strict=True)
        return None, None, torch.cat([a_s @ (g + g.T) for a_s, g in pairs], dim=1)
