"""Models of multimodal recommendation as MMRec formulates them, reconstructed.

MMRec is not on a package index. What is here is not its code, but the way in which it computes:
everything for all users and items in every step; products with a sparse COO tensor under autograd;
in MMGCN and GRCN PyTorch Geometric's messages, gathered along every edge and scattered; raw
features that are trained in FREEDOM and BM3; torch's default Adam; one negative after the other, in
Python. Graphs that do not change are made before the clock starts. All learned tables are
trained. Needs torch and, for MMGCN and GRCN, torch_geometric.
"""

import random

import torch
import torch.nn.functional as F
from torch import nn


class NegativeByNegative:
    """Cuts shuffled pairs into batches, and draws until an item is unknown to the user."""

    def __init__(self, users, items, num_items, batch_size):
        self.users, self.items, self.batch_size = users, items, batch_size
        self.candidates = sorted(set(items.tolist()))
        self.known = {}
        for user, item in zip(users.tolist(), items.tolist(), strict=True):
            self.known.setdefault(user, set()).add(item)

    def __iter__(self):
        order = torch.randperm(len(self.users))
        users, items = self.users[order], self.items[order]
        for u, pos in zip(users.split(self.batch_size), items.split(self.batch_size), strict=True):
            yield u, pos, torch.tensor([self._unknown_to(user) for user in u.tolist()])

    def _unknown_to(self, user):
        item = random.sample(self.candidates, 1)[0]
        while item in self.known[user]:
            item = random.sample(self.candidates, 1)[0]
        return item


class Graph:
    """The user-item graph: pairs, and their nodes with items behind users."""

    def __init__(self, users, items, num_users, num_items):
        self.users, self.items = users, items
        self.num_users, self.num_items = num_users, num_items
        one_way = torch.stack([users, items + num_users])
        self.to_items = one_way
        self.both_ways = torch.cat([one_way, one_way.flip(0)], dim=1)

    def chances(self):
        """One over the root of both degrees, of every pair."""
        of_users, of_items = torch.bincount(self.users), torch.bincount(self.items)
        return (of_users[self.users] * of_items[self.items]).float().rsqrt()

    def normalized(self, kept=None):
        """A sparse COO tensor over all nodes, of all pairs or of those that are kept."""
        pairs = (
            self
            if kept is None
            else Graph(self.users[kept], self.items[kept], self.num_users, self.num_items)
        )
        n, weights = self.num_users + self.num_items, pairs.chances()
        return torch.sparse_coo_tensor(pairs.both_ways, weights.repeat(2), (n, n)).coalesce()


def xavier(rows, columns):
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(rows, columns)))


def bpr(u, pos, neg):
    return -F.logsigmoid((u * pos).sum(dim=1) - (u * neg).sum(dim=1)).mean()


def mean_of_layers(adjacency, own, num_layers):
    layers = [own]
    for _ in range(num_layers):
        layers.append(torch.sparse.mm(adjacency, layers[-1]))
    return torch.stack(layers, dim=1).mean(dim=1)


class Formulation(nn.Module):
    def __init__(self, graph, dim):
        super().__init__()
        self.graph = graph
        self.sizes = [graph.num_users, graph.num_items]
        self.users, self.items = xavier(graph.num_users, dim), xavier(graph.num_items, dim)

    def begin_epoch(self):
        pass

    def smoothed(self, adjacency, num_layers):
        own = torch.cat([self.users, self.items])
        return mean_of_layers(adjacency, own, num_layers).split(self.sizes)


class LightGCN(Formulation):
    def __init__(self, graph, features, dim=64, num_layers=3):
        super().__init__(graph, dim)
        self.adjacency, self.num_layers = graph.normalized(), num_layers

    def loss(self, u, pos, neg):
        users, items = self.smoothed(self.adjacency, self.num_layers)
        rows = self.users[u], self.items[pos], self.items[neg]
        penalty = sum(row.norm(p=2) ** 2 for row in rows) / len(u)
        return bpr(users[u], items[pos], items[neg]) + 1e-4 * penalty


class VBPR(Formulation):
    def __init__(self, graph, features, dim=64):
        super().__init__(graph, dim)
        self.users = xavier(graph.num_users, 2 * dim)
        self.features = torch.cat(features, dim=1)
        self.projection = nn.Linear(self.features.shape[1], dim)

    def loss(self, u, pos, neg):
        items = torch.cat([self.items, self.projection(self.features)], dim=1)
        rows = self.users[u], items[pos], items[neg]
        penalty = sum(row.norm(p=2) for row in rows) / len(u)
        return bpr(*rows) + 1e-4 * penalty


