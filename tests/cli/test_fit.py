import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from hugraph.graph import co_interaction_histogram
from tests.assembly.small import MODELS, write_small_spec
from tests.cli.terminals import on_a_terminal
from tests.train.test_processes import launch

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


@pytest.fixture
def spec(tmp_path):
    return write_small_spec(tmp_path)


def test_a_fit_ends_with_a_table_a_run_directory_and_what_to_try_next(hugraph, spec):
    code, out, err = hugraph("fit", "--spec", spec, "--run", "mine")
    assert code == 0
    assert "planted (synthetic): 90 users, 60 items" in err
    assert [line.split()[:2] for line in err.splitlines() if line.startswith("epoch")] == [
        ["epoch", str(epoch)] for epoch in (1, 2, 3)
    ]
    header = next(line for line in out.splitlines() if line.startswith("test metric"))
    assert header.split() == ["test", "metric", "huign", "popularity", "ratio"]
    assert "hugraph recommend mine --user u0" in out


def test_json_is_the_result_file_and_nothing_else(hugraph, spec, tmp_path):
    code, out, err = hugraph("fit", "--spec", spec, "--run", "mine", "--json", "train.epochs=1")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads((tmp_path / "mine" / "result.json").read_text())


def test_a_run_gets_a_name_of_its_own(hugraph, spec, tmp_path):
    for _ in range(2):
        assert hugraph("fit", "--spec", spec, "-q", "train.epochs=1").code == 0
    assert len(list((tmp_path / "runs").glob("small-*"))) == 2


def test_on_a_terminal_bars_numbers_and_the_time_left_fit_into_80_columns(spec, monkeypatch):
    monkeypatch.chdir(Path(spec).parent)
    code, shown = on_a_terminal("fit", "--spec", spec, "--run", "mine", "train.epochs=2")
    assert code == 0, shown
    assert max(map(len, shown.splitlines())) <= 80
    assert re.search(r"^epochs ━{24} 2/2 0:\d\d:\d\d ETA 0:00:00 *$", shown, flags=re.MULTILINE)
    assert re.search(r"^steps  ━{24} 5/5 0:\d\d:\d\d ETA 0:00:00 *$", shown, flags=re.MULTILINE)
    assert re.search(r"^recall@10 0\.\d{4}, best 0\.\d{4} \(epoch \d\)", shown, flags=re.MULTILINE)


def test_the_numbers_of_epochs_stand_in_columns(hugraph, spec):
    err = hugraph("fit", "--spec", spec, "--run", "mine", "train.epochs=12").err
    lines = [line for line in err.splitlines() if line.startswith("epoch")]
    assert len({tuple(m.start() for m in re.finditer("l2|recall|best", x)) for x in lines}) == 1


def test_the_commands_to_try_next_can_be_copied_into_any_shell(hugraph, spec):
    out = hugraph("fit", "--spec", spec, "--run", "my run", "train.epochs=1").out
    assert "  hugraph recommend 'my run' --user u0" in out
    assert "  hugraph evaluate 'my run' 'evaluate.k=[10,20]'\n" in out
    assert hugraph("evaluate", "my run", "evaluate.k=[10,20]").code == 0


def test_no_cut_off_beyond_the_items_is_advised(hugraph, spec):
    few = ("data.num_items=19", "data.interactions_per_user=3", "graph.min_common_users=1")
    out = hugraph("fit", "--spec", spec, "--run", "mine", "train.epochs=1", *few).out
    assert "'evaluate.k=[10]'\n" in out


def test_popularity_is_not_compared_with_itself_nor_said_to_be_trained(hugraph, spec):
    out = hugraph("fit", "--spec", spec, "--run", "mine", *MODELS["popularity"]).out
    assert "popularity: tested on 48 users, on synthetic data\n" in out
    assert "test metric  popularity\n" in out
    assert "tensorboard" not in out


def test_a_spec_in_the_place_of_an_override_is_understood(hugraph, spec):
    code, _, err = hugraph("fit", spec)
    assert code == 2
    assert f"did you mean --spec {spec}?" in err


def test_going_on_with_a_finished_run_says_that_it_is(hugraph, spec):
    assert "note: already" not in hugraph("fit", "--spec", spec, "--run", "mine").err
    assert "note: already finished; raise train.epochs" in hugraph("fit", "--resume", "mine").err
    assert "already" not in hugraph("fit", "--resume", "mine", "train.epochs=5").err


