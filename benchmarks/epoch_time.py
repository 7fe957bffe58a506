"""One epoch of training: the library against the same mathematics in a plain formulation.

    python benchmarks/epoch_time.py DIR [--repeats 3] [--only lightgcn] [KEY=VALUE ...]

DIR is a dataset directory; KEY=VALUE overrides the specs of `examples/`, for example
`data.split.scheme=given`. The library's side is `hugraph.train.fit`. The plain side is how
multimodal toolboxes are commonly written: everything is recomputed for all users and items in every
step, by products with a sparse COO tensor under autograd or, in rows with "messages", by gathering
a message along every edge and adding them up; one negative per sample is drawn in Python, again
while the user knows it; the histories of a batch of users are the rows of a dense matrix; Adam is
torch's default.

Both sides start from the same parameters, and that they agree in loss and gradient on one batch is
checked before anything is timed. They draw the same edges and noise for it, from the same seed; the
dropout of MacridVAE has other shapes on each side and is off, and its `kl` is not annealed. Epochs
alternate, plain and fast, in one process with one thread. The figures are medians of CPU seconds.
Writes `benchmarks/results/epoch_time.md`.
"""

import argparse
import copy
import json
import platform
import random
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

from hugraph import __version__
from hugraph.assembly import SCHEMA, Experiment
from hugraph.interfaces import Triples, UserBatch
from hugraph.train import fit

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


class Plain(NamedTuple):
    """A model in the plain formulation, in the terms of a `Stage`."""

    terms: Callable
    begin_epoch: Callable | None = None


class Links:
    """The user-item graph, or the edges `kept` of it, as a list; and plain products with it."""

    def __init__(self, experiment, kept=slice(None)):
        users, items = (ids[kept] for ids in experiment.train)
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

    def symmetric(self):
        root = self.counts(torch.ones(self.num_nodes)).rsqrt()
        return self.sparse(root[self.to] * root[self.of])

    def mean_by_sparse_product(self, counts):
        return self.sparse(1 / counts[self.to])

    def mean_by_messages(self, counts):
        def mean(features):
            zeros = features.new_zeros(features.shape)
            messages = features.index_select(0, self.of)
            return zeros.index_add(0, self.to, messages) / counts.unsqueeze(1)

        return mean


def ranking_losses(users, items, batch):
    u, pos, neg = users[batch.users], items[batch.pos_items], items[batch.neg_items]
    return -torch.log(torch.sigmoid((u * pos).sum(dim=1) - (u * neg).sum(dim=1)))


def bpr(users, items, batch):
    return ranking_losses(users, items, batch).mean()


def half_squares(batch, user_tables, item_tables):
    rows = [table[batch.users] for table in user_tables]
    rows += [table[ids] for table in item_tables for ids in (batch.pos_items, batch.neg_items)]
    return sum(row.square().sum() for row in rows) / (2 * len(batch.users))


def mean_of_layers(smooth, embeddings, num_layers):
    layers = [embeddings]
    for _ in range(num_layers):
        layers.append(smooth(layers[-1]))
    return torch.stack(layers, dim=1).mean(dim=1)


def lightgcn(model, experiment):
    smooth = Links(experiment).symmetric()
    sizes = [model.num_users, model.num_items]

    def terms(batch):
        smoothed = mean_of_layers(smooth, model.embeddings, model.propagation.num_layers)
        users, items = smoothed.split(sizes)
        ego_users, ego_items = model.embeddings.split(sizes)
        return {
            "bpr": bpr(users, items, batch),
            "l2": half_squares(batch, [ego_users], [ego_items]),
        }

    return Plain(terms)


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

    return Plain(terms)


