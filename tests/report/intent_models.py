"""A model that is nothing but its vectors and the intents that they stand for."""

import torch

from hugraph.interfaces import DotProduct, IntentColumn, Interactions


def interactions(*pairs):
    users, items = zip(*pairs, strict=True) if pairs else ((), ())
    as_tensor = [torch.tensor(column, dtype=torch.int64) for column in (users, items)]
    return Interactions(*as_tensor)


class Vectors:
    """Ranks by the product of given vectors, all of whose entries are of IDs."""

    def __init__(self, users, items):
        self.users, self.items = torch.as_tensor(users), torch.as_tensor(items)
        self.num_users, self.num_items = len(self.users), len(self.items)

    def stages(self):
        return ()

    def scorer(self):
        return DotProduct(self.users, self.items)

    def histograms(self):
        return {}


class IntentVectors(Vectors):
    """Its last entries stand for the intents of one modality; items are what they carry of them."""

    def __init__(self, users, items, assignments, modality="textual"):
        super().__init__(users, items)
        self._assignments = tuple(torch.as_tensor(step) for step in assignments)
        self._modality = modality

    def assignments(self):
        return {self._modality: self._assignments}

    def columns(self):
        intents = [
            IntentColumn(self._modality, level, intent)
            for level, step in enumerate(self._assignments, start=1)
            for intent in range(step.shape[1])
        ]
        return (*[None] * (self.items.shape[1] - len(intents)), *intents)


def one_hot(num_items):
    """A user of the first item's intent alone, where each item is its own intent."""
    eye = torch.eye(num_items).tolist()
    return IntentVectors([eye[0]], eye, [eye])
