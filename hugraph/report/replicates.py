"""Two specs that were fitted for the same seeds, user by user."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from hugraph.errors import RunError
from hugraph.report.statistics import PairedTest, paired_test
from hugraph.train.run_dir import RunDir


def paired_over_seeds(runs: Sequence[Path], others: Sequence[Path], metric: str) -> PairedTest:
    """Compares the runs of one spec with those of another, for the same seeds.

    A user's score is the mean over the seeds whose test part has the user; so each user counts
    once, whether or not the seeds draw different splits.

    Args:
        runs: Finished runs of the one.
        others: Finished runs of the other, with the same splits.
        metric: A metric of each user.

    Raises:
        RunError: If a run is damaged, or they were tested on different users.
    """
    one, other = _user_means(runs, metric), _user_means(others, metric)
    if not one["user"].equals(other["user"]):
        raise RunError(
            f"{runs[0]} and {others[0]} were tested on different users",
            fix="compare runs of the same data and seeds",
        )
    return paired_test(one[metric].to_numpy(), other[metric].to_numpy())


def _user_means(runs: Sequence[Path], metric: str) -> pl.DataFrame:
    scores = [RunDir(run).read_per_user().select("user", metric) for run in runs]
    return pl.concat(scores).group_by("user").agg(pl.col(metric).mean()).sort("user")
