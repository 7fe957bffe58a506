import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hugraph.report.intents import Intent, IntentLevel, Link
from hugraph.report.tree import in_order, intent_tree, telling


def level(number, sizes, parents=None, information=0.5, num_items=100):
    """A level whose intents have these soft sizes, and these weights of their parents."""
    intents = tuple(
        Intent(
            modality="visual",
            level=number,
            index=index,
            name=f"{number}.{index}",
            named_by="terms",
            keywords=(),
            typical=(),
            used=size * num_items >= 1,
            soft_size=float(size),
            hard_size=num_items if index == 0 else 0,
            taste=None,
            popularity=0.0,
            chance=0.0,
            coherence=float("nan"),
            parents=tuple(
                Link(int(above), float(parents[index][above]))
                for above in np.argsort(-np.asarray(parents[index]), kind="stable")
            )
            if parents is not None
            else (),
            children=(),
            overlap=(),
            lifts=(),
        )
        for index, size in enumerate(sizes)
    )
    return IntentLevel("visual", number, intents, 0.5, information, 0.0, 0.0, {})


def names(branches):
    return {one.intent.name: names(one.children) for one in branches}


FINE = level(1, [0.1, 0.4, 0.2, 0.3], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
COARSE = level(2, [0.45, 0.55])


def test_an_intent_hangs_under_its_strongest_parent_the_largest_first():
    branches = intent_tree([FINE, COARSE])
    assert names(branches) == {"2.1": {"1.1": {}, "1.3": {}}, "2.0": {"1.2": {}, "1.0": {}}}
    assert [*names(branches)] == ["2.1", "2.0"]
    assert [child.weight for child in branches[0].children] == [0.8, 0.7]
    assert in_order(branches) == [[1, 3, 2, 0], [1, 0]]


def test_intents_without_items_are_left_out_but_not_above_those_that_have_some():
    fine = level(1, [0.5, 0.5, 0.0], [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    coarse = level(2, [1.0, 0.001, 0.0])
    assert names(intent_tree([fine, coarse])) == {"2.0": {"1.0": {}}, "2.1": {"1.1": {}}}


def test_levels_that_say_nothing_of_an_item_are_left_out_but_for_the_finest():
    dull = dataclasses.replace(COARSE, information=0.001)
    assert names(intent_tree([FINE, dull])) == {"1.1": {}, "1.3": {}, "1.2": {}, "1.0": {}}
    assert telling([FINE, dull]) == (FINE,)
    blurred = dataclasses.replace(FINE, information=0.0)
    assert telling([blurred, dull]) == (blurred,)
    assert telling([blurred, COARSE]) == (blurred, COARSE)


@given(st.integers(1, 6), st.integers(1, 4), st.randoms())
def test_every_intent_with_items_is_in_the_tree_once(num_fine, num_coarse, random):
    rng = np.random.default_rng(random.randrange(2**32))
    step = rng.dirichlet(np.ones(num_coarse), num_fine)
    sizes = rng.dirichlet(np.ones(num_fine))
    order = in_order(intent_tree([level(1, sizes, step), level(2, sizes @ step)]))
    assert sorted(order[0]) == [k for k in range(num_fine) if sizes[k] * 100 >= 1]
    assert len(set(order[1])) == len(order[1])


def test_no_intents_have_no_order():
    assert in_order([]) == []
    assert intent_tree([]) == ()