def freedom(model, experiment):
    contents = list(experiment.modality_features.values())
    presents = [(features != 0).any(dim=1).float() for features in contents]
    neighbors, weights = model.item_graph.indices, model.item_graph.weights
    rows = torch.arange(model.num_items).repeat_interleave(neighbors.shape[1])
    edges, shape = torch.stack([rows, neighbors.flatten()]), (model.num_items, model.num_items)
    matrix = torch.sparse_coo_tensor(edges, weights.flatten(), shape, check_invariants=True)
    take_from_similar = partial(torch.sparse.mm, matrix.coalesce())
    users, items = experiment.train
    chances = (torch.bincount(users)[users] * torch.bincount(items)[items]).float().rsqrt()
    smooth = None

    def begin_epoch():
        nonlocal smooth
        kept = torch.multinomial(chances, model.num_kept)
        smooth = Links(experiment, kept).symmetric()

    def terms(batch):
        own = torch.cat([model.user_embeddings, model.item_embeddings])
        smoothed = mean_of_layers(smooth, own, model.num_layers)
        users, items = smoothed.split([model.num_users, model.num_items])
        similar = model.item_embeddings
        for _ in range(model.item_layers):
            similar = take_from_similar(similar)
        content_bpr = 0
        for projection, features, present in zip(
            model.projections, contents, presents, strict=True
        ):
            both = present[batch.pos_items] * present[batch.neg_items]
            losses = ranking_losses(users, projection(features), batch)
            content_bpr = content_bpr + (losses * both).sum() / both.sum().clamp(min=1)
        return {
            "bpr": bpr(users, items + similar, batch),
            "l2": half_squares(batch, [model.user_embeddings], [model.item_embeddings]),
            "content_bpr": content_bpr,
        }

    return Plain(terms, begin_epoch)


def macrid_vae(model, experiment):
    users, items = experiment.train
    lengths = torch.bincount(users, minlength=model.num_users).tolist()
    histories = items[users.argsort()].split(lengths)

    def terms(batch):
        rows = torch.zeros(len(batch.users), model.num_items)
        for row, user in zip(rows, batch.users.tolist(), strict=True):
            row[histories[user]] = 1
        directions = F.normalize(model.item_embeddings)
        cosines = F.normalize(model.prototypes) @ directions.T
        masses, kl = 0, 0
        for concept in torch.softmax(cosines / model.temperature, dim=0):
            shares = F.dropout(F.normalize(rows * concept), model.dropout)
            hidden = torch.tanh(shares @ model.context_embeddings + model.context_bias)
            a, b = model.output(hidden).chunk(2, dim=1)
            taste = F.normalize(a) + model.prior_std * (b / 2).exp() * torch.randn_like(b)
            logits = F.normalize(taste) @ directions.T / model.temperature
            masses = masses + concept * logits.exp()
            kl = kl + (b.exp() - b - 1).sum(dim=1).mean() / 2
        logs = torch.log_softmax(masses.log(), dim=1)
        share = min(1, model.steps.item() / model.anneal_steps) if model.anneal_steps else 1
        model.steps += 1
        return {"reconstruction": -(rows * logs).sum(dim=1).mean(), "kl": share * kl}

    return Plain(terms)


class Case(NamedTuple):
    """What to compare: a spec of `examples/` and its model made plain, on the same parameters."""

    spec_file: str
    plain: Callable
    batch_size: int = 2048
    checked_with: tuple[str, ...] = ()  # settings for the comparison of gradients alone


MODELS = {
    "lightgcn": Case("lightgcn.yaml", lightgcn),
    "mmgcn": Case("mmgcn.yaml", mmgcn),
    "mmgcn, messages": Case("mmgcn.yaml", partial(mmgcn, mean=Links.mean_by_messages)),
    "freedom": Case("freedom.yaml", freedom),
    "macrid_vae": Case(
        "macrid_vae.yaml",
        macrid_vae,
        batch_size=256,
        checked_with=("model.dropout=0", "model.anneal_steps=0"),
    ),
}


class PlainTriples:
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


