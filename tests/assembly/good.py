"""A spec that is right, for tests that make it wrong."""

GOOD = """\
version: 1
seed: 7
data: {source: planted, split: {scheme: random, ratios: [0.8, 0.1, 0.1]}}
graph: {component: co_interaction, min_common_users: 5}
model:
  component: huign
  levels: [32, 8, 4]
  conv: {component: intra_level}
  pooling: {component: intent_pooling}
  fusion: {component: concat}
  id_dim: 64
objective: {loss: bpr, penalties: {assignment_entropy: 1e-4, l2: 1e-4}}
train: {epochs: 200, batch_size: 1024, lr: 1e-3, early_stopping: {metric: recall@10}}
evaluate: {metrics: [precision, recall, ndcg], k: [1, 5, 10, 20]}
"""