class FREEDOM(Formulation):
    def __init__(self, graph, features, dim=64, num_layers=2, num_neighbors=10, dropped=0.8):
        super().__init__(graph, dim)
        self.num_layers, self.dropped = num_layers, dropped
        self.features = nn.ParameterList(nn.Parameter(x.clone()) for x in features)
        self.projections = nn.ModuleList(nn.Linear(x.shape[1], dim) for x in features)
        m = graph.num_items
        self.similar = torch.zeros(m, m).to_sparse()
        for x in features:
            x = F.normalize(x)
            nearest = (x @ x.T).topk(num_neighbors).indices
            rows = torch.arange(m).repeat_interleave(num_neighbors)
            weights = torch.full((len(rows),), 1 / (num_neighbors * len(features)))
            edges = torch.stack([rows, nearest.flatten()])
            self.similar = self.similar + torch.sparse_coo_tensor(edges, weights, (m, m))
        self.similar = self.similar.coalesce()

    def begin_epoch(self):
        count = int(len(self.graph.users) * (1 - self.dropped))
        self.adjacency = self.graph.normalized(torch.multinomial(self.graph.chances(), count))

    def loss(self, u, pos, neg):
        users, items = self.smoothed(self.adjacency, self.num_layers)
        items = items + torch.sparse.mm(self.similar, self.items)
        content = 0
        for projection, features in zip(self.projections, self.features, strict=True):
            points = projection(features)
            content = content + bpr(users[u], points[pos], points[neg])
        return bpr(users[u], items[pos], items[neg]) + 1e-3 * content


class BM3(Formulation):
    def __init__(self, graph, features, dim=64, num_layers=1, dropout=0.5):
        super().__init__(graph, dim)
        self.adjacency, self.num_layers, self.dropout = graph.normalized(), num_layers, dropout
        self.features = nn.ParameterList(nn.Parameter(x.clone()) for x in features)
        self.projections = nn.ModuleList(nn.Linear(x.shape[1], dim) for x in features)
        self.predictor = nn.Linear(dim, dim)

    def loss(self, u, pos, neg):
        users, items = self.smoothed(self.adjacency, self.num_layers)
        items = items + self.items
        points = [p(x) for p, x in zip(self.projections, self.features, strict=True)]
        with torch.no_grad():
            user_view, item_view, *point_views = (
                F.dropout(table.clone(), self.dropout) for table in (users, items, *points)
            )
        user_guess, item_guess, *point_guesses = map(self.predictor, (users, items, *points))

        def apart(guesses, views):
            return 1 - F.cosine_similarity(guesses, views, dim=-1).mean()

        loss = apart(user_guess[u], item_view[pos]) + apart(item_guess[pos], user_view[u])
        for guess, view in zip(point_guesses, point_views, strict=True):
            loss = loss + 2 * apart(guess[pos], item_view[pos])
            loss = loss + 2 * apart(guess[pos], view[pos])
        return loss + 0.1 * (users.norm(p=2) + items.norm(p=2)) / self.sizes[1]


def _messages(aggregation):
    """A layer of PyTorch Geometric that sends `message(x_j, weight)` along every edge."""
    from torch_geometric.nn import MessagePassing

    class Messages(MessagePassing):
        def forward(self, x, edges, weight=None):
            return self.propagate(edges, size=(len(x), len(x)), x=x, weight=weight)

        def message(self, x_j, weight):
            return x_j if weight is None else x_j * weight

    return Messages(aggr=aggregation)


def _attention():
    from torch_geometric.nn import MessagePassing
    from torch_geometric.utils import softmax

    class Attention(MessagePassing):
        def forward(self, x, edges):
            return self.propagate(edges, size=(len(x), len(x)), x=x)

        def message(self, x_i, x_j, index, size_i):
            self.shares = softmax((x_i * x_j).sum(dim=-1), index, num_nodes=size_i)
            return x_j * self.shares.unsqueeze(1)

    return Attention(aggr="add")


