"""Whether two models differ, judged over the same users."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from hugraph.seed import stream

CONFIDENCE = 0.95
RESAMPLES = 10_000
_DECIMALS = 12  # of a difference; what is beyond them is rounding, as of means in another order
_BATCH = 2**20  # differences in memory at once


@dataclass(frozen=True)
class PairedTest:
    """How one model scores against another, user by user.

    Attributes:
        difference: Mean over users of the one's score less the other's.
        interval: Bootstrap interval of `difference`, 95 % by percentiles; unbounded for one user.
        effect_size: Cohen's d of the paired differences: their mean over their standard deviation.
            Infinite where all users differ by the same, 0 where none differs.
        t_p: Two-sided p-value of the paired t-test.
        wilcoxon_p: Two-sided p-value of Wilcoxon's signed-rank test.
        wins: Users whom the one serves better.
        ties: Users whom both serve equally.
        losses: Users whom the other serves better.
    """

    difference: float
    interval: tuple[float, float]
    effect_size: float
    t_p: float
    wilcoxon_p: float
    wins: int
    ties: int
    losses: int


def paired_test(one: ArrayLike, other: ArrayLike, *, seed: int = 0) -> PairedTest:
    r"""Compares the scores that two models reach for the same users.

    With $\bar d$ and $s$ the mean and the standard deviation of the $n$ differences $d_u$, the
    effect size is $\bar d / s$, and $t = \sqrt n\,\bar d / s$ has $n - 1$ degrees of freedom. Both
    p-values are 1 where no user differs, and for a single user.

    Args:
        one: `(n,)` scores of one model, such as NDCG; metrics lie in $[0, 1]$, so what is beyond
            the twelfth decimal of a difference is taken for rounding.
        other: `(n,)` scores of the other, aligned.
        seed: Of the bootstrap's resamples.

    Raises:
        ValueError: If the scores are not of the same users, there are none, or one is not finite.

    Source:
        [Smucker et al. 2007](https://doi.org/10.1145/1321440.1321528) compare such tests of ranking
        metrics, and trust the t-test and the bootstrap more than signed ranks. Those are taken as
        in `scipy.stats.wilcoxon`, users without a difference left out: exactly for few users, else
        by the normal approximation. The bootstrap is Efron's of percentiles, of 10,000 resamples of
        the users, as in `scipy.stats.bootstrap`.
    """
    ours, theirs = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if ours.ndim != 1 or ours.shape != theirs.shape or not len(ours):
        raise ValueError(f"scores are of the same users, got {ours.shape} and {theirs.shape}")
    if not np.isfinite([ours, theirs]).all():
        raise ValueError("scores are finite numbers")
    differences = np.round(ours - theirs, _DECIMALS)
    mean = float(differences.mean())
    moved = differences[differences != 0]
    effect_size = _effect_size(differences, mean)
    num_users = len(differences)
    t = effect_size * math.sqrt(num_users)
    return PairedTest(
        difference=mean,
        interval=bootstrap_interval(differences, seed=seed),
        effect_size=effect_size,
        t_p=2 * float(stats.t.sf(abs(t), num_users - 1)) if num_users > 1 else 1.0,
        wilcoxon_p=float(stats.wilcoxon(moved).pvalue) if len(moved) else 1.0,
        wins=int((moved > 0).sum()),
        ties=num_users - len(moved),
        losses=int((moved < 0).sum()),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Corrects the p-values of several tests so that one false alarm among them stays as rare.

    Of $m$ tests in ascending order, $\tilde p_{(i)} = \max_{j \le i} \min(1, (m-j+1)\,p_{(j)})$.

    Args:
        p_values: One for each test, in any order.

    Returns:
        The corrected ones, in the same order.

    Source:
        Holm 1979, A simple sequentially rejective multiple test procedure,
        [JSTOR 4615733](https://www.jstor.org/stable/4615733).
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw)
    corrected = np.empty_like(raw)
    corrected[order] = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    return [float(p) for p in np.minimum(corrected, 1)]


def bootstrap_interval(values: NDArray[np.float64], *, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean over users, by percentiles of 10,000 resamples of the users.

    Args:
        values: `(num_users,)`, one or more.
        seed: Of the resamples.

    Returns:
        Its ends; infinite for one user.
    """
    if len(values) == 1:
        return -math.inf, math.inf
    low, high = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH // len(values)),
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=stream(seed, "bootstrap"),
    ).confidence_interval
    return float(low), float(high)


def _effect_size(differences: NDArray[np.float64], mean: float) -> float:
    if np.ptp(differences):
        return mean / float(differences.std(ddof=1))
    return math.copysign(math.inf, mean) if mean else 0.0
