"""Finished runs side by side: whether they are comparable, how well each did, who is better."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hugraph.errors import RunError, hint
from hugraph.report.runs import RunSummary, damaged, summarize
from hugraph.report.statistics import PairedTest, holm, paired_test
from hugraph.train.run_dir import RunDir

_JUDGED_BY = "ndcg@10"
_ALIKE = {
    "data fingerprint": ", on the same data",
    "split_hash": ", with the same data.split and seed",
}


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A finished run.

    Attributes:
        summary: The run at a glance.
        spec: What its `spec.yaml` holds.
        per_user: Raw ids in the column `user`, ascending, then a column for each metric of a user.
    """

    summary: RunSummary
    spec: Mapping[str, Any]
    per_user: pl.DataFrame

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.summary.path

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.spec["seed"])

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The test metrics."""
        return {name: value for name, value in self.summary.metrics.items() if name != "users"}

    @property
    def per_user_metrics(self) -> list[str]:
        """The metrics that each user has a score of; the higher, the better."""
        return [name for name in self.per_user.columns if name != "user"]

    @property
    def conditions(self) -> dict[str, Any]:
        """What two runs have to share to be comparable, beside their splits."""
        evaluation = {
            f"evaluate.{key}": sorted(value) if isinstance(value, list) else value
            for key, value in self.spec["evaluate"].items()
        }
        return {
            "data fingerprint": self.summary.fingerprint,
            **evaluation,
            "list of metrics": sorted(self.metrics),
            "list of metrics of each user": sorted(self.per_user_metrics),
        }

    @cached_property
    def recipe(self) -> str:
        """The spec without its seed, evaluation and place of the data."""
        data = {key: value for key, value in self.spec["data"].items() if key != "path"}
        rest = {key: self.spec[key] for key in self.spec if key not in ("seed", "evaluate")}
        return json.dumps({**rest, "data": data}, sort_keys=True)


@dataclass(frozen=True, eq=False)
class Contender:
    """A row of the comparison: one run, or several that differ in nothing but their seeds.

    Attributes:
        name: The model, or the run directory where models are not distinct.
        runs: One for each seed.
    """

    name: str
    runs: tuple[FinishedRun, ...]

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.runs[0].summary.model

    @cached_property
    def means(self) -> dict[str, float]:
        """The mean of each test metric over the runs."""
        return {name: float(np.mean(self._values(name))) for name in self.runs[0].metrics}

    @cached_property
    def deviations(self) -> dict[str, float]:
        """The standard deviation of each test metric over the runs; empty for a single run."""
        if len(self.runs) == 1:
            return {}
        return {name: float(np.std(self._values(name), ddof=1)) for name in self.runs[0].metrics}

    def scores(self, metric: str) -> NDArray[np.float64]:
        """`(num_users,)` scores in ascending order of the users' ids.

        A user's score is the mean over the runs of one split, then over the splits whose test part
        has the user: each user counts once, and each split as much as another.
        """
        scores = pl.concat(
            run.per_user.select("user", metric, split=pl.lit(run.summary.split_hash))
            for run in self.runs
        )
        for keys in (["user", "split"], ["user"]):
            scores = scores.group_by(keys).agg(pl.col(metric).mean())
        return scores.sort("user")[metric].to_numpy()

    def _values(self, metric: str) -> list[float]:
        return [run.metrics[metric] for run in self.runs]


@dataclass(frozen=True, eq=False)
class Pairing:
    """The one that is judged against another, over the same users.

    Attributes:
        against: The other.
        test: What differs, and how surely.
        t_p: `test.t_p`, corrected by Holm over all pairings.
        wilcoxon_p: `test.wilcoxon_p`, corrected alike.
    """

    against: Contender
    test: PairedTest
    t_p: float
    wilcoxon_p: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs that were tested alike, side by side.

    Attributes:
        contenders: One for each recipe, in the order of their first runs.
        metric: What they are judged by.
        ours: Whom the others are held against.
        pairings: `ours` against each other one, by `metric`.
    """

    contenders: tuple[Contender, ...]
    metric: str
    ours: Contender
    pairings: tuple[Pairing, ...]

    @property
    def others(self) -> list[Contender]:
        """All but `ours`."""
        return [one for one in self.contenders if one is not self.ours]

    def place(self, contender: Contender, metric: str) -> int | None:
        """1 for the best and so on, equals sharing a place.

        None if `metric` is one of all lists together, of which more is not always better.
        """
        if metric not in self.ours.runs[0].per_user_metrics:
            return None
        values = {one.means[metric] for one in self.contenders}
        return 1 + sum(value > contender.means[metric] for value in values)

    def improvement(self, metric: str) -> float | None:
        """By how many percent `ours` exceeds the best other one in `metric`.

        None if there is no other, or it has 0, or `metric` is one of all lists together.
        """
        best = max((one.means[metric] for one in self.others), default=0.0)
        if not best or self.place(self.ours, metric) is None:
            return None
        return 100 * (self.ours.means[metric] / best - 1)