class PlainUsers:
    """Goes through the users who have a history."""

    def __init__(self, experiment, batch_size):
        self.users, self.batch_size = experiment.train.users.unique().tolist(), batch_size

    def __iter__(self):
        random.shuffle(self.users)
        for start in range(0, len(self.users), self.batch_size):
            yield UserBatch(torch.tensor(self.users[start : start + self.batch_size]))


def total(terms, weights):
    return sum(weights[name] * term for name, term in terms.items())


class Pair:
    """Both sides of a case, with the same parameters."""

    def __init__(self, case, directory, overrides):
        place = ["data.source=directory", f"data.path={json.dumps(str(directory))}"]
        length = ["train.epochs=1", f"train.batch_size={case.batch_size}"]
        self.spec = SCHEMA.resolve(EXAMPLES / case.spec_file, [*place, *length, *overrides])
        self.experiment = Experiment.prepare(self.spec)
        self.fast_model = self.experiment.build_model()
        self.plain_model = copy.deepcopy(self.fast_model)
        (self.fast,) = self.fast_model.stages()
        self.plain = case.plain(self.plain_model, self.experiment)
        (self.weights,) = self.spec.objective().weights([self.fast])
        batches = {"triples": PlainTriples, "users": PlainUsers}[self.fast.batches]
        self.batches = batches(self.experiment, self.spec.train.batch_size)

    def difference(self):
        """The largest relative difference of a gradient on one batch."""
        batch = next(iter(self.batches))
        losses, gradients = [], []
        for model, side in ((self.plain_model, self.plain), (self.fast_model, self.fast)):
            torch.manual_seed(0)
            if side.begin_epoch is not None:
                side.begin_epoch()
            loss = total(side.terms(batch), self.weights)
            losses.append(loss.item())
            gradients.append(torch.autograd.grad(loss, list(model.parameters())))
        assert abs(losses[0] - losses[1]) < 1e-5 * abs(losses[0]), losses
        pairs = zip(*gradients, strict=True)
        worst = max(((a - b).norm() / a.norm().clamp(min=1e-12)).item() for a, b in pairs)
        assert worst < 1e-4, worst
        return worst


def measure(name, directory, repeats, overrides):
    case = MODELS[name]
    worst = Pair(case, directory, [*overrides, *case.checked_with]).difference()
    pair = Pair(case, directory, overrides)
    train = pair.spec.train
    optimizer = torch.optim.Adam(pair.plain_model.parameters(), lr=train.lr)

    def plain_epoch(_):
        if pair.plain.begin_epoch is not None:
            pair.plain.begin_epoch()
        for batch in pair.batches:
            optimizer.zero_grad()
            total(pair.plain.terms(batch), pair.weights).backward()
            optimizer.step()

    def fast_epoch(seed):
        fit(
            pair.fast_model,
            pair.experiment.train,
            lambda scorer: {train.early_stopping.metric: 0.0},
            seed=seed,
            config=train,
            objective=pair.spec.objective(),
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
        f"| {directory.name} | {name} | {train.batch_size:,} {pair.fast.batches} "
        f"| {medians[0]:.2f} | {medians[1]:.2f} "
        f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {worst:.0e} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=MODELS, action="append")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "Sparse")
    directory = arguments.directory.resolve()
    lines = [
        "| dataset | model | batch | plain, CPU s | hugraph, CPU s | hugraph / plain (range) "
        "| largest relative gradient difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in arguments.only or MODELS:
        lines.append(measure(name, directory, arguments.repeats, arguments.overrides))
        print(lines[-1], flush=True)
    settings = "".join(f", `{override}`" for override in arguments.overrides)
    header = (
        f"One epoch, one thread{settings}; medians of {arguments.repeats} alternating epochs. "
        f"hugraph {__version__}, torch {torch.__version__}, {platform.machine()}.\n\n"
    )
    out = Path(__file__).parent / "results" / "epoch_time.md"
    out.write_text(header + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
