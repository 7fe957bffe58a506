"""A trained hierarchy of intents as a networkx graph that a person can look at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from typing import IO

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

# Everything but the characters of XML 1.0; a carriage return would come back as a line feed.
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def intent_hierarchy(
    assignments: Sequence[ArrayLike | Tensor],
    *,
    item_labels: Sequence[str] | None = None,
    intent_labels: Sequence[Sequence[str]] | None = None,
    min_weight: float = 0.1,
) -> nx.DiGraph:
    r"""Draws soft assignments as edges from items to fine, and from finer to coarser intents.

    A node is named `"level/index"`, items being level 0, and has the attributes `level`, `index`
    and, where labels are given, `title`. An edge has the assignment as `weight`.

    Args:
        assignments: One array $\Gamma_l$ `(num_nodes_l, num_nodes_l+1)` per step, finest first,
            with values from 0 to 1.
        item_labels: Titles of the items, `(num_items,)`.
        intent_labels: Titles of the intents, one sequence per step.
        min_weight: Leaves out weaker edges, but never the strongest of a node, so that each node
            hangs somewhere. 0 keeps every edge.

    Raises:
        ValueError: If the arrays do not chain, hold values outside of $[0, 1]$, or the labels do
            not fit their number.

    Examples:
        >>> graph = intent_hierarchy([[[0.75, 0.25], [0.0, 1.0]]], item_labels=["Alien", "Heat"])
        >>> graph.edges["0/0", "1/1"]["weight"]
        0.25
        >>> graph.nodes["0/1"]["title"]
        'Heat'
    """
    steps = _chained(assignments)
    sizes = [len(steps[0]), *(step.shape[1] for step in steps)]
    labels = [item_labels, *(intent_labels if intent_labels is not None else [None] * len(steps))]
    if len(labels) != len(sizes):
        raise ValueError(f"intent_labels must have {len(steps)} levels, got {len(labels) - 1}")
    graph = nx.DiGraph()
    for level, (size, titles) in enumerate(zip(sizes, labels, strict=True)):
        if titles is not None and len(titles) != size:
            raise ValueError(f"level {level} has {size} nodes, got {len(titles)} labels")
        for index in range(size):
            graph.add_node(f"{level}/{index}", level=level, index=index)
            if titles is not None:
                graph.nodes[f"{level}/{index}"]["title"] = titles[index]
    for level, step in enumerate(steps):
        kept = step >= min_weight
        kept[np.arange(len(step)), step.argmax(axis=1)] = True
        for lower, upper in np.argwhere(kept).tolist():
            weight = float(step[lower, upper])
            graph.add_edge(f"{level}/{lower}", f"{level + 1}/{upper}", weight=weight)
    return graph


def write_graphml(graph: nx.Graph, path: str | PathLike[str] | IO[bytes]) -> None:
    """Writes `graph` as GraphML, which networkx, Gephi, yEd and Cytoscape open.

    Characters that XML forbids are left out of titles and other texts, and carriage returns with
    them; what `networkx.read_graphml` then reads equals what was written.

    Args:
        graph: With names that are texts and attributes that are texts or Python numbers.
        path: File to write; an existing one is replaced. Or an open one.

    Raises:
        ValueError: If two nodes differ only in such characters.
        OSError: If the file cannot be written.
    """
    names = {node: _xml_text(node) for node in graph}
    if len(set(names.values())) < len(names):
        raise ValueError("two nodes have the same name once characters that XML forbids are gone")
    clean = nx.relabel_nodes(graph, names, copy=True)
    for _, attributes in clean.nodes(data=True):
        attributes.update({key: _xml_text(value) for key, value in attributes.items()})
    for _, _, attributes in clean.edges(data=True):
        attributes.update({key: _xml_text(value) for key, value in attributes.items()})
    nx.write_graphml(clean, path)


def _chained(assignments: Sequence[ArrayLike | Tensor]) -> list[NDArray[np.float64]]:
    steps = [
        np.asarray(step.detach().cpu().numpy() if isinstance(step, Tensor) else step, np.float64)
        for step in assignments
    ]
    if not steps:
        raise ValueError("assignments must hold at least 1 array, got 0")
    for level, step in enumerate(steps):
        if step.ndim != 2 or step.shape[1] < 1:
            raise ValueError(f"assignment {level} must have two dimensions, got {step.shape}")
        if level and len(step) != steps[level - 1].shape[1]:
            raise ValueError(
                f"assignment {level} must have {steps[level - 1].shape[1]} rows, got {len(step)}"
            )
        wrong = ~((step >= 0) & (step <= 1))
        if wrong.any():
            raise ValueError(f"assignment {level} must lie in [0, 1], got {step[wrong][0]}")
    return steps


def _xml_text(value: object) -> object:
    return _NOT_XML.sub("", value) if isinstance(value, str) else value
