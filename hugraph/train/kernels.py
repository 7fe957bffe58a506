"""The loop of ranking on a CPU; whoever imports it waits for numba to be loaded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hugraph.compiled import compiled

_GLANCE = 64  # scores that are compared at once, before any is looked at by itself


@compiled("void(f4[:, ::1], i8, i8[::1], i8[::1], f4, i8[:, ::1], f4[:, ::1])")
def take_in(
    scores: NDArray[np.float32],
    first: int,
    rows: NDArray[np.int64],
    seen: NDArray[np.int64],
    seen_score: float,
    best_items: NDArray[np.int64],
    best_scores: NDArray[np.float32],
) -> None:
    """Puts those of a tile into the lists, in place, that belong there.

    Of equal scores the earlier item stands first, and wins the last place.

    Args:
        scores: `(users, columns)`, none NaN; overwritten where an item was seen.
        first: The item of the first column; the lists hold earlier ones only.
        rows: `(n,)`, where an item was seen: the user's row.
        seen: `(n,)`, and the item, which is one of the tile.
        seen_score: What it is given there.
        best_items: `(users, k)`.
        best_scores: `(users, k)`, descending.
    """
    for entry in range(len(rows)):
        scores[rows[entry], seen[entry] - first] = seen_score
    num_rows, num_columns = scores.shape
    last = best_scores.shape[1] - 1
    for row in range(num_rows):
        cut = best_scores[row, last]
        for start in range(0, num_columns, _GLANCE):
            stop = min(start + _GLANCE, num_columns)
            above = np.int32(0)
            for column in range(start, stop):
                above += np.int32(scores[row, column] > cut)
            if above == 0:
                continue
            for column in range(start, stop):
                score = scores[row, column]
                if score > cut:
                    place = last
                    while place > 0 and best_scores[row, place - 1] < score:
                        best_scores[row, place] = best_scores[row, place - 1]
                        best_items[row, place] = best_items[row, place - 1]
                        place -= 1
                    best_scores[row, place] = score
                    best_items[row, place] = first + column
                    cut = best_scores[row, last]