@pytest.mark.parametrize(
    ("fault", "code"), [("model.modalities=[smell]", 3), ("model.levels=[5000]", 3)]
)
def test_a_run_that_cannot_begin_leaves_no_directory(hugraph, spec, tmp_path, fault, code):
    assert hugraph("fit", "--spec", spec, "--run", "mine", fault).code == code
    assert not (tmp_path / "mine").exists()


def test_a_run_directory_in_use_is_refused_before_the_data_are_loaded(hugraph, spec, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").touch()
    code, _, err = hugraph("fit", "--spec", spec, "--run", "mine", "--data", "nowhere")
    assert code == 5 and "already holds" in err


def test_evaluating_shows_what_fitting_did_and_whether_the_run_is_finished(hugraph, spec, tmp_path):
    fitted = hugraph("fit", "--spec", spec, "--run", "mine").out
    code, out, err = hugraph("evaluate", "mine")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "huign: tested on 48 users, on synthetic data"
    assert "\n".join(out.splitlines()[1:]) in fitted
    (tmp_path / "mine" / "result.json").unlink()
    assert hugraph("evaluate", "mine").err == "note: the run is not finished (epoch 3)\n"


def test_data_of_the_command_line_replace_those_of_the_spec(hugraph, spec):
    assert hugraph("data", "synthesize", "mine", "num_users=70", "num_items=64").code == 0
    code, _, err = hugraph("fit", "--spec", spec, "--data", "mine", "train.epochs=1")
    assert code == 0
    assert "mine (synthetic): 70 users, 64 items" in err


def test_a_dataset_may_be_in_a_directory_of_any_name(hugraph, spec):
    name = "d\"a't: \U0001f3ac"
    assert hugraph("data", "synthesize", name, "num_users=70", "num_items=64").code == 0
    outcome = hugraph("fit", "--spec", spec, "--data", name, "--run", "mine", "train.epochs=1")
    assert outcome.code == 0, outcome.err
    assert "70 users" in hugraph("data", "describe", name).out


def test_evaluate_repeats_the_test_of_the_fit_and_takes_other_cut_offs(hugraph, spec):
    fit = json.loads(hugraph("fit", "--spec", spec, "--run", "mine", "--json").out)
    again = json.loads(hugraph("evaluate", "mine", "--json").out)
    assert again == {"test": fit["test"], "popularity": fit["popularity"]}
    other = hugraph("evaluate", "mine", "evaluate.k=[3]", "evaluate.metrics=[mrr,coverage]")
    assert other.code == 3  # early stopping watches recall@10, which is then not evaluated
    out = hugraph("evaluate", "mine", "evaluate.k=[3,10]", "evaluate.metrics=[recall,mrr]").out
    assert "mrr@3" in out and "tested on" in out
    assert hugraph("evaluate", "mine", "train.lr=1").code == 5


def test_recommendations_come_as_table_json_and_files(hugraph, spec, tmp_path):
    assert hugraph("fit", "--spec", spec, "--run", "mine", "-q").code == 0
    out = hugraph("recommend", "mine", "--user", "u3", "--k", "4").out
    assert out.startswith("for user u3 (synthetic data)")
    rows = [
        json.loads(line)
        for line in hugraph("recommend", "mine", "-u", "u3", "--json").out.splitlines()
    ]
    assert [row["rank"] for row in rows] == list(range(1, 11))
    for suffix, read in (
        ("parquet", pl.read_parquet),
        ("csv", pl.read_csv),
        ("jsonl", pl.read_ndjson),
    ):
        assert hugraph("recommend", "mine", "--all", "--out", f"all.{suffix}").code == 0
        lists = read(tmp_path / f"all.{suffix}")
        assert lists["user"].n_unique() == 90
        assert lists.filter(lists["user"] == "u3")["item"].to_list() == [r["item"] for r in rows]


def test_unknown_users_are_named_after_the_known_ones_are_answered(hugraph, spec):
    assert hugraph("fit", "--spec", spec, "--run", "mine", "-q").code == 0
    code, out, err = hugraph("recommend", "mine", "-u", "u3", "-u", "zz9", "-u", "nobody")
    assert code == 4
    assert "for user u3" in out
    assert "users 'zz9', 'nobody' are not in this run (90 users)\n  fix: use the ids" in err
    err = hugraph(
        "recommend", "mine", *(word for n in range(95, 103) for word in ("-u", f"u{n}"))
    ).err
    assert "users 'u95', 'u96', 'u97', 'u98', 'u99' and 3 more are not" in err
    assert "fix: for 'u95' perhaps 'u" in err


def test_a_user_who_is_named_twice_gets_one_list(hugraph, spec):
    assert hugraph("fit", "--spec", spec, "--run", "mine", "-q").code == 0
    out = hugraph("recommend", "mine", "-u", "u5", "-u", "u3", "-u", "u5", "--k", "2").out
    assert [line for line in out.splitlines() if "for user" in line] == [
        "for user u5 (synthetic data)",
        "for user u3 (synthetic data)",
    ]


@pytest.mark.parametrize(
    ("out", "code", "message"),
    [
        ("mine/x.csv", 2, "is inside the run directory"),
        ("nowhere/x.csv", 7, "there is no directory nowhere"),
        ("taken.csv", 7, "cannot write taken.csv"),
    ],
)
def test_recommendations_go_only_where_they_can_and_harm_nothing(
    hugraph, spec, tmp_path, out, code, message
):
    assert hugraph("fit", "--spec", spec, "--run", "mine", "-q", "train.epochs=1").code == 0
    (tmp_path / "taken.csv").mkdir()
    outcome = hugraph("recommend", "mine", "-u", "u3", "--out", out)
    assert outcome.code == code
    assert message in outcome.err
    assert "resume" not in outcome.err


def test_recommendations_as_json_are_ascii_in_any_locale(hugraph, spec, monkeypatch):
    title = "\u6620\x1b[2J\x7f"
    monkeypatch.setattr("hugraph.data.dataset.Dataset.title", lambda self, item: title)
    assert hugraph("fit", "--spec", spec, "--run", "mine", "-q", "train.epochs=1").code == 0
    out = hugraph("recommend", "mine", "-u", "u3", "--k", "2", "--json").out
    assert out.isascii() and "\x1b" not in out and "\x7f" not in out
    assert {json.loads(line)["title"] for line in out.splitlines()} == {title}


def test_asking_for_more_items_than_there_are_gives_all_unseen_and_says_so(hugraph, spec):
    assert hugraph("fit", "--spec", spec, "--run", "mine", "-q").code == 0
    code, out, err = hugraph("recommend", "mine", "-u", "u3", "--k", "1000", "--json")
    assert code == 0
    assert 30 < len(out.splitlines()) < 60
    assert "there are 60 items" in err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["fit"], 2, "either --spec SPEC or --resume RUN"),
        (["fit", "--spec", "SPEC", "--resume", "x"], 2, "either --spec"),
        (["fit", "--resume", "x", "--run", "y"], 2, "leave --run out"),
        (["fit", "--resume", "nowhere"], 5, "no run nowhere"),
        (["fit", "--spec", "nowhere.yaml"], 3, "not found"),
        (["fit", "--spec", "SPEC", "--data", "nowhere"], 4, "nowhere"),
        (["fit", "--spec", "SPEC", "model.levels=[4,8]"], 3, "each is smaller than the one before"),
        (
            ["fit", "--spec", "SPEC", "objective.penalties={l2x: 1}"],
            3,
            "no term 'l2x'; did you mean 'l2'",
        ),
        (["fit", "--spec", "SPEC", "train.lr=1e30"], 6, "diverge|not finite|inf|nan"),
        (["recommend", "nowhere", "--user", "u1"], 5, "no run nowhere"),
        (["recommend", "nowhere"], 2, "either --user ID or --all"),
        (["recommend", "nowhere", "--all", "--out", "x.xlsx"], 2, r"\.parquet"),
        (["recommend", "nowhere", "--all", "--out", "x.jsonl", "--json"], 2, "--json or --out"),
        (["recommend", "nowhere", "--user", "u1", "--k", "0"], 2, "0 is not in the range"),
        (["evaluate", "nowhere"], 5, "no run nowhere"),
        (["runs", "nowhere"], 5, "no directory nowhere"),
        (["data", "describe", "nowhere"], 4, "nowhere"),
        (["data", "synthesize", "out", "num_users"], 2, "KEY=VALUE"),
        (
            ["data", "synthesize", "out", "num_user=7"],
            3,
            r"did you mean 'num_users'\?.*\n  at: option 'num_user=7'\n  fix: write num_users",
        ),
        (["data", "synthesize", "out", "k_core=5"], 3, "unknown option 'k_core'"),
        (["data", "synthesize", "out", "dim=x"], 3, "got string 'x'\n  at: option 'dim=x'"),
        (["fit", "--spec", "SPEC", "--run", ""], 2, "empty path"),
        (["recommend", ""], 2, "empty path"),
        (["fit", "--spec", "SPEC", "--run", "x" * 300], 7, "File name too long"),
        (["fit", "--spec", "SPEC", "model.id_dim=1000000000000000000"], 7, "out of memory"),
    ],
)
def test_mistakes_end_in_one_message_and_the_right_code(hugraph, spec, args, code, message):
    outcome = hugraph(*[spec if arg == "SPEC" else arg for arg in args])
    assert outcome.code == code, outcome.err
    assert re.search(message, outcome.err), outcome.err
    assert "Traceback" not in outcome.err


