"""The layers that the models are made of, each usable alone with tensors and a graph."""

from hugraph.nn.adjacency import (
    SymmetricAdjacency,
    adjacency_on,
    bipartite_adjacency,
    is_symmetric,
    neighbor_sum,
    pooled_adjacency,
    to_sparse_tensor,
)
from hugraph.nn.content import ModalityContent
from hugraph.nn.edge_sample import EdgeSample, EdgeSampler
from hugraph.nn.edges import Edges
from hugraph.nn.functional import (
    assignment_entropy,
    batch_l2,
    bpr_loss,
    info_nce,
    intent_independence,
    soft_assignment,
    unit_rows,
)
from hugraph.nn.fusion import MultiModalFusion
from hugraph.nn.hierarchy import IntentHierarchy, Intents
from hugraph.nn.intent_pooling import IntentPooling, PooledLevel
from hugraph.nn.intra_level_conv import IntraLevelConv
from hugraph.nn.light_propagation import LightPropagation
from hugraph.nn.neighbor_graph import NeighborGraph
from hugraph.nn.neighbors import Neighbors, nearest_neighbors, normalized_weights
from hugraph.nn.ranking_loss import BPRLoss, RankingLoss, SampledSoftmaxLoss
from hugraph.nn.sage_conv import SAGEConv
from hugraph.nn.split_conv import SplitConv
from hugraph.nn.token_embedding import TokenEmbedding

__all__ = [
    "BPRLoss",
    "EdgeSample",
    "EdgeSampler",
    "Edges",
    "IntentHierarchy",
    "IntentPooling",
    "Intents",
    "IntraLevelConv",
    "LightPropagation",
    "ModalityContent",
    "MultiModalFusion",
    "NeighborGraph",
    "Neighbors",
    "PooledLevel",
    "RankingLoss",
    "SAGEConv",
    "SampledSoftmaxLoss",
    "SplitConv",
    "SymmetricAdjacency",
    "TokenEmbedding",
    "adjacency_on",
    "assignment_entropy",
    "batch_l2",
    "bipartite_adjacency",
    "bpr_loss",
    "info_nce",
    "intent_independence",
    "is_symmetric",
    "nearest_neighbors",
    "neighbor_sum",
    "normalized_weights",
    "pooled_adjacency",
    "soft_assignment",
    "to_sparse_tensor",
    "unit_rows",
]
