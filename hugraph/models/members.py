"""The users and items of a batch, each once: for losses that compare all of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from hugraph.interfaces import Triples


class Members(NamedTuple):
    """Which users and items a batch of triples holds, and where they stand in it."""

    users: Tensor  # (num_members,), ascending
    items: Tensor  # (num_member_items,), ascending
    user_rows: Tensor  # (batch,), into `users`
    item_rows: Tensor  # (2 * batch,), into `items`: the positive items', then the negative ones'
    pos_rows: Tensor  # (num_positive_items,), into `items`: those that are somebody's positive


def members(batch: Triples) -> Members:
    """Lists the users and items of `batch`, each once."""
    users, user_rows = batch.users.unique(return_inverse=True)
    items, item_rows = torch.cat([batch.pos_items, batch.neg_items]).unique(return_inverse=True)
    pos_rows = item_rows[: len(batch.pos_items)].unique()
    return Members(users, items, user_rows, item_rows, pos_rows)