def test_a_run_directory_in_use_or_not_empty_is_left_alone(hugraph, spec, tmp_path):
    assert hugraph("fit", "--spec", spec, "--run", "mine", "-q", "train.epochs=1").code == 0
    before = {p: p.read_bytes() for p in (tmp_path / "mine").rglob("*") if p.is_file()}
    code, _, err = hugraph("fit", "--spec", spec, "--run", "mine")
    assert code == 5 and "already holds" in err
    assert {p: p.read_bytes() for p in (tmp_path / "mine").rglob("*") if p.is_file()} == before


def test_runs_are_listed_with_their_metrics(hugraph, spec):
    result = json.loads(hugraph("fit", "--spec", spec, "--json", "--run", "runs/a").out)
    lines = hugraph("runs").out.splitlines()
    assert lines[1].split()[:2] == ["a", "huign"]
    assert f"{result['test']['recall@10']:.4f}" in lines[1]
    listed = json.loads(hugraph("runs", "--json").out)
    assert listed[0]["result"] == result


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.json", "3"),
        ("run.json", "["),
        ("result.json", "3"),
        ("result.json", '{"test": {"users": 1, "recall@10": "high"}}'),
        ("result.json", 9999 * "["),
    ],
)
def test_a_damaged_run_does_not_hide_the_others(hugraph, spec, tmp_path, file, content):
    for name in ("a", "b"):
        fitted = hugraph("fit", "--spec", spec, "-q", "--run", f"runs/{name}", "train.epochs=1")
        assert fitted.code == 0
    (tmp_path / "runs" / "a" / file).write_text(content)
    (tmp_path / "runs" / "stray").mkdir()
    (tmp_path / "runs" / "stray" / "run.json").write_text("{")
    code, out, err = hugraph("runs")
    assert [line.split()[0] for line in out.splitlines()] == ["run", "a", "b"]
    assert "damaged" in out.splitlines()[1] and "done" in out.splitlines()[2]
    assert (code, err.split("\n")[:2]) == (5, [f"error[5]: {file} is damaged", "  at: runs/a"])
    damage = [run["damage"] for run in json.loads(hugraph("runs", "--json").out)]
    assert damage == [f"{file} is damaged", None]


