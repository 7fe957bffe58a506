"""The co-interaction graph to networkx and back."""

from __future__ import annotations

import networkx as nx
import numpy as np
from scipy import sparse

from hugraph.dgl_backend import dgl
from hugraph.graph.symmetric import symmetric_graph


def to_networkx(item_graph: dgl.DGLGraph) -> nx.Graph:
    """Makes an undirected networkx graph with the same nodes, edges and, if any, weights.

    Args:
        item_graph: Homogeneous and symmetric, at most one edge from node to node; weights in
            `edata["weight"]` `(num_edges,)`, equal in both directions.

    Returns:
        Nodes `0` to `num_nodes - 1`; edge attribute `weight` as a Python float.

    Raises:
        ValueError: If the graph is not symmetric or has parallel edges.
    """
    sources, targets = (ends.cpu().numpy().astype(np.int64) for ends in item_graph.edges())
    weighted = "weight" in item_graph.edata
    weights = item_graph.edata["weight"].cpu().numpy() if weighted else np.ones(len(sources))
    num_nodes = item_graph.num_nodes()
    by_source = np.lexsort((targets, sources))
    by_target = np.lexsort((sources, targets))
    there = np.stack([sources, targets])[:, by_source]
    back = np.stack([targets, sources])[:, by_target]
    if (np.diff(there[0] * num_nodes + there[1]) == 0).any():
        raise ValueError("the graph has parallel edges")
    if (there != back).any() or (weights[by_source] != weights[by_target]).any():
        raise ValueError("the graph is not symmetric")
    graph = nx.Graph()
    graph.add_nodes_from(range(num_nodes))
    upper = sources <= targets
    ends = zip(sources[upper].tolist(), targets[upper].tolist(), strict=True)
    if weighted:
        triples = zip(ends, weights[upper].tolist(), strict=True)
        graph.add_weighted_edges_from((i, j, weight) for (i, j), weight in triples)
    else:
        graph.add_edges_from(ends)
    return graph


def from_networkx(graph: nx.Graph) -> dgl.DGLGraph:
    """Makes the symmetric DGL graph of an undirected networkx graph.

    Args:
        graph: Undirected, with nodes `0` to `num_nodes - 1` in any order. Either every edge has a
            finite number as `weight`, or none has one.

    Returns:
        Homogeneous, int32, both directions of each edge, ordered by destination, then source;
        float32 `edata["weight"]` `(num_edges,)` if the edges have weights.

    Raises:
        ValueError: If the graph is directed, has parallel edges, other nodes, or weights on only
            some edges.
    """
    if graph.is_directed() or graph.is_multigraph():
        raise ValueError(f"an undirected networkx.Graph is needed, got {type(graph).__name__}")
    num_nodes = graph.number_of_nodes()
    if set(graph.nodes) != set(range(num_nodes)):
        stranger = next(node for node in graph.nodes if node not in range(num_nodes))
        raise ValueError(f"nodes must be the integers 0 to {num_nodes - 1}, got {stranger!r}")
    num_weights = sum("weight" in data for _, _, data in graph.edges(data=True))
    if num_weights not in (0, graph.number_of_edges()):
        raise ValueError(f"{num_weights} of {graph.number_of_edges()} edges have a weight")
    weighted = num_weights > 0
    ends = np.array(list(graph.edges()), dtype=np.int32).reshape(-1, 2)
    weights = np.array([data.get("weight", 1) for _, _, data in graph.edges(data=True)], np.float32)
    if not np.isfinite(weights).all():
        raise ValueError(f"weights must be finite, got {weights[~np.isfinite(weights)][0]}")
    crossing = ends[:, 0] != ends[:, 1]
    sources = np.concatenate([ends[:, 0], ends[crossing, 1]])
    targets = np.concatenate([ends[:, 1], ends[crossing, 0]])
    entries = (np.concatenate([weights, weights[crossing]]), (targets, sources))
    adjacency = sparse.coo_array(entries, shape=(num_nodes, num_nodes)).tocsr()
    return symmetric_graph(adjacency, weighted=weighted)
