import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hugraph.graph import CoInteractionGraphBuilder, co_interaction_histogram, edge_estimate
from hugraph.graph.edge_estimate import EdgeEstimate, estimate_edges

# Users 0, 1, 2 have items 0 and 1; users 1, 2 have item 2 as well; user 3 has item 3 alone.
USERS = np.array([0, 0, 1, 1, 1, 2, 2, 2, 3])
ITEMS = np.array([0, 1, 0, 1, 2, 0, 1, 2, 3])


class Start:
    """Stands for a generator that draws one number."""

    def __init__(self, start):
        self.start = start

    def integers(self, step):
        assert self.start < step
        return self.start


@st.composite
def histories(draw):
    num_items = draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    has = rng.random((draw(st.integers(1, 12)), num_items)) < draw(st.sampled_from([0.2, 0.6]))
    has[0, 0] = True
    users, items = has.nonzero()
    return users, items, num_items


def test_edges_are_counted_where_that_is_little_work():
    assert estimate_edges(USERS, ITEMS, 5, min_common_users=2) == EdgeEstimate(3, 3, 3)
    assert estimate_edges(USERS, ITEMS, 5, min_common_users=3) == EdgeEstimate(1, 2, 2)
    assert estimate_edges(USERS, ITEMS, 5, min_common_users=4) == EdgeEstimate(0, 0, 0)


@given(histories(), st.integers(1, 3))
def test_all_edges_are_counted_without_a_bound_on_work(history, threshold):
    counted = estimate_edges(*history, min_common_users=threshold).edges
    assert counted == co_interaction_histogram(*history, [threshold])[threshold]


@settings(max_examples=40)
@given(histories(), st.integers(1, 3), st.integers(4, 30))
def test_the_mean_over_all_samples_is_the_number_of_edges(history, threshold, max_work):
    found = []
    for start in range(max(1, -(-work_of(history, threshold) // max_work))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(edge_estimate, "stream", lambda *_, start=start: Start(start))
            options = {"min_common_users": threshold, "max_work": max_work}
            found.append(estimate_edges(*history, **options).edges)
    edges = co_interaction_histogram(*history, [threshold])[threshold]
    assert edges - 0.5 <= np.mean(found) <= edges  # half of an odd number is rounded down


def work_of(history, threshold):
    users, items, num_items = history
    degrees = np.bincount(users)
    able = np.bincount(items, minlength=num_items) >= threshold
    return int(degrees[users][able[items]].sum())


@given(histories(), st.integers(1, 3), st.integers(1, 3))
def test_with_a_limit_of_neighbors_it_is_no_less_than_the_graph_has(history, threshold, limit):
    options = {"min_common_users": threshold, "max_neighbors": limit}
    if co_interaction_histogram(*history, [threshold])[threshold]:
        graph = CoInteractionGraphBuilder(**options).build(*history)
        assert estimate_edges(*history, **options).edges >= graph.num_edges() / 2


def test_heavy_users_are_cut_as_for_the_graph():
    options = {"min_common_users": 2, "max_items_per_user": 2}
    graph = CoInteractionGraphBuilder(**options).build(USERS, ITEMS, 5)
    assert estimate_edges(USERS, ITEMS, 5, **options).edges == graph.num_edges() / 2


def test_an_item_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"item_ids must lie in \[0, 3\)|\[0, 3\)"):
        estimate_edges(USERS, ITEMS, 3)