def test_runs_fit_into_80_columns_unbroken(hugraph, spec, tmp_path):
    assert hugraph("fit", "--spec", spec, "-q", "--run", f"runs/{'x' * 28}").code == 0
    popular = (*MODELS["popularity"], "--run", "runs/b")
    assert hugraph("fit", "--spec", spec, "-q", *popular).code == 0
    code, shown = on_a_terminal("runs", str(tmp_path / "runs"))
    assert code == 0
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("x" * 28, "popularity", "(synthetic)", "done", "recall@10", "ndcg@10"):
        assert words in shown


def test_a_metric_that_no_run_has_names_those_that_there_are(hugraph, spec):
    assert hugraph("fit", "--spec", spec, "-q", "--run", "runs/a").code == 0
    code, _, err = hugraph("runs", "--metric", "recal@10")
    assert code == 2
    assert "no run has the metric 'recal@10'; did you mean 'recall@10'? (known: ndcg@10," in err
    assert hugraph("runs", "--metric", "recall@5").code == 0


def test_a_dataset_is_described_with_its_co_interaction_edges(hugraph):
    assert hugraph("data", "synthesize", "mine", "num_users=70", "num_items=64").code == 0
    described = json.loads(hugraph("data", "describe", "mine", "--json").out)
    assert (described["users"], described["items"], described["synthetic"]) == (70, 64, True)
    edges = described["co_interaction_edges"]
    assert list(edges) == [str(t) for t in range(1, 11)]
    assert sorted(edges.values(), reverse=True) == list(edges.values()) and edges["1"] > 0
    out = hugraph("data", "describe", "mine").out
    assert "visual" in out
    assert "sparsity 79.98 %, 63.5 kB in memory, 64 titles\n" in out
    assert "timestamps: none; ratings: none; split: none\n" in out


