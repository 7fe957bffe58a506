"""The loops of graph building; whoever imports them waits for numba to be loaded.

Indices are unsigned: whether a signed one is negative numba tests each time, at twice the cost. No
loop tests that an index is in range: whoever calls has done so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hugraph.compiled import compiled

Ids = NDArray[np.uint32]
Starts = NDArray[np.int64]  # where the list of each key begins, and at last where all of them end
Weights = NDArray[np.float32]

_NOBODY = np.uint32(2**32 - 1)


@compiled("Tuple((i8[::1], u4[::1]))(u4[::1], u4[::1], i8)")
def group(keys: Ids, values: Ids, num_keys: int) -> tuple[Starts, Ids]:
    """Lists the values of each key, in the order in which they are given."""
    starts = np.zeros(num_keys + 1, np.int64)
    for key in keys:
        starts[np.uint64(key) + np.uint64(1)] += 1
    for key in range(num_keys):
        starts[key + 1] += starts[key]
    free = starts[:-1].copy()
    grouped = np.empty(len(values), np.uint32)
    for entry in range(len(keys)):
        key = keys[entry]
        grouped[np.uint64(free[key])] = values[entry]
        free[key] += 1
    return starts, grouped


@compiled("Tuple((i8[::1], u4[::1]))(i8[::1], u4[::1], i8)")
def turn(starts: Starts, lists: Ids, num_values: int) -> tuple[Starts, Ids]:
    """Lists the keys of each value: every key once, in ascending order."""
    turned_starts = np.zeros(num_values + 1, np.int64)
    last = np.full(num_values, _NOBODY)
    for key in range(len(starts) - 1):
        for entry in range(np.uint64(starts[key]), np.uint64(starts[key + 1])):
            value = lists[entry]
            if last[value] != key:
                last[value] = key
                turned_starts[np.uint64(value) + np.uint64(1)] += 1
    for value in range(num_values):
        turned_starts[value + 1] += turned_starts[value]
    free = turned_starts[:-1].copy()
    turned = np.empty(turned_starts[-1], np.uint32)
    last[:] = _NOBODY
    for key in range(len(starts) - 1):
        for entry in range(np.uint64(starts[key]), np.uint64(starts[key + 1])):
            value = lists[entry]
            if last[value] != key:
                last[value] = key
                turned[np.uint64(free[value])] = key
                free[value] += 1
    return turned_starts, turned


@compiled("Tuple((i8[::1], u4[::1], u4[::1], i8[::1]))(i8[::1], u4[::1], u4[::1], i8)")
def rank_histories(
    starts: Starts, users: Ids, order: Ids, num_users: int
) -> tuple[Starts, Ids, Ids, NDArray[np.int64]]:
    """Lists the ranks of each user's items in ascending order.

    Args:
        starts: `(num_items + 1,)`, of the users of each item.
        users: `(num_interactions,)`.
        order: `(num_ranks,)`, the item of each rank; others are left out.
        num_users: Number of users.

    Returns:
        `(num_users + 1,)` starts, and the ranks `(num_ranked,)`; `(num_interactions,)` at which
        place in its user's list the rank of each entry of `users` lies; `(num_ranks,)` the sum of
        these places over the users of each rank: how many times an item comes before it.
    """
    user_starts = np.zeros(num_users + 1, np.int64)
    for item in order:
        for entry in range(np.uint64(starts[item]), np.uint64(starts[item + np.uint64(1)])):
            user_starts[np.uint64(users[entry]) + np.uint64(1)] += 1
    for user in range(num_users):
        user_starts[user + 1] += user_starts[user]
    ranks = np.empty(user_starts[-1], np.uint32)
    places = np.empty(len(users), np.uint32)
    work = np.zeros(len(order), np.int64)
    length = np.zeros(num_users, np.uint32)
    for rank in range(len(order)):
        item = np.uint64(order[rank])
        for entry in range(np.uint64(starts[item]), np.uint64(starts[item + np.uint64(1)])):
            user = users[entry]
            place = length[user]
            length[user] = place + np.uint32(1)
            ranks[np.uint64(user_starts[user]) + place] = rank
            places[entry] = place
            work[rank] += place
    return user_starts, ranks, places, work


@compiled(
    "u8(i8[::1], u4[::1], u4[::1], u4[::1], i8[::1], u4[::1], i8, i8, u4,"
    " u4[::1], u4[::1], u4[::1], u4[::1])"
)
def count_block(
    starts: Starts,
    users: Ids,
    places: Ids,
    order: Ids,
    user_starts: Starts,
    ranks: Ids,
    begin: int,
    end: int,
    at_least: int,
    counts: Ids,
    first: Ids,
    second: Ids,
    common: Ids,
) -> np.uint64:
    """Counts the common users of each rank in `[begin, end)` with every rank before it.

    Gustavson's product of two sparse matrices, of which only the lower triangle is made and only
    what reaches the threshold is kept. A counter is never set back: what is at most `floor` is left
    from an earlier rank, and counts as zero.

    Args:
        starts: As for `rank_histories`.
        users: As for `rank_histories`.
        places: As `rank_histories` gives them.
        order: As for `rank_histories`.
        user_starts: As `rank_histories` gives them.
        ranks: As `rank_histories` gives them.
        begin: First rank of the block.
        end: The rank after its last.
        at_least: The threshold.
        counts: `(end,)` zeros, to count in.
        first: Room for the item of each pair with the smaller id.
        second: Room for the other item.
        common: Room for the number of their users.

    Returns:
        The number of pairs.
    """
    num_pairs = np.uint64(0)
    floor = np.uint32(0)
    for rank in range(np.uint64(begin), np.uint64(end)):
        item = order[rank]
        begin_users = np.uint64(starts[item])
        end_users = np.uint64(starts[np.uint64(item) + np.uint64(1)])
        reached = np.uint32(floor + at_least)
        num_before = num_pairs
        for entry in range(begin_users, end_users):
            history = np.uint64(user_starts[users[entry]])
            for place in range(history, history + places[entry]):
                other = ranks[place]
                count = np.uint32(max(counts[other], floor) + np.uint32(1))
                counts[other] = count
                if count == reached:
                    second[num_pairs] = other
                    num_pairs += np.uint64(1)
        for pair in range(num_before, num_pairs):
            common[pair] = counts[second[pair]] - floor
            other_item = order[second[pair]]
            first[pair] = min(item, other_item)
            second[pair] = max(item, other_item)
        floor = np.uint32(floor + np.uint32(end_users - begin_users))
    return num_pairs


@compiled("void(u4[::1], u4[::1], i8[::1])")
def add_degrees(first: Ids, second: Ids, degrees: NDArray[np.int64]) -> None:
    """Adds the number of pairs that each node is in."""
    for pair in range(len(first)):
        degrees[first[pair]] += 1
        degrees[second[pair]] += 1


@compiled("void(u4[::1], u4[::1], f4[::1], i8[::1], u4[::1], f4[::1])")
def add_neighbors(
    first: Ids,
    second: Ids,
    weights: Weights,
    free: NDArray[np.int64],
    neighbors: Ids,
    weights_out: Weights,
) -> None:
    """Puts both ends of each pair into the other's list, at `free`; without weights if none."""
    for pair in range(len(first)):
        here, there = first[pair], second[pair]
        slot, back = np.uint64(free[here]), np.uint64(free[there])
        free[here] += 1
        free[there] += 1
        neighbors[slot] = there
        neighbors[back] = here
        if len(weights):
            weights_out[slot] = weights[pair]
            weights_out[back] = weights[pair]


@compiled("Tuple((u4[::1], f4[::1]))(i8[::1], u4[::1], f4[::1])")
def sort_symmetric(starts: Starts, neighbors: Ids, weights: Weights) -> tuple[Ids, Weights]:
    """Sorts each list of a symmetric graph, by turning it around."""
    free = starts[:-1].copy()
    sorted_columns = np.empty_like(neighbors)
    sorted_weights = np.empty_like(weights)
    for node in range(len(starts) - 1):
        for entry in range(np.uint64(starts[node]), np.uint64(starts[node + 1])):
            other = neighbors[entry]
            slot = np.uint64(free[other])
            free[other] += 1
            sorted_columns[slot] = node
            if len(weights):
                sorted_weights[slot] = weights[entry]
    return sorted_columns, sorted_weights
