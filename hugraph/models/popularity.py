"""The reference point every model must beat: how many users know an item."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hugraph.interfaces import Interactions, Scorer, Stage


class Popularity(nn.Module):
    """Ranks items by their number of training interactions, alike for every user.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        train_interactions: The training interactions to count.
    """

    counts: Tensor

    def __init__(self, num_users: int, num_items: int, train_interactions: Interactions) -> None:
        super().__init__()
        self.num_users = num_users
        self.num_items = num_items
        counts = torch.bincount(train_interactions.items, minlength=num_items)
        self.register_buffer("counts", counts.to(torch.float32))

    def stages(self) -> tuple[Stage, ...]:
        """None: there is nothing to train."""
        return ()

    def scorer(self) -> Scorer:
        """Scores every item by its count."""
        return lambda users: self.counts.repeat(len(users), 1)

    def histograms(self) -> Mapping[str, Tensor]:
        """Nothing."""
        return {}
