"""Items that a user has not interacted with, drawn uniformly and without rejection."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class UnseenItems:
    r"""Draws items outside of each user's history, exactly uniformly.

    A user with seen items $s_0 < s_1 < \dots$ has $M - d$ unseen ones. The $r$-th of them (from 0)
    is $r$ plus the number of seen items with $s_j - j \le r$. So one random $r$ and one binary
    search give one sample: nothing is drawn twice, however dense the history.

    Args:
        users: `(num_interactions,)` user of each interaction, of any integer type.
        items: `(num_interactions,)` its item. Each pair occurs once.
        num_users: Users are in [0, num_users).
        num_items: Items are in [0, num_items).

    Raises:
        ValueError: If an index is out of range or a pair occurs twice.
    """

    def __init__(self, users: Indices, items: Indices, num_users: int, num_items: int) -> None:
        for name, values, size in (("user", users, num_users), ("item", items, num_items)):
            if len(values) and not (values.min() >= 0 and values.max() < size):
                raise ValueError(
                    f"{name} indices must be in [0, {size}), got {values.min()} to {values.max()}"
                )
        users, items = users.astype(np.int64), items.astype(np.int64)  # so that no pair overflows
        pairs = np.sort(users * num_items + items)
        if (pairs[1:] == pairs[:-1]).any():
            raise ValueError(f"{(pairs[1:] == pairs[:-1]).sum()} user-item pairs occur twice")
        degrees = np.bincount(users, minlength=num_users)
        self.num_unseen = num_items - degrees  # (num_users,)
        self._starts = degrees.cumsum() - degrees
        owners, seen = np.divmod(pairs, num_items)
        before = seen - (np.arange(len(pairs)) - self._starts[owners])  # unseen items below s_j
        self._stride = num_items + 1
        self._keys = owners * self._stride + before  # ascending

    def draw(self, users: Indices, rng: np.random.Generator) -> Indices:
        """One unseen item for each of `users` `(batch,)`, independently: `(batch,)`.

        Raises:
            ValueError: If one of `users` has seen every item.
        """
        if (self.num_unseen[users] == 0).any():
            raise ValueError(f"{(self.num_unseen[users] == 0).sum()} users have seen every item")
        users = users.astype(np.int64)
        rank = rng.integers(self.num_unseen[users])
        below = np.searchsorted(self._keys, users * self._stride + rank, side="right")
        return rank + below - self._starts[users]
