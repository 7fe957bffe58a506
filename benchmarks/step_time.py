"""One training step of HUIGN: the library's path against the same mathematics with dense matrices.

    python benchmarks/step_time.py [--data DIR] [--repeats 9] [KEY=VALUE ...]

DIR is a dataset directory, the built-in synthetic data if left out; KEY=VALUE overrides the specs
of `examples/`. The dense side writes Eq. 3 to 18 down one after the other and computes everything
in every step, for all users and items, over a dense adjacency: as the authors' code does, of which
it is a reconstruction from the formulas.

Both sides start from the same parameters and see the same batch; that they agree in loss and
gradient is checked before anything is timed. Groups of steps alternate, dense and fast, in one
process with one thread: within a group a step finds the caches as the step before left them, as in
training. The figures are medians of CPU seconds. Writes `benchmarks/results/step_time.md`, or
`step_time_<dataset>.md` for a directory.
"""

import argparse
import platform
import statistics
import time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from hugraph import __version__, process
from hugraph.assembly import SCHEMA, Experiment
from hugraph.interfaces import Triples
from hugraph.nn import to_sparse_tensor

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SPECS = {"paper": "huign_paper.yaml", "authors' code": "huign_official_code.yaml"}
PLANTED = [[f"data.num_items={items}", f"data.dim={dim}"] for items in (4000,) for dim in (64, 128)]
THRESHOLDS = (2, 5)
BATCH = 1024
WEIGHTS = {"bpr": 1.0, "assignment_entropy": 1e-4, "intent_independence": 1e-4, "l2": 1e-4}


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


def step(terms, optimizer, count):
    """CPU seconds of one step, as the mean of `count`."""
    began = time.process_time()
    for _ in range(count):
        optimizer.zero_grad()
        total(terms()).backward()
        optimizer.step()
    return (time.process_time() - began) / count


def measure(mode, overrides, repeats):
    spec = SCHEMA.resolve(EXAMPLES / SPECS[mode], ["model.aliased_penalties=false", *overrides])
    experiment = Experiment.prepare(spec)
    num_users, num_items = experiment.dataset.num_users, experiment.dataset.num_items
    generator = torch.Generator().manual_seed(0)
    batch = Triples(
        torch.randint(num_users, (BATCH,), generator=generator),
        *(torch.randint(num_items, (BATCH,), generator=generator) for _ in range(2)),
    )
    sides = {}
    for side in ("dense", "fast"):
        model = experiment.build_model()
        if side == "dense":
            contents = list(experiment.modality_features.values())
            dense = to_sparse_tensor(experiment.item_adjacency).to_dense()
            terms = partial(dense_terms, model, contents, dense, batch)
        else:
            terms = partial(model.terms, batch)
        sides[side] = model, terms, torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    losses, gradients = [], []
    for model, terms, _ in sides.values():
        loss = total(terms())
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    worst = max(
        ((a - b).norm() / b.norm().clamp(min=1e-12)).item() for a, b in zip(*gradients, strict=True)
    )
    assert abs(losses[0] - losses[1]) < 1e-5 * abs(losses[0]), losses
    assert worst < 1e-3, worst  # an entry at the kink of the leaky ReLU falls on either side

    groups = {side: max(1, round(0.2 / step(*sides[side][1:], 1))) for side in sides}
    seconds = {side: [] for side in sides}
    for _ in range(repeats):
        for side, (_, terms, optimizer) in sides.items():
            seconds[side].append(step(terms, optimizer, groups[side]))
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    ratios = [d / f for d, f in zip(seconds["dense"], seconds["fast"], strict=True)]
    columns = "+".join(str(x.shape[1]) for x in experiment.modality_features.values())
    threshold, edges = spec.graph.options["min_common_users"], experiment.item_adjacency.num_edges()
    return (
        f"| {mode} | {num_items:,} | {columns} | {threshold} | {edges:,} "
        f"| {1e3 * medians['dense']:.1f} | {1e3 * medians['fast']:.1f} "
        f"| {statistics.median(ratios):.1f}x ({min(ratios):.1f}-{max(ratios):.1f}) "
        f"| {worst:.0e} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_intermixed_args()
    process.prepare()  # as the command line does
    torch.set_num_threads(1)
    if arguments.data is None:
        name, cases = "planted data", [[*case, "graph.min_common_users=2"] for case in PLANTED]
    else:
        name = arguments.data.resolve().name
        data = f"data={{source: directory, path: {arguments.data}, scaling: standardize}}"
        cases = [
            [data, "model.modalities=null", f"graph.min_common_users={threshold}"]
            for threshold in THRESHOLDS
        ]
    lines = [
        "| options | items | columns | threshold | edges | dense, CPU ms | fast, CPU ms "
        "| dense / fast (range) | largest relative gradient difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for mode in SPECS:
        for case in cases:
            lines.append(measure(mode, [*case, *arguments.overrides], arguments.repeats))
            print(lines[-1], flush=True)
    header = (
        f"One step on {name}, levels 32, 8, 4, batch {BATCH:,}, one thread; medians of "
        f"{arguments.repeats} alternating groups. hugraph {__version__}, "
        f"torch {torch.__version__}, {platform.machine()}.\n\n"
    )
    suffix = "" if arguments.data is None else f"_{name}"
    out = Path(__file__).parent / "results" / f"step_time{suffix}.md"
    out.write_text(header + "\n".join(lines) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
