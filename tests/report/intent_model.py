"""A model that is nothing but its assignments and tastes."""

import torch

from hugraph.interfaces import DotProduct, IntentColumn


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
