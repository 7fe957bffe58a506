"""Which rows of a feature matrix are most alike: a graph of similar items, never a dense one."""

import warnings
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor

from hugraph.checks import check_options

BLOCK_BYTES = 2**25  # of similarities at a time


class Neighbors(NamedTuple):
    """The rows most similar to each row; a graph with the same number of edges into each node.

    `F.embedding_bag(indices, x, per_sample_weights=weights, mode="sum")` is its product with `x`.
    """

    indices: Tensor  # (n, k) int64, most similar first
    similarities: Tensor  # (n, k); 0 where there is no further neighbour and a row names itself


@torch.no_grad()
def nearest_neighbors(
    features: Tensor,
    k: Annotated[int, Ge(1)],
    *,
    include_self: bool = False,
    shrinkage: Annotated[float, Ge(0)] = 0.0,
) -> Neighbors:
    r"""Finds for each row the `k` most similar rows, block by block.

    $$ s_{ij} = \frac{x_i^\top x_j}{\lVert x_i \rVert \lVert x_j \rVert + h} $$

    Without shrinkage this is the cosine. An all-zero row stands for a missing item: it is nobody's
    neighbour and has none, so that it names itself, with similarity 0. So does a row with fewer
    than `k` others.

    Args:
        features: `(n, dim)`, dense or sparse COO.
        k: How many neighbours.
        include_self: Whether a row counts among its own neighbours, as in the published code of
            LATTICE and its descendants. It may miss itself where `k` others are as similar: rows of
            one direction or, with shrinkage, longer ones.
        shrinkage: $h$: rows that are short, by which little is known, are trusted less.

    Returns:
        `n` rows, `k` wide. Without gradients: similarities that a model learns from are computed
        anew for these indices.

    Raises:
        ValueError: If `k` is not positive or the shrinkage is negative.
    """
    check_options(nearest_neighbors, k=k, shrinkage=shrinkage)
    n = len(features)
    lengths = _lengths(features)
    absent = lengths == 0
    unit = features * lengths.where(~absent, 1).reciprocal().unsqueeze(1)
    most = min(n, max(1, BLOCK_BYTES // (4 * n)))
    # One for all blocks, so that none is allocated between results that stay.
    buffer = torch.empty(0 if unit.is_sparse else most, n, dtype=unit.dtype, device=unit.device)
    indices = torch.empty(n, k, dtype=torch.int64, device=features.device)
    similarities = torch.empty(n, k, dtype=unit.dtype, device=features.device)
    for rows in torch.arange(n, device=features.device).split(most):
        scores = _products(unit, rows, buffer[: len(rows)])
        if shrinkage:
            both = lengths.index_select(0, rows).unsqueeze(1) * lengths
            scores *= both / (both + shrinkage)
        scores[:, absent] = float("-inf")
        scores[absent.index_select(0, rows)] = float("-inf")
        if not include_self:
            scores.scatter_(1, rows.unsqueeze(1), float("-inf"))
        if k > n:
            scores = F.pad(scores, (0, k - n), value=float("-inf"))
        best, chosen = scores.topk(k)
        nobody = best == float("-inf")
        indices[rows] = chosen.where(~nobody, rows.unsqueeze(1))
        similarities[rows] = best.masked_fill(nobody, 0)
    return Neighbors(indices, similarities)


def normalized_weights(neighbors: Neighbors) -> Tensor:
    r"""Scales similarities by the square roots of both ends' degrees: $D^{-1/2} S D^{-1/2}$.

    $D_{ii} = \sum_j S_{ij}$ is the sum over a row's own neighbours, as in the published code of
    LATTICE. Negative similarities count as 0.

    Args:
        neighbors: `n` rows of `k`; gradients flow to the similarities.

    Returns:
        `(n, k)`, aligned with the neighbours; 0 from and to a row of degree 0.
    """
    weights = neighbors.similarities.clamp(min=0)
    degree = weights.sum(dim=1)
    scale = degree.where(degree > 0, 1).rsqrt().where(degree > 0, 0)
    ends = scale.index_select(0, neighbors.indices.flatten()).view_as(weights)
    return scale.unsqueeze(1) * weights * ends


def _lengths(features: Tensor) -> Tensor:
    if features.is_sparse:
        return torch.sparse.sum(features * features, dim=1).to_dense().sqrt()
    return torch.linalg.vector_norm(features, dim=1)


def _products(features: Tensor, rows: Tensor, out: Tensor) -> Tensor:
    """Inner products of the chosen rows with all rows, `(len(rows), n)`, dense; in `out` or not."""
    chosen = features.index_select(0, rows)
    if not features.is_sparse:
        return torch.mm(chosen, features.T, out=out)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse.mm(chosen, features.t()).to_dense()
