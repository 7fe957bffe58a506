import pytest

from hugraph.assembly.space import Range, Space
from hugraph.errors import SpecError


def test_choices_are_the_texts_that_an_override_would_have():
    space = Space.parse(["a.b=[1e-4, 0.50, x, '1', null, [2, 1], {component: y, z: 1}]"])
    texts = ("0.0001", "0.5", "x", "'1'", "null", "[2, 1]", "{component: y, z: 1}")
    assert space.choices == {"a.b": texts}


def test_a_range_is_of_integers_if_both_ends_are():
    space = Space.parse(ranges=["a=[1, 8, log]", "b=[1, 8.5]", "c=[1e-4, 1]"])
    assert space.ranges == {
        "a": Range(1, 8, log=True),
        "b": Range(1.0, 8.5),
        "c": Range(1e-4, 1.0),
    }
    assert [type(end) for r in space.ranges.values() for end in (r.low, r.high)] == [
        *[int] * 2,
        *[float] * 4,
    ]


def test_the_points_of_a_grid_are_all_combinations():
    space = Space.parse(["a=[1, 2]", "b=[x, y]"])
    assert len(space) == 4
    assert list(space.points()) == [
        {"a": "1", "b": "x"},
        {"a": "1", "b": "y"},
        {"a": "2", "b": "x"},
        {"a": "2", "b": "y"},
    ]


def test_points_are_counted_where_they_can_be():
    assert Space.parse(["a=[1, 2]", "b=[x, y, z]"]).size == 6
    assert Space.parse(["a=[1, 2]"], ["b=[3, 6]", "c=[1, 2, log]"]).size == 16
    assert Space.parse(["a=[1, 2]"], ["b=[3, 6.0]", "c=[1, 2]"]).size is None


def test_a_star_changes_one_key_at_a_time_and_has_both_ends_of_a_range():
    space = Space.parse(["a=[1, 2, 3]"], ["b=[0.5, 1.5]"])
    assert list(space.star()) == [
        {"a": "1", "b": "0.5"},
        {"a": "2", "b": "0.5"},
        {"a": "3", "b": "0.5"},
        {"a": "1", "b": "1.5"},
    ]


@pytest.mark.parametrize(
    ("grid", "ranges", "what", "at"),
    [
        ([], [], "nothing to vary", None),
        (["a"], [], "'a' is not of the form", "--grid 'a'"),
        (["a..b=[1]"], [], "is not of the form", "--grid 'a..b=[1]'"),
        (["a=[]"], [], "expected a list of choices, got an empty one", "--grid 'a=[]'"),
        (["a=1"], [], "expected a list of choices, got integer 1", "--grid 'a=1'"),
        (["a=[1, 2, 1]"], [], "a lists a choice twice", "--grid 'a=[1, 2, 1]'"),
        (["a=[1"], [], "not valid YAML", "--grid 'a=[1'"),
        (["a=[1]"], ["a=[1, 2]"], "a is varied twice", "--range 'a=[1, 2]'"),
        ([], ["a=[1]"], "expected two ends, and perhaps log", "--range 'a=[1]'"),
        ([], ["a=3"], "expected two ends, and perhaps log", "--range 'a=3'"),
        ([], ["a=[1, 2, ln]"], "expected two ends, and perhaps log", "--range 'a=[1, 2, ln]'"),
        ([], ["a=[true, 2]"], "expected two ends, and perhaps log", "--range 'a=[true, 2]'"),
        ([], ["a=[2, 1]"], "expected lower < upper end", "--range 'a=[2, 1]'"),
        ([], ["a=[0, 1, log]"], "expected 0 < lower < upper end", "--range 'a=[0, 1, log]'"),
        ([], ["a=[0, .inf]"], "expected lower < upper end", "--range 'a=[0, .inf]'"),
        ([], ["a=[.nan, 1]"], "expected lower < upper end", "--range 'a=[.nan, 1]'"),
    ],
)
def test_what_cannot_be_varied_is_refused_where_it_stands(grid, ranges, what, at):
    with pytest.raises(SpecError) as caught:
        Space.parse(grid, ranges)
    (problem,) = caught.value.problems
    assert what in problem.what
    assert problem.at == at


def test_a_list_is_written_out_for_who_gave_none():
    for given, meant in (("1e-3,1e-2", "[1e-3,1e-2]"), ("3", "[3]"), ("[]", "[1, 2]")):
        with pytest.raises(SpecError) as caught:
            Space.parse([f"a={given}"])
        assert caught.value.problems[0].fix == f"for example 'a={meant}'"


def test_all_faults_are_found_at_once():
    with pytest.raises(SpecError, match="3 faults") as caught:
        Space.parse(["a=[]", "b=[1]", "b=[2]"], ["c=[1]"])
    assert len(caught.value.problems) == 3