def test_a_dataset_whose_graph_is_too_much_to_count_is_described_all_the_same(hugraph, monkeypatch):
    assert hugraph("data", "synthesize", "mine", "num_users=70", "num_items=64").code == 0
    few = partial(co_interaction_histogram, max_pairs=10)
    monkeypatch.setattr("hugraph.graph.co_interaction_histogram", few)
    reason = "the edges of the co-interaction graph are not counted: the users' histories hold"
    code, out, err = hugraph("data", "describe", "mine")
    assert (code, err) == (0, "") and "sparsity" in out and ">= 1" not in out
    assert out.count(reason) == 1 and f"note: {reason}" in out
    described = json.loads(hugraph("data", "describe", "mine", "--json").out)
    assert described["co_interaction_edges"] is None
    assert described["warnings"][-1].startswith(reason)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_with_its_code_and_the_run_goes_on_to_the_same_result(
    hugraph, spec, tmp_path, signum, code
):
    command = [sys.executable, "-m", "hugraph", "fit", "--spec", spec, "--run", "stopped"]
    process = subprocess.Popen(
        [*command, "train.epochs=400"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    for line in process.stderr:
        if line.startswith("epoch   5"):
            process.send_signal(signum)
            break
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == code
    assert "Traceback" not in rest and "--resume" in rest
    epochs = len((tmp_path / "stopped" / "metrics.jsonl").read_text().splitlines())
    assert 5 <= epochs < 400
    last = f"train.epochs={epochs + 2}"
    assert hugraph("fit", "--resume", "stopped", "-q", last).code == 0
    assert hugraph("fit", "--spec", spec, "--run", "whole", "-q", last).code == 0
    stopped, whole = (tmp_path / name / "metrics.jsonl" for name in ("stopped", "whole"))
    assert stopped.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("signum", "code", "name"), [(signal.SIGINT, 130, "SIGINT"), (signal.SIGTERM, 143, "SIGTERM")]
)
@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("hugraph.assembly.experiment.Experiment.prepare", "nothing to resume"),
        ("hugraph.assembly.propagation.keep_propagated", "no epoch is finished yet"),
        ("hugraph.assembly.experiment.Experiment.popularity", "every finished epoch is kept"),
    ],
)
def test_a_signal_at_any_other_moment_says_whether_the_run_can_go_on(
    hugraph, spec, monkeypatch, capsys, moment, words, signum, code, name
):
    before = signal.getsignal(signum)
    monkeypatch.setattr(moment, lambda *_: signal.raise_signal(signum))
    with pytest.raises(SystemExit) as caught:
        hugraph("fit", "--spec", spec, "--run", "mine")
    err = capsys.readouterr().err
    assert caught.value.code == code
    assert f"stopped by {name}; " in err and words in err
    assert signal.getsignal(signum) == before


