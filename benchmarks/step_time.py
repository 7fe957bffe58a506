"""One training step of HUIGN: the library's path against the same mathematics with dense matrices.

    python benchmarks/step_time.py [--items 4000] [--repeats 9]

Both sides start from the same parameters and see the same batch; that they agree in loss and
gradient is checked before anything is timed. Groups of five steps alternate, dense and fast, in one
process with one thread: within a group a step finds the caches as the step before left them, as in
training. The figures are medians of CPU seconds. Writes `benchmarks/results/step_time.md`.
"""

import argparse
import platform
import statistics
import time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from hugraph import __version__
from hugraph.data.features import scale_features
from hugraph.data.synthetic import planted
from hugraph.graph import CoInteractionGraphBuilder
from hugraph.interfaces import Triples
from hugraph.models.huign import HUIGN
from hugraph.nn import IntraLevelConv, MultiModalFusion

GROUP = 5
WEIGHTS = {"bpr": 1.0, "assignment_entropy": 1e-4, "intent_independence": 1e-4, "l2": 1e-4}
MODES = {
    "paper": {},
    "authors' code": {
        "conv": partial(
            IntraLevelConv, hops=2, weight=True, activation="leaky_relu", clamp_degree=True
        ),
        "fusion": partial(MultiModalFusion, method="sum"),
        "l2": "mean",
    },
}


def dense_terms(model, contents, adjacency, batch):
    """HUIGN's loss, Eq. 3 to 18 one after the other, everything recomputed in every step."""
    blocks, entropy, independence = [], 0.0, 0.0
    for hierarchy, features in zip(model.hierarchies, contents, strict=True):
        a, chain, levels = adjacency, None, []
        for conv, pooling in zip(hierarchy.convs, hierarchy.poolings, strict=True):
            degree = a.sum(dim=1, keepdim=True).clamp(min=1)
            z = features
            for _ in range(conv.hops):
                z = (a @ z) / degree
                z = z if conv.weight is None else z @ conv.weight
            z = F.leaky_relu(z) if conv.activation == "leaky_relu" else z
            x = pooling.supernodes
            gamma = torch.softmax(z @ x.T, dim=1)
            entropy = entropy - (gamma * (gamma + 1e-15).log()).sum(dim=1).mean()
            gram = x @ x.T - torch.eye(len(x))
            independence = independence + gram.norm() / len(x) ** 2
            chain = gamma if chain is None else chain @ gamma
            levels.append(chain)
            a = gamma.T @ a @ gamma
            features = x
        blocks.append(torch.cat(levels, dim=1))
    fused = torch.cat(blocks, dim=1) if model.fusion.method == "concat" else sum(blocks)
    users = torch.cat([model.user_embeddings, model.user_tastes], dim=1)
    items = torch.cat([model.item_embeddings, fused], dim=1)
    chosen = torch.cat([batch.pos_items, batch.neg_items])
    u, v = users.index_select(0, batch.users), items.index_select(0, chosen)
    pos, neg = (u * v[: len(u)]).sum(dim=1), (u * v[len(u) :]).sum(dim=1)
    rows = [
        model.user_embeddings.index_select(0, batch.users),
        model.user_tastes.index_select(0, batch.users),
        model.item_embeddings.index_select(0, chosen),
    ]
    return {
        "bpr": -F.logsigmoid(pos - neg).mean(),
        "l2": model.l2(*rows),
        "assignment_entropy": entropy,
        "intent_independence": independence,
    }


def total(terms):
    return sum(WEIGHTS[name] * term for name, term in terms.items())


def step(terms, optimizer):
    """CPU seconds of one step, as the mean of a group."""
    began = time.process_time()
    for _ in range(GROUP):
        optimizer.zero_grad()
        total(terms()).backward()
        optimizer.step()
    return (time.process_time() - began) / GROUP


def measure(mode, num_items, dim, repeats):
    dataset = planted(num_items=num_items, num_users=3000, interactions_per_user=20, dim=dim)
    contents = {
        m: torch.from_numpy(scale_features(x, "standardize")) for m, x in dataset.features.items()
    }
    graph = CoInteractionGraphBuilder(min_common_users=2).build(
        dataset.users, dataset.items, num_items
    )
    sides = {}
    generator = torch.Generator().manual_seed(0)
    batch = Triples(
        torch.randint(dataset.num_users, (1024,), generator=generator),
        *(torch.randint(num_items, (1024,), generator=generator) for _ in range(2)),
    )
    dense = torch.zeros(num_items, num_items)
    sources, destinations = graph.edges()
    dense[destinations.long(), sources.long()] = 1.0
    for side in ("dense", "fast"):
        torch.manual_seed(0)
        model = HUIGN(dataset.num_users, num_items, contents, graph, **MODES[mode])
        if side == "dense":
            inputs = list(contents.values())
            terms = partial(dense_terms, model, inputs, dense, batch)
        else:
            terms = partial(model.terms, batch)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        sides[side] = (model, terms, optimizer)

    losses, gradients = [], []
    for model, terms, _ in sides.values():
        loss = total(terms())
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    worst = max(
        ((a - b).norm() / b.norm().clamp(min=1e-12)).item() for a, b in zip(*gradients, strict=True)
    )
    assert abs(losses[0] - losses[1]) < 1e-5 * abs(losses[0]), losses

    seconds = {side: [] for side in sides}
    for repeat in range(repeats + 1):
        for side, (_, terms, optimizer) in sides.items():
            spent = step(terms, optimizer)
            if repeat:  # the first group warms up
                seconds[side].append(spent)
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    ratios = [d / f for d, f in zip(seconds["dense"], seconds["fast"], strict=True)]
    return (
        f"| {mode} | {num_items:,} | {dim} | {graph.num_edges():,} | {1e3 * medians['dense']:.1f} "
        f"| {1e3 * medians['fast']:.1f} | {statistics.median(ratios):.1f}x "
        f"({min(ratios):.1f}-{max(ratios):.1f}) | {worst:.0e} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| options | items | columns | edges | dense, CPU ms | fast, CPU ms | dense / fast (range) "
        "| largest relative gradient difference |",
        "|---|---|---|---|---|---|---|---|",
        *(
            measure(mode, arguments.items, dim, arguments.repeats)
            for mode in MODES
            for dim in (64, 128)
        ),
    ]
    table = "\n".join(lines)
    header = (
        f"Planted data, 3 modalities, levels 32, 8, 4, batch 1,024, one thread; "
        f"medians of {arguments.repeats} alternating groups of {GROUP} steps. "
        f"hugraph {__version__}, "
        f"torch {torch.__version__}, {platform.machine()}.\n\n"
    )
    out = Path(__file__).parent / "results" / "step_time.md"
    out.parent.mkdir(exist_ok=True)
    out.write_text(header + table + "\n")
    print(header + table)


if __name__ == "__main__":
    main()
