"""Tiny recommenders, one for each shape that the trainer must fit, and data they can learn."""

import torch
import torch.nn.functional as F
from torch import nn

from hugraph.interfaces import DotProduct, Interactions, Stage
from hugraph.train.evaluator import evaluate


class DotProductModel(nn.Module):
    """Matrix factorisation with BPR; its dropout draws from torch's global generator."""

    def __init__(self, num_users, num_items, dim=8, dropout=0.1):
        super().__init__()
        self.num_users, self.num_items, self.dropout = num_users, num_items, dropout
        torch.manual_seed(0)
        self.users = nn.Embedding(num_users, dim)
        self.items = nn.Embedding(num_items, dim)
        nn.init.normal_(self.users.weight, std=0.1)
        nn.init.normal_(self.items.weight, std=0.1)

    def bpr(self, batch):
        users = F.dropout(self.users(batch.users), self.dropout, self.training)
        margin = (users * (self.items(batch.pos_items) - self.items(batch.neg_items))).sum(-1)
        return {"bpr": F.softplus(-margin).mean(), "l2": users.square().mean()}

    def stages(self):
        return (Stage("train", "triples", self.bpr, ("bpr", "l2"), tuple(self.parameters())),)

    def scorer(self):
        return DotProduct(self.users.weight, self.items.weight)

    def histograms(self):
        return {"items": self.items.weight}


class MultinomialModel(nn.Module):
    """A likelihood over whole histories, for batches of users."""

    def __init__(self, history):
        super().__init__()
        self.num_users, self.num_items = history.shape
        torch.manual_seed(0)
        self.register_buffer("history", history)
        self.encode = nn.Linear(self.num_items, 4)
        self.decode = nn.Linear(4, self.num_items)

    def logits(self, users):
        return self.decode(torch.tanh(self.encode(self.history.index_select(0, users))))

    def terms(self, batch):
        log_p = self.logits(batch.users).log_softmax(-1)
        history = self.history.index_select(0, batch.users)
        return {"multinomial": -(history * log_p).sum(-1).mean()}

    def stages(self):
        return (Stage("train", "users", self.terms, ("multinomial",), tuple(self.parameters())),)

    def scorer(self):
        return self.logits

    def histograms(self):
        return {}


class TwoStageModel(DotProductModel):
    """Factorises, then regresses the item vectors on features, which rank in the end."""

    def __init__(self, num_users, num_items, features):
        super().__init__(num_users, num_items)
        self.register_buffer("features", features, persistent=False)
        self.regression = nn.Linear(features.shape[1], 8)

    def regress(self, batch):
        predicted = self.regression(self.features.index_select(0, batch.items))
        target = self.items(batch.items).detach()
        return {"squared_error": (predicted - target).square().sum(-1).mean()}

    def stages(self):
        (factorise,) = super().stages()
        vectors = (self.users.weight, self.items.weight)
        scorer = super().scorer
        return (
            Stage("factorise", "triples", self.bpr, factorise.term_names, vectors, scorer),
            Stage(
                "regress",
                "items",
                self.regress,
                ("squared_error",),
                tuple(self.regression.parameters()),
            ),
        )

    def scorer(self):
        return DotProduct(self.users.weight, self.regression(self.features))


class PopularityModel(nn.Module):
    """Has nothing to train."""

    def __init__(self, counts, num_users):
        super().__init__()
        self.num_users, self.num_items = num_users, len(counts)
        self.register_buffer("counts", counts.float())

    def stages(self):
        return ()

    def scorer(self):
        return lambda users: self.counts.expand(len(users), -1)

    def histograms(self):
        return {}


NUM_USERS, NUM_ITEMS = 16, 12
_USERS = torch.arange(NUM_USERS).repeat_interleave(NUM_ITEMS // 2)
_ITEMS = (_USERS % 2) * 6 + torch.arange(6).repeat(NUM_USERS)
_WITHHELD = _ITEMS % 6 == _USERS // 2 % 6

# Even users like items 0 to 5, odd users items 6 to 11; one liked item of each user is withheld.
TRAIN = Interactions(_USERS[~_WITHHELD], _ITEMS[~_WITHHELD])
WITHHELD = Interactions(_USERS[_WITHHELD], _ITEMS[_WITHHELD])
POPULARITY = torch.bincount(TRAIN.items, minlength=NUM_ITEMS)


def history():
    matrix = torch.zeros(NUM_USERS, NUM_ITEMS)
    matrix[TRAIN.users, TRAIN.items] = 1
    return matrix


def validate(scorer):
    """The withheld item is the only liked one a user has not seen, so it should come first."""
    result = evaluate(scorer, WITHHELD, TRAIN, POPULARITY, metrics=["recall", "ndcg"], k=[1, 3])
    return result.metrics
