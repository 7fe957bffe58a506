"""A small HUIGN from its layers, on a planted world: no spec, no trainer, no registry.

Three hundred users each like one of eight kinds of items; items of a kind look alike.
"""

import torch

from hugraph.graph import CoInteractionGraphBuilder
from hugraph.nn import (
    IntentHierarchy,
    IntentPooling,
    IntraLevelConv,
    MultiModalFusion,
    SymmetricAdjacency,
    bpr_loss,
)

torch.manual_seed(0)
NUM_USERS, NUM_ITEMS, NUM_KINDS = 300, 240, 8
kind_of_item = torch.arange(NUM_ITEMS) % NUM_KINDS
kind_of_user = torch.arange(NUM_USERS) % NUM_KINDS

# Each user knows ten items: mostly of the kind they like, some by chance.
liking = torch.where(kind_of_user[:, None] == kind_of_item, 1.0, 0.02)
items = torch.multinomial(liking, 10).flatten()
users = torch.arange(NUM_USERS).repeat_interleave(10)
held_out = torch.multinomial(liking.scatter(1, items.view(-1, 10), 0), 1).flatten()

centres = torch.randn(2, NUM_KINDS, 16)
features = centres[:, kind_of_item] + 0.5 * torch.randn(2, NUM_ITEMS, 16)  # two modalities
features = (features - features.mean(dim=1, keepdim=True)) / 16**0.5

builder = CoInteractionGraphBuilder(min_common_users=3)
graph = SymmetricAdjacency(builder.build(users, items, NUM_ITEMS))
hierarchies = torch.nn.ModuleList(
    IntentHierarchy(
        [IntraLevelConv(16, self_loops="add") for _ in (8, 3)],
        [IntentPooling(16, num_intents, assignment_scale=8.0) for num_intents in (8, 3)],
        intent_scale=3.0,
    )
    for _ in features
)
fusion = MultiModalFusion(num_modalities=2, dim=8 + 3)
tastes = torch.nn.Parameter(0.1 * torch.randn(NUM_USERS, fusion.output_dim))
optimizer = torch.optim.Adam([*hierarchies.parameters(), tastes], lr=0.02)

for step in range(151):
    intents = [hierarchy(x, graph) for hierarchy, x in zip(hierarchies, features, strict=True)]
    scores = tastes @ fusion([modality.representations() for modality in intents]).T
    negatives = torch.randint(NUM_ITEMS, items.shape)
    entropy = sum(modality.penalties["assignment_entropy"] for modality in intents)
    loss = bpr_loss(scores[users, items], scores[users, negatives]) + 0.01 * entropy
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        unseen = scores.detach().index_put((users, items), torch.tensor(-torch.inf))
        hits = (unseen.topk(10).indices == held_out[:, None]).any(dim=1)
        print(f"step {step:3d}  loss {loss.item():.3f}  hit rate@10 {hits.float().mean():.3f}")
