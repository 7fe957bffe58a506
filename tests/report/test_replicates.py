import polars as pl
import pytest

from hugraph.errors import RunError
from hugraph.report.replicates import paired_over_seeds
from hugraph.report.statistics import paired_test


def run(path, **scores):
    path.mkdir()
    (path / "lock").touch()
    columns = {"user": list(scores), "ndcg@10": list(map(float, scores.values()))}
    pl.DataFrame(columns).write_parquet(path / "per_user.parquet")
    return path


def test_a_user_counts_once_with_the_mean_over_the_seeds_that_test_them(tmp_path):
    ours = [run(tmp_path / "a1", u=1.0, v=0.5, w=0.25), run(tmp_path / "a2", x=0.75, u=0.5)]
    theirs = [run(tmp_path / "b1", w=0.5, v=0.25, u=0.0), run(tmp_path / "b2", u=0.25, x=0.75)]
    expected = paired_test([0.75, 0.5, 0.25, 0.75], [0.125, 0.25, 0.5, 0.75])  # u, v, w, x
    paired = paired_over_seeds(ours, theirs, "ndcg@10")
    assert (paired.difference, paired.t_p) == (expected.difference, expected.t_p)
    assert (paired.wins, paired.ties, paired.losses) == (2, 1, 1)


def test_runs_that_tested_different_users_are_refused(tmp_path):
    one, other = run(tmp_path / "a", u=1.0, v=0.5), run(tmp_path / "b", u=1.0)
    with pytest.raises(RunError, match="were tested on different users"):
        paired_over_seeds([one], [other], "ndcg@10")