def test_training_goes_on_when_the_reader_of_its_progress_goes_away(spec, tmp_path):
    command = [sys.executable, "-m", "hugraph", "fit", "--spec", spec, "--run", tmp_path / "mine"]
    process = subprocess.Popen(
        [*command, "train.epochs=60"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    process.stderr.readline()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert json.loads((tmp_path / "mine" / "result.json").read_text())["epochs"] > 20


def test_training_needs_no_open_output(spec, tmp_path):
    command = f"{sys.executable} -m hugraph fit --spec {spec} --run {tmp_path}/mine >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], timeout=60).returncode == 0
    assert (tmp_path / "mine" / "result.json").exists()


def test_a_run_killed_at_any_moment_goes_on_to_the_same_result(hugraph, spec, tmp_path):
    command = [sys.executable, "-m", "hugraph", "fit", "--spec", spec, "--run", "killed"]
    process = subprocess.Popen(
        [*command, "train.epochs=30"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    for line in process.stderr:
        if line.startswith("epoch   3"):
            time.sleep(0.05)
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    process.stderr.close()
    assert hugraph("fit", "--resume", "killed", "-q").code == 0
    assert hugraph("fit", "--spec", spec, "--run", "whole", "-q", "train.epochs=30").code == 0
    for name in ("metrics.jsonl", "per_user.parquet"):
        killed, whole = tmp_path / "killed" / name, tmp_path / "whole" / name
        assert killed.read_bytes() == whole.read_bytes()


def test_a_killed_process_ends_those_that_train_with_it_and_one_goes_on_to_the_same_result(
    hugraph, spec, tmp_path
):
    process = subprocess.Popen(
        [
            *TORCHRUN,
            "-m",
            "hugraph",
            "--",
            "fit",
            "--spec",
            spec,
            "--run",
            "two",
            "train.epochs=99",
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("epoch   2"):
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert rest.count("error[7]: another process of this training has ended") == 1
    epochs = len((tmp_path / "two" / "metrics.jsonl").read_text().splitlines())
    assert 2 <= epochs < 99
    last = f"train.epochs={epochs + 1}"
    assert hugraph("fit", "--resume", "two", "-q", last).code == 0
    assert hugraph("fit", "--spec", spec, "--run", "one", "-q", last).code == 0
    two, one = (
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("two", "one")
    )
    for line, expected in zip(two, one, strict=True):
        assert line["terms"] == pytest.approx(expected["terms"], rel=1e-5)
        assert line["validation"] == pytest.approx(expected["validation"], abs=0.02)


def test_processes_that_cannot_train_together_say_so_once(spec):
    fault = ["fit", "--spec", spec, "-q", "model={component: bm3}", "objective={}"]
    outputs, codes = zip(*launch(2, "-m", "hugraph", *fault), strict=True)
    assert codes == (3, 3)
    assert sorted(output.count("error[") for output in outputs) == [0, 1]
    assert "error[3]: 2 processes would not train stage 'bm3' as one does" in "".join(outputs)


def test_processes_with_different_specs_do_not_train(spec):
    differing = (
        "import os; from hugraph.cli.main import main; "
        f"main(['fit', '--spec', {spec!r}, '-q', "
        "'model.conv.self_loops=' + ('keep', 'add')[int(os.environ['RANK'])]])"
    )
    outputs, codes = zip(*launch(2, "-c", differing), strict=True)
    assert 5 in codes, outputs
    assert "process 1 does not train the same model on the same data as process 0" in "".join(
        outputs
    )


def test_features_on_disk_are_propagated_once_for_a_run(hugraph, spec, tmp_path, monkeypatch):
    sizes = ["num_users=90", "num_items=60", "interactions_per_user=9", "levels=[4,2]", "dim=8"]
    assert hugraph("data", "synthesize", "data", *sizes).code == 0
    data = "data={source: directory, path: data, memory_map: true}"
    arguments = ["fit", "--spec", spec, "--run", "mine", "-q", "train.epochs=1", data]
    assert hugraph(*arguments).code == 0
    matrix = tmp_path / "mine" / "propagated.npy"
    whole = matrix.read_bytes()
    assert hugraph("fit", "--resume", "mine", "-q").code == 0
    assert matrix.read_bytes() == whole
    monkeypatch.setattr("hugraph.assembly.experiment.scaled_on_disk", None)  # not once more
    recommend = ["recommend", "mine", "--user", "u0", "--k", "3", "--json"]
    first = hugraph(*recommend)
    assert (first.code, first.err) == (0, "")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    matrix.write_bytes(whole[:-1] + b"x")
    code, out, err = hugraph(*recommend)
    assert (code, out) == (0, first.out)
    assert "the first propagation is done again: propagated.npy is damaged" in err
    assert hugraph("fit", "--resume", "mine", "-q", "train.epochs=2").code == 0
    assert matrix.read_bytes() == whole
