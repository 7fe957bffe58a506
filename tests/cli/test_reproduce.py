import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

from tests.assembly.small import write_small_spec

STUDY = """\
title: Sizes
paper: Table 9
spec: small.yaml
overrides: {evaluate.k: [1, 5], train.early_stopping.metric: recall@5, train.epochs: 1}
rows:
  "{4, 2}": {}
  one & only: {overrides: {model.levels: [4]}}
"""


@pytest.fixture
def study(tmp_path):
    """Writes a study beside a small spec."""
    write_small_spec(tmp_path)

    def write(text=STUDY):
        (tmp_path / "study.yaml").write_text(text)
        return "study.yaml"

    return write


def test_a_study_becomes_a_table_in_every_form_and_is_not_fitted_twice(hugraph, study, monkeypatch):
    command = ("reproduce", study(), "--seeds", "0,1", "--out", "mine")
    code, out, err = hugraph(*command)
    assert code == 0, err
    assert [line.split("  ")[0] for line in err.splitlines()] == ["1 of 2", "2 of 2"]
    lines = out.splitlines()
    assert lines[0] == "Sizes (Table 9); planted (synthetic), mean over 2 seeds"
    assert lines[1].split() == ["recall@1", "ndcg@1", "recall@5", "ndcg@5"]
    assert [line.split("  ")[0] for line in lines[2:4]] == ["{4, 2}", "one & only"]

    rows = list(csv.DictReader(io.StringIO(Path("mine/table.csv").read_text())))
    assert len(rows) == 2 * 2 * 4
    values = [float(r["value"]) for r in rows if (r["row"], r["metric"]) == ("{4, 2}", "recall@5")]
    shown = re.findall(r"0\.\d{4}", lines[2])
    assert float(shown[4]) == pytest.approx(sum(values) / 2, abs=5e-5)
    assert float(shown[5]) == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=5e-5)
    assert "| {4, 2} | " in Path("mine/table.md").read_text()
    assert r"one \& only & " in Path("mine/table.tex").read_text()
    result = json.loads(Path("mine/runs/4-2/seed-1/result.json").read_text())
    assert result["test"]["recall@5"] == values[1]

    def refuse(*args, **kwargs):
        raise AssertionError("fitted again")

    monkeypatch.setattr("hugraph.assembly.runs.fit", refuse)
    assert hugraph(*command).out == out
    tree = json.loads(hugraph(*command, "--json").out)
    assert [row["name"] for row in tree["rows"]] == ["{4, 2}", "one & only"]
    assert tree["rows"][0]["test"]["recall@5"] == pytest.approx(sum(values) / 2)
    assert tree["files"] == ["table.md", "table.tex", "table.csv"]


def test_a_row_that_fails_is_shown_and_left_out_of_the_figure(hugraph, study):
    rows = "rows: {HUIGN: {}}\ngrid: {graph.min_common_users: [2, 1000]}\n"
    text = STUDY.split("rows:")[0] + rows + "figure: loss_by_threshold\n"
    code, out, err = hugraph("reproduce", study(text), "--out", "mine", "--quiet")
    assert (code, err) == (0, "")
    assert re.search(r"^HUIGN +1000 +failed +failed", out, flags=re.MULTILINE)
    assert "HUIGN, graph.min_common_users=1000: graph: 0 edges at threshold 1000" in out
    assert not {"nan", "1000"} & {*Path("mine/table.csv").read_text().replace("\n", ",").split(",")}
    assert imread("mine/figure.png")[..., :3].std() > 0.05
    assert "least number of common users" in Path("mine/figure.svg").read_text()


def test_the_items_of_a_model_are_drawn_by_their_intents(hugraph, study, monkeypatch):
    monkeypatch.setattr("hugraph.cli.drawing.MOST_ITEMS", 40)
    text = STUDY.split("rows:")[0] + "rows: {HUIGN: {}}\nfigure: tsne\n"
    code, _, err = hugraph("reproduce", study(text), "--out", "mine", "--quiet")
    assert (code, err) == (0, "note: the figure shows 40 of 60 items, drawn at random\n")
    assert imread("mine/figure.png")[..., :3].std() > 0.05
    assert re.search("strongest intent of level [12]", Path("mine/figure.svg").read_text())


def test_nothing_is_fitted_where_the_figure_could_not_be_drawn(hugraph, study, monkeypatch):
    monkeypatch.delitem(sys.modules, "hugraph.report.figures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = STUDY.split("rows:")[0] + "rows: {HUIGN: {}}\nfigure: tsne\n"
    code, _, err = hugraph("reproduce", study(text), "--out", "mine")
    assert code == 7
    assert "matplotlib, which is not installed\n  fix: pip install 'hugraph[figures]'" in err
    assert hugraph("runs", "mine").code == 5  # there is no such directory


def test_a_study_of_which_no_row_can_be_fitted_is_an_error(hugraph, study):
    code, _, err = hugraph("reproduce", study(), "graph.min_common_users=1000", "--out", "mine")
    assert code == 5
    assert "no row could be fitted; {4, 2}: graph: 0 edges" in err


def test_the_directory_of_another_study_is_refused(hugraph, study):
    command = ("reproduce", study(), "--out", "mine", "--quiet")
    assert hugraph(*command).code == 0
    code, _, err = hugraph(*command, "train.lr=0.5")
    assert code == 5
    assert "train.lr: 0.01 -> 0.5" in err
    table = Path("mine/table.md").read_text()
    code, _, err = hugraph("reproduce", study(STUDY.split('"')[0] + "  b: {}\n"), "--out", "mine")
    assert code == 5
    assert "holds something that is no row of this study (4-2, one-only)" in err
    assert Path("mine/table.md").read_text() == table


def test_a_spec_is_not_taken_for_a_study_nor_a_study_for_a_spec(hugraph, study):
    study()
    code, _, err = hugraph("reproduce", "small.yaml")
    assert (code, err.count("fix")) == (3, 1)
    assert "a spec, not a study\n  at: small.yaml\n  fix: fit it with `hugraph fit --spec sm" in err
    code, _, err = hugraph("fit", "--spec", "study.yaml")
    assert (code, err.count("fix")) == (3, 1)
    assert "a study, not a spec\n  at: study.yaml:1:1\n  fix: run it with `hugraph reprod" in err
    assert "fix: name a study by its path" in hugraph("reproduce", "table3").err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("--seeds", "0,x"), 2, "'0,x' is not of the form 0,1,2"),
        (("--data", "nowhere"), 4, "nowhere"),
        (("model.levls=[2]",), 3, "did you mean 'levels'"),
        (("--seeds", "1,1"), 3, "a seed is listed twice"),
    ],
)
def test_mistakes_end_in_a_message_and_the_right_code(hugraph, study, args, code, message):
    outcome = hugraph("reproduce", study(), *args)
    assert outcome.code == code, outcome.err
    assert message in outcome.err