def read_run(path: Path, spec: Mapping[str, Any]) -> FinishedRun:
    """Reads a finished run.

    Args:
        path: The run directory.
        spec: What its `spec.yaml` holds, as `hugraph.assembly.spec.parse` and `plain` give
            it.

    Raises:
        RunError: If it is not a run directory, the run is not finished, or a file is damaged.
    """
    summary = summarize(path)
    if summary.result is None:
        raise RunError(
            f"the run is not finished (epoch {summary.epochs})",
            at=str(path),
            fix=f"finish it with `hugraph fit --resume {path}`",
        )
    if not _is_spec(spec):
        raise damaged(path, "spec.yaml")
    run = FinishedRun(summary, spec, RunDir(path).read_per_user())
    if not all(math.isfinite(value) for value in run.metrics.values()):
        raise damaged(path, "result.json")
    if not _agree(run):
        raise RunError(
            "per_user.parquet and result.json are not of the same test",
            at=str(path),
            fix="restore both, or fit again",
        )
    return run


def compare(
    runs: Sequence[FinishedRun], *, metric: str | None = None, ours: Path | None = None
) -> Comparison:
    """Lines runs up, those that differ in nothing but their seeds as one.

    Args:
        runs: At least one.
        metric: What to judge by, a metric of each user; by default ndcg@10, or the first there is.
        ours: A run of the contender whom the others are held against; by default the best.

    Raises:
        ValueError: If there is no run, `ours` is not one of them, or no user has `metric`.
        RunError: If two runs differ in data, split or evaluation, or are one run given twice.
    """
    if not runs:
        raise ValueError("no run to compare")
    for run in runs[1:]:
        _require_same_test(runs[0], run)
    contenders = _contenders(runs)
    for contender in contenders[1:]:
        _require_same_splits(contenders[0], contender)
    _require_same_users(runs)
    known = runs[0].per_user_metrics
    metric = metric or (_JUDGED_BY if _JUDGED_BY in known else known[0])
    if metric not in known:
        raise ValueError(f"no user has a score {metric!r}{hint(metric, known)}")
    chosen = max(contenders, key=lambda one: one.means[metric])
    if ours is not None:
        holders = {run.path.resolve(): one for one in contenders for run in one.runs}
        if ours.resolve() not in holders:
            raise ValueError(f"{ours} is none of the runs")
        chosen = holders[ours.resolve()]
    return Comparison(contenders, metric, chosen, _pairings(contenders, chosen, metric))


def _is_spec(tree: Any) -> bool:
    return (
        isinstance(tree, dict)
        and isinstance(tree.get("seed"), int)
        and isinstance(tree.get("data"), dict)
        and isinstance(tree.get("evaluate"), dict)
    )


def _agree(run: FinishedRun) -> bool:
    """Whether the means of the users' scores are the metrics."""
    means = run.per_user.mean().row(0, named=True)
    return (
        bool(run.per_user_metrics)
        and 0 < len(run.per_user) == run.summary.metrics["users"]
        and all(
            abs(means[name] - run.metrics.get(name, math.nan)) < 1e-9
            for name in run.per_user_metrics
        )
    )


def _contenders(runs: Sequence[FinishedRun]) -> tuple[Contender, ...]:
    groups: dict[str, dict[int, FinishedRun]] = {}
    for run in runs:
        group = groups.setdefault(run.recipe, {})
        if run.seed in group:
            raise RunError(
                f"{group[run.seed].path} and {run.path} are one run: their specs and seeds are the "
                "same",
                fix="leave one of them out",
            )
        group[run.seed] = run
    leaders = [next(iter(group.values())) for group in groups.values()]
    names = next(
        names
        for names in (
            [run.summary.model for run in leaders],
            [run.path.resolve().name for run in leaders],
            [str(run.path) for run in leaders],
        )
        if len(set(names)) == len(names)
    )
    return tuple(
        Contender(name, tuple(group.values()))
        for name, group in zip(names, groups.values(), strict=True)
    )


def _pairings(contenders: Sequence[Contender], ours: Contender, metric: str) -> tuple[Pairing, ...]:
    others = [one for one in contenders if one is not ours]
    scores = ours.scores(metric)
    tests = [paired_test(scores, other.scores(metric)) for other in others]
    t_ps = holm([test.t_p for test in tests])
    wilcoxon_ps = holm([test.wilcoxon_p for test in tests])
    return tuple(map(Pairing, others, tests, t_ps, wilcoxon_ps))


def _require_same_test(one: FinishedRun, other: FinishedRun) -> None:
    here, there = one.conditions, other.conditions
    for name in here | there:
        if here.get(name) != there.get(name):
            raise _unlike(one, other, name, here.get(name), there.get(name))


def _require_same_splits(one: Contender, other: Contender) -> None:
    """Raises unless each split that one of them was tested on is a split of both."""
    here, there = ({run.summary.split_hash: run for run in c.runs} for c in (one, other))
    for split in here | there:
        if split not in here or split not in there:
            a, b = here.get(split, one.runs[0]), there.get(split, other.runs[0])
            raise _unlike(a, b, "split_hash", a.summary.split_hash, b.summary.split_hash)


def _require_same_users(runs: Sequence[FinishedRun]) -> None:
    firsts: dict[str, FinishedRun] = {}
    for run in runs:
        first = firsts.setdefault(run.summary.split_hash, run)
        if not first.per_user["user"].equals(run.per_user["user"]):
            raise RunError(
                f"{first.path} and {run.path} were tested on other users of the same split",
                fix="restore their per_user.parquet, or fit again",
            )


def _unlike(one: FinishedRun, other: FinishedRun, name: str, here: Any, there: Any) -> RunError:
    here, there = (v[:12] if isinstance(v, str) else json.dumps(v) for v in (here, there))
    return RunError(
        f"{one.path} and {other.path} cannot be compared: {name} is {here} and {there}",
        fix="name runs that share it, or fit one of the two again"
        + _ALIKE.get(name, ", by the same evaluation"),
    )
