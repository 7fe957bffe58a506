"""How many users each pair of items shares, counted block by block in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hugraph.errors import DataError, ResourceError
from hugraph.graph.indices import Indices, aligned_indices

MAX_PAIRS = 1_000_000_000
MEMORY_BUDGET_MB = 2048

# Peak bytes, by what they grow with; a test holds the sum against RLIMIT_AS.
_BYTES_PER_INTERACTION = 40
_BYTES_PER_ITEM = 64
_BYTES_PER_USER = 32
_BYTES_PER_BLOCK_PAIR = 24  # in the buffers of a block, and once more cut to length
_BYTES_PER_PAIR = 72  # of the pairs that a caller keeps, and makes a graph of

_PAIRS_PER_BLOCK = 2**18  # more do not make counting faster


class Owners(NamedTuple):
    """The users of each item: those of item `i` are `users[starts[i]:starts[i + 1]]`."""

    starts: NDArray[np.int64]  # (num_items + 1,)
    users: NDArray[np.uint32]  # (num_interactions,), of an item ascending, each once
    num_users: int


class PairCounts(NamedTuple):
    """Some pairs of items, each once, with the number of distinct users that have both."""

    first: NDArray[np.uint32]  # (num_pairs,)
    second: NDArray[np.uint32]  # (num_pairs,), above `first`
    common_users: NDArray[np.uint32]  # (num_pairs,), at least 1


def item_owners(
    user_ids: Indices, item_ids: Indices, num_items: int, *, max_items_per_user: int | None = None
) -> Owners:
    """Says who has what, each pair of user and item once.

    Args:
        user_ids: `(num_interactions,)`, any ids that are not negative.
        item_ids: `(num_interactions,)`, in `[0, num_items)`.
        num_items: Number of items.
        max_items_per_user: Keeps of each user only this many items: those with the most users, and
            of equals those with the smaller id.

    Raises:
        ValueError: If the arrays differ in length or an id is out of range.
    """
    from hugraph.graph.kernels import group, turn

    users, items = aligned_indices(user_ids, item_ids, None, num_items)
    num_users = int(users.max(initial=-1)) + 1
    if num_users > 2 * len(users):  # so large ids are names, and are numbered
        active = np.unique(users)
        users, num_users = np.searchsorted(active, users), len(active)
    histories = group(users.astype(np.uint32), items.astype(np.uint32), num_users)
    starts, owning = turn(*histories, num_items)
    owners = Owners(starts, owning, num_users)
    return owners if max_items_per_user is None else _most_popular(owners, max_items_per_user)


def count_pairs(
    owners: Owners,
    *,
    at_least: int = 1,
    max_pairs: int = MAX_PAIRS,
    memory_budget_mb: int = MEMORY_BUDGET_MB,
) -> Iterator[PairCounts]:
    r"""Yields every pair of items with at least `at_least` common users, in a fixed order.

    Items that fewer users have are left out, the others ranked by their number of users. An item is
    counted together with those before it in the histories of its users: popular ones mostly, whose
    counters stay in the cache. Blocks of items run in as many threads as torch uses.

    Args:
        owners: The users of each item.
        at_least: The threshold.
        max_pairs: Refuses histories that hold more pairs of items that are not left out,
            $\sum_u d_u (d_u - 1) / 2$: they are the work to do.
        memory_budget_mb: MiB for the interactions and the blocks.

    Raises:
        DataError: If there are more than `max_pairs` pairs.
        ResourceError: If `memory_budget_mb` does not hold the interactions and one item's pairs.
    """
    from hugraph.graph.kernels import rank_histories

    spare = _spare_bytes(owners, memory_budget_mb) // 2  # the other half is the caller's
    order = _by_popularity(owners)
    order = order[: np.count_nonzero(np.diff(owners.starts) >= at_least)]
    histories, ranks, places, work = rank_histories(
        owners.starts, owners.users, order, owners.num_users
    )
    _check_work(np.diff(histories), max_pairs)
    bounds = np.minimum(work // at_least, np.arange(len(order)))  # of each rank's pairs
    of_thread = _BYTES_PER_BLOCK_PAIR * int(bounds.max(initial=1)) + 4 * len(order)
    num_threads = max(1, min(torch.get_num_threads(), spare // of_thread - 1))
    fitting = spare // (num_threads + 1) // _BYTES_PER_BLOCK_PAIR
    blocks = _cut(bounds, min(fitting, _PAIRS_PER_BLOCK))
    arrays = (owners.starts, owners.users, places, order, histories, ranks)
    return _count(blocks, arrays, bounds, at_least, num_threads)


def pair_capacity(owners: Owners, memory_budget_mb: int) -> int:
    """How many pairs fit into `memory_budget_mb` MiB, with the graph that is made of them."""
    return _spare_bytes(owners, memory_budget_mb) // _BYTES_PER_PAIR


def starts_of(kept: NDArray[np.bool_], starts: NDArray[Any]) -> NDArray[Any]:
    """Says where each list begins when only the entries marked in `kept` are left.

    Args:
        kept: `(num_entries,)`.
        starts: `(num_lists + 1,)`, where they begin before.
    """
    before = np.zeros(len(kept) + 1, starts.dtype)
    np.cumsum(kept, dtype=starts.dtype, out=before[1:])
    return before[starts]


def _count(
    blocks: Iterable[tuple[int, int]],
    arrays: tuple[NDArray[np.integer], ...],
    bounds: NDArray[np.int64],
    at_least: int,
    num_threads: int,
) -> Iterator[PairCounts]:
    from hugraph.graph.kernels import count_block

    def count(begin: int, end: int) -> PairCounts:
        room = int(bounds[begin:end].sum())
        pairs = [np.empty(room, np.uint32) for _ in PairCounts._fields]
        counts = np.zeros(end, np.uint32)
        found = count_block(*arrays, begin, end, at_least, counts, *pairs)
        return PairCounts(*(part[:found].copy() for part in pairs))

    running: deque[Future[PairCounts]] = deque()
    with ThreadPoolExecutor(num_threads) as threads:
        for block in blocks:
            if len(running) == num_threads:
                yield running.popleft().result()
            running.append(threads.submit(count, *block))
        while running:
            yield running.popleft().result()


def _cut(bounds: NDArray[np.int64], limit: int) -> Iterator[tuple[int, int]]:
    """Cuts ranks into ranges whose bounds add up to `limit` at most, or have one rank."""
    ends = np.concatenate([[0], np.cumsum(bounds)])
    begin = 0
    while begin < len(bounds):
        end = int(np.searchsorted(ends, ends[begin] + limit, side="right")) - 1
        end = max(end, begin + 1)
        yield begin, end
        begin = end


def _by_popularity(owners: Owners) -> NDArray[np.uint32]:
    """Orders the items: those with the most users first; of equals, the smaller id."""
    return np.argsort(-np.diff(owners.starts), kind="stable").astype(np.uint32)


def _most_popular(owners: Owners, limit: int) -> Owners:
    from hugraph.graph.kernels import rank_histories

    order = _by_popularity(owners)
    _, _, places, _ = rank_histories(owners.starts, owners.users, order, owners.num_users)
    kept = places < limit
    return Owners(starts_of(kept, owners.starts), owners.users[kept], owners.num_users)


def _check_work(degrees: NDArray[np.int64], max_pairs: int) -> None:
    num_pairs = _num_pairs(degrees)
    if num_pairs <= max_pairs:
        return
    fits, too_many = 1, int(degrees.max())  # one item per user makes no pair
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if _num_pairs(np.minimum(degrees, middle)) <= max_pairs:
            fits = middle
        else:
            too_many = middle
    raise DataError(
        f"the users' histories hold {num_pairs:,} pairs of items, above max_pairs of"
        f" {max_pairs:,}; the heaviest user has {degrees.max():,} items",
        fix=f"set max_items_per_user to {fits} or less, or raise max_pairs",
    )


def _num_pairs(degrees: NDArray[np.int64]) -> int:
    return int((degrees * (degrees - 1) // 2).sum())


def _spare_bytes(owners: Owners, memory_budget_mb: int) -> int:
    num_interactions, num_items = len(owners.users), len(owners.starts) - 1
    held = (
        _BYTES_PER_INTERACTION * num_interactions
        + _BYTES_PER_ITEM * num_items
        + _BYTES_PER_USER * owners.num_users
    )
    one_item = 4 * _BYTES_PER_BLOCK_PAIR * num_items
    needed_mb = -(-(held + one_item) // 2**20)
    if needed_mb > memory_budget_mb:
        raise ResourceError(
            f"{num_interactions:,} interactions with {num_items:,} items need at least"
            f" {needed_mb:,} MiB for their co-interaction graph, above memory_budget_mb of"
            f" {memory_budget_mb:,}",
            fix=f"raise memory_budget_mb to {4 * needed_mb:,}",
        )
    return memory_budget_mb * 2**20 - held
