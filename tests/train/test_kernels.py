import numpy as np

from hugraph.train.kernels import take_in

INF = float("inf")


def test_two_tiles_are_taken_into_lists_worked_by_hand():
    items, scores = np.full((2, 2), -1), np.full((2, 2), -INF, np.float32)
    seen = np.array([9, 1, 5, 8])  # the first user has seen 1, the second one 5 and 8
    starts, stops = np.array([1, 2]), np.array([2, 4])
    first = np.array([[1, 3, 2], [5, 5, 5]], np.float32)
    take_in(first, 0, seen, starts, stops, -INF, items, scores)
    assert items.tolist() == [[2, 0], [0, 1]] and scores.tolist() == [[2, 1], [5, 5]]
    second = np.array([[1, 2, 0], [5, 6, 9]], np.float32)
    take_in(second, 3, seen, starts, stops, 0.5, items, scores)
    assert items.tolist() == [[2, 4], [4, 0]] and scores.tolist() == [[2, 2], [6, 5]]
    assert starts.tolist() == [2, 3]


def test_what_stands_behind_many_low_scores_is_found_at_each_place():
    nothing = np.zeros(1, np.int64)
    for place in (0, 63, 64, 127, 128, 129):
        scores = np.zeros((1, 130), np.float32)
        scores[0, place] = 1
        items, best = np.array([[700]]), np.array([[0.5]], np.float32)
        take_in(scores, 1000, nothing, nothing[:1], nothing[:1], -INF, items, best)
        assert items.tolist() == [[1000 + place]] and best.tolist() == [[1]]