class MMGCN(Formulation):
    """Three concatenating layers, whatever the configuration says, as in MMRec.

    `first_dim`: what the first modality is mapped to, 256 in MMRec, however wide it is. Without it,
    a network has the widths of hugraph's, which maps down alone. MMRec leaves preferences and IDs
    out of its optimiser, but takes their gradients; here they are trained.
    """

    def __init__(self, graph, features, dim=64, num_layers=3, first_dim=None):
        super().__init__(graph, dim)
        self.features, self.mean = features, _messages("mean")
        widths = [x.shape[1] for x in features]
        self.widen = None
        if first_dim is not None:
            self.widen, widths[0] = nn.Linear(widths[0], first_dim), first_dim
        self.preferences = nn.ParameterList(xavier(graph.num_users, width) for width in widths)
        self.networks = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleDict(
                    {
                        "hear": nn.Linear(size, size, bias=False),
                        "keep": nn.Linear(size, dim),
                        "join": nn.Linear(size + dim, dim),
                    }
                )
                for size in [width, *[dim] * (num_layers - 1)]
            )
            for width in widths
        )

    def represented(self):
        ids, total = torch.cat([self.users, self.items]), 0
        for m, network in enumerate(self.networks):
            features = self.features[m]
            if m == 0 and self.widen is not None:
                features = self.widen(features)
            x = F.normalize(torch.cat([self.preferences[m], features]))
            for layer in network:
                heard = F.leaky_relu(self.mean(layer["hear"](x), self.graph.both_ways))
                own = F.leaky_relu(layer["keep"](x)) + ids
                x = F.leaky_relu(layer["join"](torch.cat([heard, own], dim=1)))
            total = total + x
        return (total / len(self.networks)).split(self.sizes)

    def loss(self, u, pos, neg):
        users, items = self.represented()
        rows = self.users[u], self.items[pos], self.items[neg]
        penalty = sum((row**2).mean() for row in rows) + (self.preferences[0] ** 2).mean()
        return bpr(users[u], items[pos], items[neg]) + 1e-4 * penalty


class GRCN(Formulation):
    def __init__(self, graph, features, dim=64, num_routing=3, num_layers=2):
        super().__init__(graph, dim)
        self.features, self.num_routing, self.num_layers = features, num_routing, num_layers
        self.attention, self.sum = _attention(), _messages("add")
        self.preferences = nn.ParameterList(xavier(graph.num_users, dim) for _ in features)
        self.projections = nn.ModuleList(nn.Linear(x.shape[1], dim) for x in features)
        self.confidence = xavier(graph.num_users + graph.num_items, len(features))

    def represented(self):
        to_users, both_ways = self.graph.to_items.flip(0), self.graph.both_ways.flip(0)
        contents, shares = [], []
        for m, features in enumerate(self.features):
            points = F.normalize(F.leaky_relu(self.projections[m](features)))
            prototypes = F.normalize(self.preferences[m])
            for _ in range(self.num_routing):
                heard = self.attention(torch.cat([prototypes, points]), to_users)
                prototypes = F.normalize(prototypes + heard[: self.graph.num_users])
            x = torch.cat([prototypes, points])
            contents.append(x + self.attention(x, both_ways))
            shares.append(self.attention.shares)
        believed = torch.stack(shares, dim=1) * self.confidence[both_ways[0]]
        weight = believed.max(dim=1, keepdim=True).values.relu()
        x = F.normalize(torch.cat([self.users, self.items]))
        total = x
        for _ in range(self.num_layers):
            x = self.sum(x, both_ways, weight)
            total = total + x
        return torch.cat([total, *contents], dim=1).split(self.sizes)

    def loss(self, u, pos, neg):
        users, items = self.represented()
        rows = [self.users[u], self.items[pos], self.items[neg]]
        rows += [preferences[u] for preferences in self.preferences]
        penalty = sum((row**2).mean() for row in rows)
        return bpr(users[u], items[pos], items[neg]) + 1e-4 * penalty


class Training:
    """Epochs of one formulation, with a loss read in every step, as MMRec does."""

    def __init__(self, name, data, *, batch_size, **options):
        users, items = data.users, data.items
        graph = Graph(users, items, data.num_users, data.num_items)
        self.model = globals()[name](graph, data.features, **options)
        self.batches = NegativeByNegative(users, items, data.num_items, batch_size)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def epoch(self):
        """Trains once on all pairs; returns how many there were."""
        self.model.begin_epoch()
        count, total = 0, 0.0
        for u, pos, neg in self.batches:
            self.optimizer.zero_grad()
            loss = self.model.loss(u, pos, neg)
            total += loss.item()
            loss.backward()
            self.optimizer.step()
            count += len(u)
        return count
