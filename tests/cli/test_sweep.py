import json
import re
import signal
from pathlib import Path

import pytest

from hugraph.assembly.memory import Room
from hugraph.assembly.sections import SCHEMA
from hugraph.errors import RunError
from tests.assembly.small import MODELS, write_small_spec

QUICK = (*MODELS["bpr_mf"], "train.epochs=1", "evaluate.metrics=[recall]")
RATES = ("--grid", "train.lr=[1e-5, 1e-2]")


@pytest.fixture
def spec(tmp_path):
    return write_small_spec(tmp_path)


def test_a_sweep_ends_with_a_table_the_test_of_the_best_and_what_to_try_next(hugraph, spec):
    grid = (*RATES, "model.dim=[8]", "--seeds", "1,2", "--out", "my sweep")
    code, out, err = hugraph("sweep", spec, *grid, *QUICK)
    assert code == 0, err
    lines = out.splitlines()
    header = "trial lr dim validation recall@10 epochs seconds"
    assert lines[0].split() == header.split()
    assert [line.split()[1] for line in lines[1:3]] == ["0.01", "1e-05"]
    assert all("±" in line and line.split()[2] == "8" for line in lines[1:3])
    best = lines[1].split()[0]
    assert lines[4] == f"selected by validation: trial {best}, train.lr=0.01, model.dim=8"
    assert lines[5].split()[-2:] == ["selected", "popularity"]
    assert f"  hugraph evaluate 'my sweep/trials/00{best}/seed-1'\n" in out
    assert "  hugraph fit --spec 'my sweep/best.yaml'\n" in out
    assert [line.split()[:5] for line in err.splitlines()] == [
        ["trial", str(number), f"({number + 1}", "of", "2)"] for number in (0, 1)
    ]
    for command in (
        ("evaluate", f"my sweep/trials/00{best}/seed-1"),
        ("validate", "my sweep/best.yaml"),
    ):
        assert hugraph(*command).code == 0


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("--grid", "train.lr=[1]", "model.dim=[8]"), {"train.lr", "model.dim"}),
        (("--grid=train.lr=[1]", "model.dim= [8]", "-q"), {"train.lr", "model.dim"}),
        (("--grid", "train.lr=[1]", "--grid", "model.dim=[8]"), {"train.lr", "model.dim"}),
        (("--grid", "train.lr=[1]", "train.epochs=2", "evaluate.k=[3,10]"), {"train.lr"}),
        (("evaluate.k=[3,10]", "--grid", "train.lr=[1]", "-q", "data.levels=[4,2]"), {"train.lr"}),
    ],
)
def test_every_list_that_follows_a_grid_is_one(hugraph, spec, monkeypatch, words, keys):
    def stop(sweep, *_):
        seen.append(set(sweep.space))
        raise RunError("enough")

    seen = []
    monkeypatch.setattr("hugraph.assembly.sweep.Sweep.run", stop)
    hugraph("sweep", spec, *QUICK[:2], *words)
    assert seen == [keys]


def test_json_has_every_trial_and_the_test_of_the_best_alone(hugraph, spec, tmp_path):
    code, out, err = hugraph("sweep", spec, *RATES, *QUICK, "--out", "mine", "--json")
    assert (code, err) == (0, "")
    tree = json.loads(out)
    assert tree["metric"] == "recall@10"
    assert sorted(trial["parameters"]["train.lr"] for trial in tree["trials"]) == [1e-5, 1e-2]
    validation = [trial["validation"] for trial in tree["trials"]]
    assert validation == sorted(validation, reverse=True)
    best = tree["best"]
    assert best["validation"] == validation[0]
    assert out.count('"test"') == 1
    (run,) = best["runs"]
    result = json.loads((tmp_path / run / "result.json").read_text())
    assert best["test"] == {k: v for k, v in result["test"].items() if k != "users"}
    assert SCHEMA.resolve(best["spec"]).train.lr == best["parameters"]["train.lr"]


def test_no_number_of_the_table_is_broken_by_a_narrow_terminal(hugraph, spec, monkeypatch):
    grid = ("train.batch_size=[64]", "objective.penalties=[1.25e-05]", "model.dim=[8]")
    command = ("sweep", spec, *RATES, *grid, "--out", "mine", "-q", MODELS["bpr_mf"][0], *QUICK[2:])
    cells = hugraph(*command).out.partition("\nselected")[0].split()
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    shown = re.sub(r"\x1b\[\d*m", "", hugraph(*command).out).partition("\nselected")[0]
    assert max(map(len, shown.splitlines())) <= 50
    assert "1.25e-05" in cells and set(cells) <= set(shown.split())


