"""One epoch of training: the library against the same mathematics in a plain formulation.

    python benchmarks/epoch_time.py DIR [--repeats 3] [--only lightgcn] [KEY=VALUE ...]

DIR is a dataset directory; KEY=VALUE overrides the specs of `examples/`, for example
`data.split.scheme=given`. The library's side is `hugraph.train.fit`. The plain side is how
multimodal toolboxes are commonly written: everything is recomputed for all users and items in every
step, by products with a sparse COO tensor under autograd or, in rows with "messages", by gathering
a message along every edge and adding them up; one negative per sample is drawn in Python, again
while the user knows it; Adam is torch's default.

Both sides start from the same parameters, and that they agree in loss and gradient on one batch is
checked before anything is timed. Epochs alternate, plain and fast, in one process with one thread.
The figures are medians of CPU seconds. Writes `benchmarks/results/epoch_time.md`.
"""

import argparse
import copy
import json
import platform
import random
import statistics
import time
import warnings
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from hugraph import __version__
from hugraph.assembly import SCHEMA, Experiment
from hugraph.interfaces import Triples
from hugraph.train import fit

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SETTINGS = ["train.batch_size=2048", "train.epochs=1"]


class Links:
    """The user-item graph as an edge list, and plain products with it."""

    def __init__(self, experiment):
        users, items = experiment.train
        num_users, num_items = experiment.dataset.num_users, experiment.dataset.num_items
        items = items + num_users
        self.num_nodes = num_users + num_items
        self.to = torch.cat([users, items])
        self.of = torch.cat([items, users])

    def counts(self, counted):
        """How many neighbours of each node are `counted`, a 1 or 0 of each node; at least 1."""
        zeros = torch.zeros(self.num_nodes)
        return zeros.index_add(0, self.to, counted[self.of]).clamp(min=1)

    def sparse(self, weights):
        """Products with a sparse COO tensor of the edges' weights."""
        indices, shape = torch.stack([self.to, self.of]), (self.num_nodes, self.num_nodes)
        matrix = torch.sparse_coo_tensor(indices, weights, shape, check_invariants=True)
        return partial(torch.sparse.mm, matrix.coalesce())

    def mean_by_sparse_product(self, counts):
        return self.sparse(1 / counts[self.to])

    def mean_by_messages(self, counts):
        def mean(features):
            zeros = features.new_zeros(features.shape)
            messages = features.index_select(0, self.of)
            return zeros.index_add(0, self.to, messages) / counts.unsqueeze(1)

        return mean


def bpr(users, items, batch):
    u, pos, neg = users[batch.users], items[batch.pos_items], items[batch.neg_items]
    return -torch.log(torch.sigmoid((u * pos).sum(dim=1) - (u * neg).sum(dim=1))).mean()


def half_squares(batch, user_tables, item_tables):
    rows = [table[batch.users] for table in user_tables]
    rows += [table[ids] for table in item_tables for ids in (batch.pos_items, batch.neg_items)]
    return sum(row.square().sum() for row in rows) / (2 * len(batch.users))


def lightgcn(model, experiment):
    links = Links(experiment)
    root = links.counts(torch.ones(links.num_nodes)).rsqrt()
    smooth = links.sparse(root[links.to] * root[links.of])
    sizes = [model.num_users, model.num_items]

    def terms(batch):
        layers = [model.embeddings]
        for _ in range(model.propagation.num_layers):
            layers.append(smooth(layers[-1]))
        users, items = torch.stack(layers, dim=1).mean(dim=1).split(sizes)
        ego_users, ego_items = model.embeddings.split(sizes)
        return {
            "bpr": bpr(users, items, batch),
            "l2": half_squares(batch, [ego_users], [ego_items]),
        }

    return terms


def mmgcn(model, experiment, mean=Links.mean_by_sparse_product):
    links, contents = Links(experiment), list(experiment.modality_features.values())
    everybody = torch.ones(model.num_users)
    later = mean(links, links.counts(torch.cat([everybody, torch.ones(model.num_items)])))
    presents = [(features != 0).any(dim=1, keepdim=True).float() for features in contents]
    first = [mean(links, links.counts(torch.cat([everybody, p[:, 0]]))) for p in presents]

    def terms(batch):
        ids = torch.cat([model.user_embeddings, model.item_embeddings])
        total = 0
        for m, features in enumerate(contents):
            items = F.normalize(model.projections[m](features)) * presents[m]
            x = torch.cat([F.normalize(model.preferences[m]), items])
            for depth, layer in enumerate(model.layers[m]):
                neighbors = later if depth else first[m]
                heard = F.leaky_relu(neighbors(x @ layer.hear))
                own = F.leaky_relu(layer.keep(x)) + ids
                both = torch.cat([heard, own], dim=1)
                weight = torch.cat([layer.join.weight, layer.join_own.T], dim=1)
                x = F.leaky_relu(F.linear(both, weight, layer.join.bias))
            total = total + x
        users, items = total.split([model.num_users, model.num_items])
        user_tables = [model.user_embeddings, *model.preferences]
        return {
            "bpr": bpr(users, items, batch),
            "l2": half_squares(batch, user_tables, [model.item_embeddings]),
        }

    return terms


