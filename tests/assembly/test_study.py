import math

import pytest

from hugraph.assembly.space import Space
from hugraph.assembly.study import Fit, Study
from hugraph.errors import ResourceError, RunError

GRID = Space.parse(["a=[1, 2, 3]", "b=[x, y]"])
RANGES = Space.parse(["c=[x, y]"], ["a=[1, 64, log]", "b=[1e-4, 1e-1, log]"])


def study(directory, space=GRID, search="grid"):
    return Study(directory, space, search=search, seed=0, warm_up=2)


def end_all(one, most):
    """Ends trials until there are none left; gives their points in order."""
    points = []
    while True:
        with one.claim(most) as claim:
            if claim is None:
                return points
            points.append(claim.point)
            one.complete(claim, [Fit(0, claim.number / 100, 3, 1.5)])


def test_a_grid_is_every_combination_once(tmp_path):
    points = end_all(study(tmp_path / "s"), 6)
    by_key = lambda point: sorted(point.items())
    assert sorted(points, key=by_key) == sorted(GRID.points(), key=by_key)
    assert end_all(study(tmp_path / "s"), 6) == []


@pytest.mark.parametrize(
    ("space", "most"),
    [
        (Space.parse(["a=[1, 2, 3, 4]", "b=[x, y, z, w]", "c=[true]"]), 16),
        (Space.parse(["a=[x, y]"], ["b=[1, 6]"]), 12),
        (Space.parse(["a=[x]"]), 1),
    ],
)
def test_a_search_tries_no_point_twice_until_all_are_known(tmp_path, space, most):
    points = end_all(study(tmp_path / "s", space, "tpe"), most)
    assert len({tuple(point.values()) for point in points}) == space.size == most


def test_a_search_tries_no_point_that_is_worked_on_or_was_given_up(tmp_path):
    space = Space.parse(["a=[1, 2, 3]"])
    one, other = (study(tmp_path / "s", space, "tpe") for _ in range(2))
    with one.claim(3) as first:
        with other.claim(3) as second:
            other.fail(second, "diverged")
        with other.claim(3) as third:
            other.prune(third, "too low")
    assert {claim.point["a"] for claim in (first, second, third)} == {"1", "2", "3"}
    with other.claim(3) as again:
        assert again.point == first.point


def test_a_trial_that_is_left_is_gone_on_with_before_a_new_one(tmp_path):
    one, other = study(tmp_path / "s"), study(tmp_path / "s")
    with one.claim(6) as left:
        with other.claim(6) as second:
            assert second.number != left.number and second.point != left.point
            other.complete(second, [Fit(0, 0.5, 3, 1.5)])
        assert [trial.state for trial in one.trials()] == ["running", "complete"]
    with other.claim(6) as again:
        assert (again.number, again.point) == (left.number, left.point)
    with one.claim(2) as last:
        assert last.number == left.number
        with other.claim(2) as none:
            assert none is None


def test_a_trial_says_how_it_ended(tmp_path):
    one = study(tmp_path / "s")
    fits = (Fit(0, 0.25, 3, 1.5), Fit(1, 0.5, 4, 2.5))
    with one.claim(6) as complete:
        one.complete(complete, fits)
    with one.claim(6) as failed:
        one.fail(failed, "diverged")
    with one.claim(6) as pruned:
        one.prune(pruned, "too low")
    trials = study(tmp_path / "s").trials()
    assert [(one.state, one.value, one.fits, one.reason) for one in trials] == [
        ("complete", 0.375, fits, None),
        ("failed", None, (), "diverged"),
        ("pruned", None, (), "too low"),
    ]
    assert [trial.point for trial in trials] == [complete.point, failed.point, pruned.point]


def test_numbers_are_drawn_within_their_ranges_the_same_whoever_draws_them(tmp_path):
    whole = end_all(study(tmp_path / "whole", RANGES, "tpe"), 6)
    parts = end_all(study(tmp_path / "parts", RANGES, "tpe"), 3)
    parts += end_all(study(tmp_path / "parts", RANGES, "tpe"), 6)
    assert parts == whole
    assert all(1 <= int(point["a"]) <= 64 for point in whole)
    assert all(1e-4 <= float(point["b"]) <= 1e-1 for point in whole)
    assert {point["c"] for point in whole} == {"x", "y"}
    assert len({point["b"] for point in whole}) == 6
    logs = [math.log10(float(point["b"])) for point in whole]
    assert min(logs) < -3 and max(logs) > -2  # evenly by the logarithm, not by the number


def test_a_trial_is_hopeless_below_the_median_of_others_once_it_has_had_time(tmp_path):
    one = study(tmp_path / "s")
    for height in (0.1, 0.2, 0.3, 0.4, 0.5):
        with one.claim(6) as claim:
            assert not any(one.hopeless(claim, epoch, height) for epoch in (1, 2, 3))
            one.complete(claim, [Fit(0, height, 3, 1.5)])
    with one.claim(6) as claim:
        assert [one.hopeless(claim, epoch, 0.29) for epoch in (1, 2)] == [False, True]
        assert not one.hopeless(claim, 3, 0.31)


def test_what_was_recorded_first_holds(tmp_path):
    study(tmp_path / "s").keep({"a": {"b": 1, "c": [1]}})
    study(tmp_path / "s").keep({"a": {"b": 1, "c": [1]}})
    with pytest.raises(RunError, match=r"\(a\.b: 1 -> 2; a\.d: None -> 'x'\)"):
        study(tmp_path / "s").keep({"a": {"b": 2, "c": [1], "d": "x"}})


def test_the_directory_may_have_any_name(tmp_path):
    path = tmp_path / "a b?c=d#e%20{f};ä"
    end_all(study(path), 1)
    assert (path / "study.db").stat().st_size
    assert len(study(path).trials()) == 1


def test_a_directory_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(RunError, match=r"no sweep \(notes\)"):
        study(tmp_path)
    with pytest.raises(RunError, match="notes is a file"):
        study(tmp_path / "notes")
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_damaged_database_is_named(tmp_path):
    end_all(study(tmp_path / "s"), 1)
    (tmp_path / "s" / "study.db").write_text("no database")
    with pytest.raises(RunError, match=r"study\.db cannot be used \(file is not a database\)"):
        study(tmp_path / "s")


def test_a_database_that_cannot_be_written_is_a_matter_of_the_system(tmp_path):
    (tmp_path / "s" / "study.db").mkdir(parents=True)
    with pytest.raises(ResourceError, match=r"study\.db cannot be used"):
        study(tmp_path / "s")


def test_optuna_says_nothing(tmp_path, capfd):
    end_all(study(tmp_path / "s"), 6)
    end_all(study(tmp_path / "s"), 6)
    assert capfd.readouterr() == ("", "")