def test_the_trials_of_a_sweep_are_listed_as_runs(hugraph, spec):
    assert hugraph("sweep", spec, *RATES, *QUICK, "--out", "mine", "-q").err == ""
    listed = json.loads(hugraph("runs", "mine", "--json").out)
    assert [run["path"] for run in listed] == [f"mine/trials/00{n}/seed-3" for n in (0, 1)]


def test_a_metric_is_stopped_and_selected_by(hugraph, spec):
    command = ("sweep", spec, *RATES, *QUICK, "--json", "--metric")
    tree = json.loads(hugraph(*command, "recall@5", "--out", "mine").out)
    assert tree["metric"] == "recall@5"
    assert SCHEMA.resolve(tree["best"]["spec"]).train.early_stopping.metric == "recall@5"
    code, _, err = hugraph(*command, "recal@5")
    assert code == 3 and "'recal@5' is not evaluated (recall@5, recall@10)" in err


def test_data_of_the_command_line_replace_those_of_the_spec(hugraph, spec):
    sizes = ("num_users=70", "num_items=64")
    assert hugraph("data", "synthesize", "mine", *sizes).code == 0
    code, _, err = hugraph("sweep", spec, *RATES, *QUICK, "--data", "mine", "--out", "out")
    assert code == 0, err
    assert SCHEMA.resolve("out/best.yaml").data.source.options["path"] == "mine"


def test_a_sweep_gets_a_name_of_its_own(hugraph, spec, tmp_path):
    assert hugraph("sweep", spec, "--grid", "train.lr=[1e-2]", *QUICK, "-q").code == 0
    (directory,) = (tmp_path / "runs").iterdir()
    assert directory.name.startswith("small-sweep-")


def test_a_stopped_sweep_says_how_to_go_on_and_does(hugraph, spec, monkeypatch, capsys):
    stop = lambda *_: signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr("hugraph.assembly.experiment.Experiment.popularity", stop)
    with pytest.raises(SystemExit) as caught:
        hugraph("sweep", spec, *RATES, *QUICK, "--out", "mine")
    assert caught.value.code == 130
    said = "stopped by SIGINT; every finished trial and epoch is kept\n"
    assert f"{said}  go on with: the same command and --out mine\n" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(Path(spec).parent)
    code, out, _ = hugraph("sweep", spec, *RATES, *QUICK, "--out", "mine")
    assert code == 0 and "trials/00" in out


def test_a_sweep_of_which_nothing_is_complete_shows_why_and_fails(hugraph, spec):
    code, out, err = hugraph("sweep", spec, "--grid", "train.lr=[1e30]", *QUICK, "--out", "mine")
    assert code == 5
    assert "trial 0 failed: " in out and "none of 1 trial is complete" in err


def test_a_sweep_without_the_memory_for_any_trial_says_so_and_how_to_go_on(
    hugraph, spec, monkeypatch
):
    nothing = lambda **_: Room(0, "the memory of a test")
    monkeypatch.setattr("hugraph.assembly.demand.room", nothing)
    code, out, err = hugraph("sweep", spec, *RATES, *QUICK, "--out", "mine")
    assert code == 7
    assert "trial 0 refused: the memory of a test: fitting takes at least" in out
    assert "had too little memory" in err and "the same command with this --out" in err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((), 3, "there is nothing to vary"),
        (("--grid", "train.lrr=[1]"), 3, "did you mean 'lr'"),
        (("--grid", "train.lr=[]"), 3, "got an empty one"),
        (("--grid", "train.lr=[1]", "--grid", "train.lr=[2]"), 3, "train.lr is varied twice"),
        (("--range", "train.lr=[1e-3, 1e-2]"), 3, "a range cannot be searched by grid"),
        ((*RATES, "train.lr=1"), 3, "train.lr is varied and also set"),
        ((*RATES, "--seeds", "1,x"), 2, "'1,x' is not of the form 0,1,2"),
        ((*RATES, "--trials", "0"), 2, "0 is not in the range"),
        ((*RATES, "--out", "small.yaml"), 5, "small.yaml is a file"),
        ((*RATES, "--out", "."), 5, r"is no sweep (small.yaml)"),
        ((*RATES, "--data", "nowhere"), 4, "nowhere"),
    ],
)
def test_mistakes_end_in_a_message_and_the_right_code(hugraph, spec, args, code, message):
    outcome = hugraph("sweep", spec, *args, *QUICK)
    assert outcome.code == code, outcome.err
    assert message in outcome.err
