import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from hugraph.report.statistics import holm, paired_test

EIGHTHS = st.integers(0, 8).map(lambda n: n / 8)  # whose sums are exact


def pairs(max_users):
    return st.lists(st.tuples(EIGHTHS, EIGHTHS), min_size=1, max_size=max_users).map(
        lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True))
    )


def test_four_users_worked_by_hand():
    test = paired_test([1 / 8, 2 / 8, 3 / 8, 0], [0, 0, 0, 2 / 8])
    # differences 1, 2, 3, -2 eighths: mean 1, squared deviations 0 + 1 + 4 + 9 = 14
    assert test.difference == 1 / 8
    assert_allclose(test.effect_size, 1 / math.sqrt(14 / 3))
    t = 2 / math.sqrt(14 / 3)  # of 3 degrees of freedom, whose distribution has a closed form
    cdf = 1 / 2 + (t / math.sqrt(3) / (1 + t**2 / 3) + math.atan(t / math.sqrt(3))) / math.pi
    assert_allclose(test.t_p, 2 * (1 - cdf))
    # ranks 1, 2.5, 4 against 2.5: of 16 assignments of signs, {}, {1}, {2.5}, {2.5} are as rare
    assert_allclose(test.wilcoxon_p, 2 * 4 / 16)
    assert (test.wins, test.ties, test.losses) == (3, 0, 1)


def test_the_interval_of_three_users_is_worked_by_hand():
    # The mean of a resample is 1 with chance 1/27 and 0 with chance 8/27, both above 2.5 %.
    assert paired_test([1, 0, 0], [0, 0, 0]).interval == (0, 1)
    assert paired_test([0, 0, 0], [1, 0, 0]).interval == (-1, 0)


def test_the_interval_of_many_users_is_the_normal_one():
    one, other = np.random.default_rng(1).random((2, 5000))
    gains = one - other
    half = 1.959964 * gains.std() / math.sqrt(5000)
    low, high = paired_test(one, other).interval
    assert_allclose([low, high], [gains.mean() - half, gains.mean() + half], atol=0.06 * half)


def test_the_resamples_depend_on_the_seed_alone():
    one, other = np.random.default_rng(2).random((2, 50))
    assert paired_test(one, other, seed=3) == paired_test(one, other, seed=3)
    assert paired_test(one, other, seed=3).interval != paired_test(one, other, seed=4).interval


@given(pairs(8))
@settings(max_examples=40)
def test_signed_ranks_of_few_users_agree_with_every_assignment_of_signs(scores):
    gains = [gain for gain in scores[0] - scores[1] if gain]
    sizes = sorted(map(abs, gains))
    ranks = [np.mean([i for i, s in enumerate(sizes, 1) if s == abs(gain)]) for gain in gains]
    observed = sum(rank for rank, gain in zip(ranks, gains, strict=True) if gain > 0)
    sums = [np.dot(signs, ranks) for signs in product((0, 1), repeat=len(ranks))]
    tails = np.mean([s <= observed for s in sums]), np.mean([s >= observed for s in sums])
    assert_allclose(paired_test(*scores).wilcoxon_p, min(1, 2 * min(tails)))


@pytest.mark.parametrize("num_users", [2, 20, 300])
def test_p_values_are_those_of_scipy(num_users):
    one, other = np.random.default_rng(num_users).random((2, num_users))
    test = paired_test(one, other)
    assert_allclose(test.t_p, stats.ttest_rel(one, other).pvalue)
    assert_allclose(test.wilcoxon_p, stats.wilcoxon(one, other).pvalue)


@given(pairs(30))
@settings(max_examples=40)
def test_swapping_the_two_mirrors_everything_and_keeps_the_p_values(scores):
    one, other = scores
    here, there = paired_test(one, other), paired_test(other, one)
    low, high = there.interval
    assert_allclose(here.difference, -there.difference)
    assert_allclose(here.interval, (-high, -low), atol=1e-15)
    assert_allclose(here.effect_size, -there.effect_size)
    assert_allclose([here.t_p, here.wilcoxon_p], [there.t_p, there.wilcoxon_p])
    assert (here.wins, here.ties, here.losses) == (there.losses, there.ties, there.wins)
    assert here.wins + here.ties + here.losses == len(one)


@pytest.mark.parametrize("num_users", [1, 2, 60])
def test_where_no_user_differs_there_is_no_evidence(num_users):
    test = paired_test(np.full(num_users, 0.3), np.full(num_users, 0.3))
    assert (test.difference, test.effect_size, test.t_p, test.wilcoxon_p) == (0, 0, 1, 1)
    assert (test.wins, test.ties, test.losses) == (0, num_users, 0)
    assert test.interval == ((-math.inf, math.inf) if num_users == 1 else (0, 0))


@pytest.mark.parametrize("num_users", [2, 60])
@pytest.mark.parametrize("sign", [1, -1])
def test_where_all_users_differ_by_the_same_the_effect_is_without_bound(num_users, sign):
    test = paired_test(np.full(num_users, sign * 0.1), np.zeros(num_users))
    assert (test.effect_size, test.t_p) == (sign * math.inf, 0)
    assert_allclose((test.difference, *test.interval), sign * 0.1)
    assert_allclose(test.wilcoxon_p, 0.5 if num_users == 2 else 0, atol=1e-12)


def test_one_user_is_no_evidence():
    test = paired_test([0.9], [0.1])
    assert (test.t_p, test.wilcoxon_p, test.interval) == (1, 1, (-math.inf, math.inf))
    assert (test.wins, test.ties, test.losses) == (1, 0, 0)


def test_the_rounding_of_a_mean_makes_no_winner():
    one, other = [(0.1 + 0.2 + 0.3) / 3], [(0.3 + 0.2 + 0.1) / 3]
    assert one != other
    assert paired_test(one, other).ties == 1


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ([0.1, 0.2], [0.1], r"scores are of the same users, got \(2,\) and \(1,\)"),
        ([], [], r"same users, got \(0,\)"),
        ([[0.1]], [[0.1]], r"got \(1, 1\)"),
        ([math.nan, 0], [0, 0], "scores are finite"),
    ],
)
def test_scores_that_cannot_be_paired_are_refused(one, other, message):
    with pytest.raises(ValueError, match=message):
        paired_test(one, other)


def test_holm_worked_by_hand():
    # ascending: .005 x 4, .01 x 3, .03 x 2, .04 x 1; the last is raised to the one before
    assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.randoms())
def test_holm_lies_between_no_correction_and_bonferronis_and_keeps_the_order(p_values, random):
    corrected = holm(p_values)
    for p, q in zip(p_values, corrected, strict=True):
        assert p <= q <= min(1, p * len(p_values))
    order = list(range(len(p_values)))
    random.shuffle(order)
    assert holm([p_values[i] for i in order]) == [corrected[i] for i in order]
    assert [corrected[i] for i in np.argsort(p_values)] == sorted(corrected)
