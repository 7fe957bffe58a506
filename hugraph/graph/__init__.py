"""Graphs of items, users and intents, made from plain arrays of ids."""

from hugraph.graph.bipartite import user_item_graph
from hugraph.graph.cointeraction import CoInteractionGraphBuilder, co_interaction_histogram
from hugraph.graph.convert import from_networkx, to_networkx
from hugraph.graph.hierarchy import intent_hierarchy, write_graphml

__all__ = [
    "CoInteractionGraphBuilder",
    "co_interaction_histogram",
    "from_networkx",
    "intent_hierarchy",
    "to_networkx",
    "user_item_graph",
    "write_graphml",
]
