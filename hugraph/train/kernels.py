"""The loop of ranking on a CPU; whoever imports it waits for numba to be loaded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hugraph.compiled import compiled

# Scores that are compared before any is looked at by itself. Unsigned, because numba asks of every
# signed index whether it is negative, and then compares one score at a time. Their count is cut to
# 32 bits again at every step, because numba adds in 64, of which half as many fit a register.
_GLANCE = np.uint64(64)


@compiled("void(f4[:, ::1], i8, i8[::1], i8[::1], i8[::1], f4, i8[:, ::1], f4[:, ::1])")
def take_in(
    scores: NDArray[np.float32],
    first: int,
    seen: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    seen_score: float,
    best_items: NDArray[np.int64],
    best_scores: NDArray[np.float32],
) -> None:
    """Puts those of a tile into the lists, in place, that belong there.

    Of equal scores the earlier item stands first, and wins the last place.

    Args:
        scores: `(users, columns)`, none NaN; overwritten where an item was seen.
        first: The item of the first column; the lists hold earlier ones only.
        seen: Items; those from `first` on that a user has seen ascend from `starts` to `stops`.
        starts: `(users,)`; moved behind the items of this tile.
        stops: `(users,)`.
        seen_score: What a seen item is given.
        best_items: `(users, k)`.
        best_scores: `(users, k)`, descending.
    """
    num_rows, num_columns = scores.shape
    last = best_scores.shape[1] - 1
    for row in range(num_rows):
        line = scores[row]
        while starts[row] < stops[row] and seen[starts[row]] < first + num_columns:
            line[seen[starts[row]] - first] = seen_score
            starts[row] += 1
        cut = best_scores[row, last]
        for start in range(np.uint64(0), np.uint64(num_columns), _GLANCE):
            stop = min(start + _GLANCE, np.uint64(num_columns))
            if stop - start == _GLANCE:
                above = np.uint32(0)
                for offset in range(_GLANCE):
                    above = np.uint32(above + np.uint32(line[start + offset] > cut))
                if above == 0:
                    continue
            for column in range(start, stop):
                score = line[column]
                if score > cut:
                    place = last
                    while place > 0 and best_scores[row, place - 1] < score:
                        best_scores[row, place] = best_scores[row, place - 1]
                        best_items[row, place] = best_items[row, place - 1]
                        place -= 1
                    best_scores[row, place] = score
                    best_items[row, place] = first + np.int64(column)
                    cut = best_scores[row, last]
