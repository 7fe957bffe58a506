"""The batches of an epoch, a function of seed, stage and epoch alone."""

import logging

import numpy as np
import torch
from torch import Tensor

from hugraph.errors import DataError
from hugraph.interfaces import Batch, BatchKind, Interactions, ItemBatch, Triples, UserBatch
from hugraph.seed import stream
from hugraph.train.negatives import UnseenItems

log = logging.getLogger(__name__)


class Batches:
    """Cuts the training interactions into random batches.

    A user who has interacted with every item has no negative, so `"triples"` leaves that user's
    interactions out. `"users"` and `"items"` hold those that occur in `train`.

    Args:
        train: The training interactions.
        num_users: Users are in [0, num_users).
        num_items: Items are in [0, num_items).
        batch_size: Rows of a batch; the last one of an epoch may be smaller.
        seed: The run's seed.

    Raises:
        ValueError: If an index of `train` is out of range or a pair occurs twice.
    """

    def __init__(
        self, train: Interactions, num_users: int, num_items: int, *, batch_size: int, seed: int
    ) -> None:
        users, items = train.users.long().cpu().numpy(), train.items.long().cpu().numpy()
        self._unseen = UnseenItems(users, items, num_users, num_items)
        self._seed = seed
        self._batch_size = batch_size
        self._active_users, self._active_items = np.unique(users), np.unique(items)

        has_negative = self._unseen.num_unseen[users] > 0
        self._users, self._items = users[has_negative], items[has_negative]
        self.num_users_without_negative = int((self._unseen.num_unseen == 0).sum())
        if self.num_users_without_negative:
            log.warning(
                "%d users have interacted with every item; their interactions have no negative "
                "and are left out of the triples",
                self.num_users_without_negative,
            )

    def epoch(
        self, kind: BatchKind, stage: int, epoch: int, device: torch.device | None = None
    ) -> list[Batch]:
        """All batches of one epoch, in order: each interaction, user or item once.

        Args:
            kind: What a batch holds.
            stage: Index of the stage.
            epoch: Epoch within the stage.
            device: Where the batches go; the CPU by default.

        Raises:
            DataError: If there is nothing to train on.
        """
        rng = stream(self._seed, "batches", stage, epoch)

        def cut(values: np.ndarray) -> tuple[Tensor, ...]:
            return torch.from_numpy(values).to(device).split(self._batch_size)

        if kind == "users":
            batches: list[Batch] = [
                UserBatch(users) for users in cut(rng.permutation(self._active_users))
            ]
        elif kind == "items":
            batches = [ItemBatch(items) for items in cut(rng.permutation(self._active_items))]
        else:
            order = rng.permutation(len(self._users))
            users = self._users[order]
            negatives = self._unseen.draw(users, rng)
            batches = [
                Triples(*columns)
                for columns in zip(cut(users), cut(self._items[order]), cut(negatives), strict=True)
            ]
        if not batches or not len(batches[0][0]):
            raise DataError(
                f"there are no {kind} to train on",
                fix="use a dataset whose users have both seen and unseen items",
            )
        return batches
