import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from hugraph.errors import RunError
from hugraph.report.comparison import compare, read_run
from hugraph.report.statistics import holm, paired_test
from tests.report.directories import spec_of, write_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Writes a run and reads it."""
    monkeypatch.chdir(tmp_path)

    def make(name, scores, **options):
        path = write_run(tmp_path / name, scores, **options).relative_to(tmp_path)
        return read_run(path, spec_of(path))

    return make


HIGH, MIDDLE, LOW = [0.5, 0.9, 0.4], [0.4, 0.6, 0.2], [0.1, 0.3, 0.2]


def test_the_best_run_is_held_against_each_other_one(run):
    compared = compare(
        [run("a", LOW, model="pop"), run("b", HIGH), run("c", MIDDLE, model="lightgcn")]
    )
    assert [one.name for one in compared.contenders] == ["pop", "huign", "lightgcn"]
    assert compared.ours.name == "huign"
    assert_allclose(compared.ours.means["ndcg@10"], 0.6)
    assert_allclose(compared.improvement("ndcg@10"), 50)  # 0.6 over 0.4
    places = [compared.place(one, "ndcg@10") for one in compared.contenders]
    assert places == [3, 1, 2]
    tests = [paired_test(HIGH, LOW), paired_test(HIGH, MIDDLE)]
    assert [pairing.test for pairing in compared.pairings] == tests
    assert [pairing.against.name for pairing in compared.pairings] == ["pop", "lightgcn"]
    assert [p.t_p for p in compared.pairings] == holm([test.t_p for test in tests])
    assert [p.wilcoxon_p for p in compared.pairings] == holm([test.wilcoxon_p for test in tests])


def test_any_run_can_be_the_one_that_others_are_held_against(run, tmp_path):
    runs = [run("a", LOW, model="pop"), run("b", HIGH)]
    compared = compare(runs, ours=tmp_path / "b" / ".." / "a")
    assert compared.ours.name == "pop"
    assert compared.pairings[0].test == paired_test(LOW, HIGH)
    assert_allclose(compared.improvement("ndcg@10"), 100 * (0.2 / 0.6 - 1))


def test_runs_are_judged_by_the_metric_that_is_named_then_by_ndcg_10_then_by_the_first(run):
    both = {"recall@5": [0.1, 0.2], "ndcg@10": [0.9, 0.8]}
    swapped = {"recall@5": both["ndcg@10"], "ndcg@10": both["recall@5"]}
    runs = [run("a", both, model="one"), run("b", swapped, model="other")]
    assert compare(runs).ours.name == "one"
    assert compare(runs, metric="recall@5").ours.name == "other"
    assert compare(runs, metric="recall@5").pairings[0].test.difference == pytest.approx(0.7)
    single = [run("c", {"recall@5": HIGH}, model="one"), run("d", {"recall@5": LOW}, model="two")]
    assert compare(single).metric == "recall@5"


def test_each_metric_has_its_own_best_and_equals_share_a_place(run):
    runs = [
        run("a", {"ndcg@10": [0.3], "mrr@10": [0.2]}, model="one"),
        run("b", {"ndcg@10": [0.3], "mrr@10": [0.1]}, model="two"),
        run("c", {"ndcg@10": [0.1], "mrr@10": [0.4]}, model="three"),
    ]
    compared = compare(runs)
    assert [compared.place(one, "ndcg@10") for one in compared.contenders] == [1, 1, 2]
    assert [compared.place(one, "mrr@10") for one in compared.contenders] == [2, 3, 1]
    assert_allclose(compared.improvement("ndcg@10"), 0, atol=1e-12)
    assert_allclose(compared.improvement("mrr@10"), -50)  # 0.2 over 0.4


def test_a_metric_of_all_lists_is_shown_but_nobody_is_best_in_it(run):
    runs = [
        run("a", HIGH, lists={"gini@10": 0.3}),
        run("b", LOW, model="pop", lists={"gini@10": 0.9}),
    ]
    compared = compare(runs)
    assert compared.contenders[1].means["gini@10"] == 0.9
    assert compared.place(compared.contenders[1], "gini@10") is None
    assert compared.improvement("gini@10") is None
    with pytest.raises(ValueError, match=r"no user has a score 'gini@10' \(known: ndcg@10\)"):
        compare(runs, metric="gini@10")


def test_nothing_exceeds_zero_by_a_percentage(run):
    runs = [run("a", HIGH), run("b", [0, 0, 0], model="pop")]
    assert compare(runs).improvement("ndcg@10") is None


def test_runs_of_several_seeds_are_one_contender(run):
    scores = [[0.1, 0.5], [0.3, 0.5], [0.2, 0.2]]
    seeds = [run(f"s{seed}", row, seed=seed) for seed, row in enumerate(scores)]
    other = run("other", [0.4, 0.0], model="pop")
    compared = compare([seeds[0], other, *seeds[1:]])
    ours, popularity = compared.contenders
    assert [one.path.name for one in ours.runs] == ["s0", "s1", "s2"]
    assert_allclose(ours.means["ndcg@10"], (0.3 + 0.4 + 0.2) / 3)
    assert_allclose(ours.deviations["ndcg@10"], 0.1)  # of 0.3, 0.4, 0.2 about 0.3
    assert popularity.deviations == {}
    assert_allclose(ours.scores("ndcg@10"), [0.2, 0.4])
    assert compared.pairings[0].test == paired_test([0.2, 0.4], [0.4, 0.0])
    assert compare([*seeds, other], ours=seeds[2].path).ours.name == "huign"


def test_seeds_alone_have_a_mean_and_nothing_to_be_tested_against(run):
    compared = compare([run("a", HIGH, seed=1), run("b", LOW, seed=2)])
    assert len(compared.contenders) == 1
    assert compared.pairings == ()
    assert compared.improvement("ndcg@10") is None


def test_contenders_are_named_by_model_then_by_directory_then_by_path(run):
    one, deep = run("x/a", HIGH), run("y/a", LOW, train__epochs=9)
    assert [c.name for c in compare([one, deep]).contenders] == ["x/a", "y/a"]
    other = run("y/b", LOW, train__epochs=5)
    assert [c.name for c in compare([one, other]).contenders] == ["a", "b"]
    popularity = run("z/a", LOW, model="pop")
    assert [c.name for c in compare([one, popularity]).contenders] == ["huign", "pop"]


def test_the_place_of_the_data_and_the_order_of_users_and_cut_offs_do_not_matter(run):
    users = ["b", "a", "c"]
    one = run("a", HIGH, users=users, data__path="here", evaluate__k=[5, 10])
    other = run(
        "b",
        HIGH[::-1],
        users=users[::-1],
        seed=1,
        data__path="there",
        evaluate__k=[10, 5],
    )
    (both,) = compare([one, other]).contenders
    assert_allclose(both.scores("ndcg@10"), [HIGH[1], HIGH[0], HIGH[2]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "e" * 64}, "data fingerprint is ffffffffffff and eeeeeeeeeeee"),
        ({"evaluate__k": [5, 10]}, r"evaluate.k is \[10\] and \[5, 10\]"),
        (
            {"evaluate__metrics": ["recall", "ndcg"]},
            r'evaluate.metrics is \["ndcg"\] and \["ndcg", "recall"\]',
        ),
        ({"evaluate__seen_score": 1e-5}, "evaluate.seen_score is null and 1e-05"),
        ({"evaluate__sampled": 100}, "evaluate.sampled is null and 100"),
        ({"lists": {"gini@10": 0.5}}, r'list of metrics is \["ndcg@10"\] and \["gini@10", "ndcg'),
        ({"split": "6" * 64}, "split_hash is 555555555555 and 666666666666"),
    ],
)
def test_runs_that_were_not_tested_alike_are_refused(run, change, message):
    runs = [run("a", HIGH), run("b", MIDDLE, model="pop"), run("c", LOW, model="vbpr", **change)]
    with pytest.raises(RunError, match=f"a and c cannot be compared: {message}") as caught:
        compare(runs)
    assert caught.value.exit_code == 5


def test_where_seeds_draw_the_splits_a_user_counts_once_with_those_that_test_them(run):
    def drawn(model, seed, **scores):
        split, users = str(seed) * 64, list(scores)
        return run(
            f"{model}{seed}", [*scores.values()], users=users, seed=seed, split=split, model=model
        )

    ours = [drawn("huign", 1, u=1.0, v=0.5, w=0.25), drawn("huign", 2, x=0.75, u=0.5)]
    theirs = [drawn("pop", 1, w=0.5, v=0.25, u=0.0), drawn("pop", 2, u=0.25, x=0.75)]
    (pairing,) = compare([*theirs, *ours]).pairings
    expected = paired_test([0.75, 0.5, 0.25, 0.75], [0.125, 0.25, 0.5, 0.75])  # u, v, w, x
    assert pairing.test == expected
    assert (pairing.test.wins, pairing.test.ties, pairing.test.losses) == (2, 1, 1)
    with pytest.raises(
        RunError, match="pop2 and huign1 cannot be compared: split_hash is 22"
    ) as caught:
        compare([*theirs, ours[0]])
    assert caught.value.fix.endswith("with the same data.split and seed")


def test_a_split_counts_once_however_many_runs_were_tested_on_it(run):
    one, two = "1" * 64, "2" * 64
    runs = [
        run("a", [0.1, 0.1], seed=1, split=one),
        run("b", [0.3, 0.5], seed=2, split=one),
        run("c", [0.6, 0.5], seed=3, split=two),
        run("d", [0.4, 0.3], model="pop", seed=1, split=one),
        run("e", [0.4, 0.4], model="pop", seed=3, split=two),
    ]
    ours = compare(runs).contenders[0]
    assert_allclose(ours.scores("ndcg@10"), [0.4, 0.4])  # of 0.2 and 0.6, 0.3 and 0.5


def test_one_run_is_not_counted_twice(run):
    one, copy = run("a", HIGH), run("b", HIGH)
    for runs in ([one, one], [one, copy]):
        message = f"a and {runs[1].path} are one run: their specs and seeds are the same"
        with pytest.raises(RunError, match=message):
            compare(runs)


def test_other_users_of_the_same_split_are_refused(run):
    runs = [run("a", HIGH), run("b", LOW, model="pop", users=["u0", "u1", "x"])]
    with pytest.raises(RunError, match="a and b were tested on other users of the same split"):
        compare(runs)


def test_a_foreign_run_is_not_taken_for_ours(run, tmp_path):
    runs = [run("a", HIGH), run("b", LOW, model="pop")]
    with pytest.raises(ValueError, match="c is none of the runs"):
        compare(runs, ours=tmp_path / "c")
    with pytest.raises(ValueError, match="no run"):
        compare([])


def test_an_unfinished_run_can_be_finished(tmp_path):
    path = write_run(tmp_path / "a", HIGH)
    (path / "result.json").unlink()
    with pytest.raises(RunError, match=r"the run is not finished \(epoch 1\)") as caught:
        read_run(path, spec_of(path))
    assert f"hugraph fit --resume {path}" in caught.value.fix


def parquet(**columns):
    return lambda path: pl.DataFrame(columns).write_parquet(path)


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("result.json", lambda path: path.write_text("{"), "result.json is damaged"),
        (
            "result.json",
            lambda path: path.write_text('{"test": {"ndcg@10": 0.6, "gini@10": NaN, "users": 3}}'),
            "result.json is damaged",
        ),
        (
            "result.json",
            lambda path: path.write_text('{"test": {"ndcg@10": 0.61, "users": 3}}'),
            "not of the same test",
        ),
        (
            "result.json",
            lambda path: path.write_text('{"test": {"ndcg@10": 0.6, "users": 4}}'),
            "not of the same test",
        ),
        (
            "result.json",
            lambda path: path.write_text('{"test": {"recall@10": 0.6, "users": 3}}'),
            "not of the same test",
        ),
        ("run.json", lambda path: path.write_text('{"model": "x"}'), "run.json is damaged"),
        ("per_user.parquet", lambda path: path.unlink(), "per_user.parquet is not there"),
        ("per_user.parquet", lambda path: path.write_bytes(b"PAR1"), "per_user.parquet is damaged"),
        (
            "per_user.parquet",
            lambda path: path.write_bytes(path.read_bytes()[:-9]),
            "per_user.parquet is damaged",
        ),
        ("per_user.parquet", parquet(user=["u0", "u1", "u2"]), "not of the same test"),
    ],
)
def test_a_damaged_run_is_named_with_its_file(tmp_path, file, damage, message):
    path = write_run(tmp_path / "a", HIGH)
    damage(path / file)
    with pytest.raises(RunError, match=message) as caught:
        read_run(path, spec_of(path))
    assert caught.value.at == str(path)


@pytest.mark.parametrize(
    "spec", [None, [], {}, {"seed": "0", "data": {}, "evaluate": {}}, {"seed": 0, "data": {}}]
)
def test_a_spec_that_is_none_is_damaged(tmp_path, spec):
    with pytest.raises(RunError, match=r"spec\.yaml is damaged"):
        read_run(write_run(tmp_path / "a", HIGH), spec)


def test_flipped_bytes_of_the_scores_are_found_or_change_nothing_that_counts(tmp_path):
    path = write_run(tmp_path / "a", list(np.linspace(0, 1, 50)))
    sound, file = read_run(path, spec_of(path)), path / "per_user.parquet"
    content, rng, found = file.read_bytes(), np.random.default_rng(3), 0
    for _ in range(150):
        flipped = bytearray(content)
        flipped[rng.integers(len(flipped))] ^= 1 << int(rng.integers(8))
        file.write_bytes(flipped)
        try:
            again = read_run(path, spec_of(path))
        except RunError:
            found += 1
        else:
            assert_allclose(again.per_user["ndcg@10"].mean(), sound.metrics["ndcg@10"])
    assert found > 0
