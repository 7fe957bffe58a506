"""A spec whose whole life takes about a second."""

from pathlib import Path

SMALL = """\
version: 1
seed: 3
data:
  {source: planted, num_users: 90, num_items: 60, interactions_per_user: 9, levels: [4, 2], dim: 8}
graph: {component: co_interaction, min_common_users: 2}
model:
  {component: huign, levels: [4, 2], conv: {component: intra_level, self_loops: add}, id_dim: 8}
objective: {penalties: {assignment_entropy: 1e-4, intent_independence: 1e-4, l2: 1e-3}}
train: {epochs: 3, batch_size: 128, lr: 1e-2}
evaluate: {metrics: [recall, ndcg], k: [5, 10]}
"""

MODELS = {
    "huign": [],
    "huign_sampled": ["model={hierarchy: sampled, sampled_edges: 50}"],
    "huign_lazy": ["model.sparse_gradients=true", "train.clip_norm=0.1"],
    "bpr_mf": ["model={component: bpr_mf}", "objective.penalties=1e-3"],
    "vbpr": ["model={component: vbpr}", "objective.penalties=1e-3"],
    "lightgcn": ["model={component: lightgcn}", "objective.penalties=1e-4"],
    "ngcf": ["model={component: ngcf, dim: 8, layers: [8]}", "objective.penalties=1e-4"],
    "mmgcn": ["model={component: mmgcn, dim: 8}", "objective.penalties=1e-3"],
    "duif": ["model={component: duif, layers: [8]}", "objective.penalties=1e-3"],
    "cb2cf": ["model={component: cb2cf, dim: 8, layers: [8]}", "objective.penalties=1e-3"],
    "macrid_vae": [
        "model={component: macrid_vae, num_concepts: 2, dim: 8, hidden_dim: 8}",
        "objective.penalties=0.2",
    ],
    "disen_gcn": ["model={component: disen_gcn, channel_dim: 4}", "objective.penalties=1e-4"],
    "grcn": ["model={component: grcn, id_dim: 8, content_dim: 8}", "objective.penalties=1e-4"],
    "bm3": ["model={component: bm3, dim: 8}", "objective.penalties=1e-3"],
    "mgcn": ["model={component: mgcn, dim: 8}", "objective.penalties=1e-3"],
    "lgmrec": ["model={component: lgmrec, dim: 8}", "objective.penalties=1e-3"],
    "popularity": ["model={component: popularity}", "objective.penalties=0"],
    "lattice": ["model={component: lattice, dim: 8}", "objective.penalties=1e-4"],
    "freedom": ["model={component: freedom, dim: 8}", "objective.penalties=1e-3"],
    "item_knn": ["model={component: item_knn}", "objective.penalties=0"],
}
UNTRAINED = {"popularity", "item_knn"}


def write_small_spec(directory: Path) -> str:
    path = directory / "small.yaml"
    path.write_text(SMALL)
    return str(path)