# A name, the spec, and what gives the terms of a batch plainly, from the model's own parameters.
MODELS = {
    "lightgcn": ("lightgcn.yaml", lightgcn),
    "mmgcn": ("mmgcn.yaml", mmgcn),
    "mmgcn, messages": ("mmgcn.yaml", partial(mmgcn, mean=Links.mean_by_messages)),
}


class PlainBatches:
    """Draws samples as toolboxes do, one after the other."""

    def __init__(self, experiment, batch_size):
        self.pairs = list(zip(*(ids.tolist() for ids in experiment.train), strict=True))
        self.num_items, self.batch_size = experiment.dataset.num_items, batch_size
        self.known = [set() for _ in range(experiment.dataset.num_users)]
        for user, item in self.pairs:
            self.known[user].add(item)

    def __iter__(self):
        random.shuffle(self.pairs)
        for start in range(0, len(self.pairs), self.batch_size):
            chosen = self.pairs[start : start + self.batch_size]
            triples = [(user, item, self.unknown_to(user)) for user, item in chosen]
            yield Triples(*(torch.tensor(ids) for ids in zip(*triples, strict=True)))

    def unknown_to(self, user):
        item = random.randrange(self.num_items)
        while item in self.known[user]:
            item = random.randrange(self.num_items)
        return item


def total(terms, weights):
    return sum(weights[name] * term for name, term in terms.items())


def difference(batch, weights, plain, fast):
    """The largest relative difference of a gradient on one batch."""
    losses, gradients = [], []
    for model, terms in (plain, fast):
        loss = total(terms(batch), weights)
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    assert abs(losses[0] - losses[1]) < 1e-5 * abs(losses[0]), losses
    pairs = zip(*gradients, strict=True)
    return max(((a - b).norm() / a.norm().clamp(min=1e-12)).item() for a, b in pairs)


def measure(name, directory, repeats, overrides):
    spec_file, plain_terms = MODELS[name]
    place = ["data.source=directory", f"data.path={json.dumps(str(directory))}"]
    spec = SCHEMA.resolve(EXAMPLES / spec_file, [*SETTINGS, *place, *overrides])
    experiment = Experiment.prepare(spec)
    fast = experiment.build_model()
    plain = copy.deepcopy(fast)
    (weights,) = spec.objective().weights(fast.stages())
    terms = plain_terms(plain, experiment)
    batches = PlainBatches(experiment, spec.train.batch_size)
    worst = difference(next(iter(batches)), weights, (plain, terms), (fast, fast.terms))
    optimizer = torch.optim.Adam(plain.parameters(), lr=spec.train.lr)

    def plain_epoch(_):
        for batch in batches:
            optimizer.zero_grad()
            total(terms(batch), weights).backward()
            optimizer.step()

    def fast_epoch(seed):
        fit(
            fast,
            experiment.train,
            lambda scorer: {spec.train.early_stopping.metric: 0.0},
            seed=seed,
            config=spec.train,
            objective=spec.objective(),
        )

    seconds = {plain_epoch: [], fast_epoch: []}
    for repeat in range(repeats + 1):
        for epoch, spent in seconds.items():
            began = time.process_time()
            epoch(repeat)
            if repeat:  # the first epoch warms up
                spent.append(time.process_time() - began)
    ratios = [f / p for p, f in zip(*seconds.values(), strict=True)]
    medians = [statistics.median(spent) for spent in seconds.values()]
    return (
        f"| {directory.name} | {name} | {medians[0]:.2f} | {medians[1]:.2f} "
        f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {worst:.0e} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=MODELS, action="append")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "Sparse")
    directory = arguments.directory.resolve()
    lines = [
        "| dataset | model | plain, CPU s | hugraph, CPU s | hugraph / plain (range) "
        "| largest relative gradient difference |",
        "|---|---|---|---|---|---|",
    ]
    for name in arguments.only or MODELS:
        lines.append(measure(name, directory, arguments.repeats, arguments.overrides))
        print(lines[-1], flush=True)
    settings = " ".join([*SETTINGS, *arguments.overrides])
    header = (
        f"One epoch, one thread, `{settings}`; medians of {arguments.repeats} alternating epochs. "
        f"hugraph {__version__}, torch {torch.__version__}, {platform.machine()}.\n\n"
    )
    out = Path(__file__).parent / "results" / "epoch_time.md"
    out.write_text(header + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
