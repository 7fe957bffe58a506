"""Models that are nothing but their vectors, and the intents that these stand for."""

import torch

from hugraph.interfaces import DotProduct, IntentColumn, Interactions


class Told:
    """Stands for an `IntentModel` whose numbers are given.

    Args:
        assignments: Of each modality, the matrix of each level.
        users: Tastes, `(num_users, num_intents)`, over all modalities and levels.
        summed: Whether the fusion has added up the modalities.
    """

    def __init__(self, assignments, users, summed=False):
        self._assignments = {
            name: tuple(torch.tensor(step, dtype=torch.float64) for step in steps)
            for name, steps in assignments.items()
        }
        self._users = torch.tensor(users, dtype=torch.float64)
        self._summed = summed

    def assignments(self):
        return self._assignments

    def columns(self):
        names = [None] if self._summed else self._assignments
        sizes = [step.shape[1] for step in next(iter(self._assignments.values()))]
        return tuple(
            IntentColumn(name, level, k)
            for name in names
            for level, size in enumerate(sizes, start=1)
            for k in range(size)
        )

    def scorer(self):
        blocks = []
        for steps in self._assignments.values():
            chained = [steps[0]]
            for step in steps[1:]:
                chained.append(chained[-1] @ step)
            blocks.append(torch.cat(chained, dim=1))
        items = torch.stack(blocks).sum(0) if self._summed else torch.cat(blocks, dim=1)
        return DotProduct(self._users, items)


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
